"""dump: the whole gateway, as one of the files that bring it back, and its secrets for those who may read them."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from pipeline.edge.files import write_file
from pipeline.edge.library import shell_library
from pipeline.edge.secrets_file import assignments, encrypted, revealed
from pipeline.errors import BadInput
from pipeline.flows import dump as flow
from pipeline.model.artifact import secrets_path
from pipeline.model.declarative import declarative_content
from pipeline.model.route import GatewayState
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import named_secrets
from pipeline.model.yaml_text import yaml_text
from pipeline.wiring import Session, open_session

FORMATS = ("sh", "json", "deck", "declarative")


def dump(environment: str | None, *, form: str, output: str, with_secrets: bool) -> int:
    session = open_session((), environment)
    name = session.require_environment()
    if form not in FORMATS:
        raise BadInput(f"--format {form!r} is not known", hint=f"Known: {', '.join(FORMATS)}.")
    if with_secrets and not session.settings.age_recipients:
        raise _no_recipients("--with-secrets")
    if form == "declarative":
        return _dump_declarative(session, output)
    state = flow.dump(session.gateway)
    text = flow.written(state, form, origin_of(session, ""), file=output or "FILE", library=shell_library())
    if output:
        write_file(session.start / output, text.encode())
        session.console.tell(f"{output}: {len(state.entities)} entities of the gateway of {name}")
    else:
        session.console.result(text.rstrip("\n"))
    if with_secrets:
        for path in write_secrets(session, state, _secrets_path(session, output)):
            session.console.tell(f"{path}: its secrets, for {len(session.settings.age_recipients)} recipients")
    for one in state.excluded:
        session.console.tell(f"not exported: {one.count} {one.kind} ({one.reason})")
    return 0


def write_secrets(session: Session, state: GatewayState, path: Path) -> tuple[Path, ...]:
    """Writes the secrets of a dump for the configured recipients; nothing when there are none of either."""
    recipients = session.settings.age_recipients
    secrets = {one.variable: one.value for one in named_secrets(state) if not one.reissues}
    known = {name: value for name, value in secrets.items() if isinstance(value, Secret)}
    if not recipients or not known:
        return ()
    write_file(path, encrypted(assignments(known), recipients), mode=0o600)
    return (path,)


def origin_of(session: Session, version: str) -> flow.Origin:
    return flow.Origin(
        tool_version=metadata.version("invoke-pipeline"),
        environment=session.settings.environment,
        commit="",
        version=version,
    )


def _dump_declarative(session: Session, output: str) -> int:
    """A file of Kong's own that holds every secret and hash: only ever written encrypted."""
    if not session.settings.age_recipients:
        raise _no_recipients("--format declarative")
    if not output:
        raise BadInput("--format declarative holds secrets", hint="Name an --output: it is written encrypted with age.")
    state = flow.dump(session.gateway)
    content = revealed(declarative_content(state))
    text = yaml_text(content if isinstance(content, dict) else {})
    write_file(session.start / output, encrypted(text.encode(), session.settings.age_recipients), mode=0o600)
    session.console.tell(f"{output}: {len(state.entities)} entities, encrypted; load it on the gateway's own machine:")
    session.console.tell(f"  age -d -i KEY {output} > kong.yaml && kong config db_import kong.yaml")
    return 0


def _secrets_path(session: Session, output: str) -> Path:
    """Beside the output, else where a registration of this commit puts them."""
    if output:
        return (session.start / output).with_suffix(".secrets.age")
    return session.root / secrets_path(session.worktree.checkout.commit[:8])


def _no_recipients(flag: str) -> BadInput:
    return BadInput(
        f"{flag} writes secrets, and there is nobody to encrypt them for",
        hint="Set age_recipients in invoke.yaml: the public keys of those who may restore (age-keygen -y).",
    )
