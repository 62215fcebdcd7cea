"""restore: a gateway is brought back from a file of `dump` or `register`, or from a decK state file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from invoke.context import Context

from pipeline.command import PENDING
from pipeline.edge.artifacts import newest_artifact
from pipeline.edge.files import read_file
from pipeline.edge.secrets_file import in_clear, read_secrets
from pipeline.errors import BadInput
from pipeline.flows import restore as flow
from pipeline.model.deck_reader import read_deck_file
from pipeline.model.restoration import RestorePlan, Scope
from pipeline.model.restore_script_reader import is_restore_script, read_restore_script
from pipeline.model.route import GatewayState, tag_word
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import filled, named_secrets
from pipeline.model.state_file import read_state_file
from pipeline.verbs.several import checks_only
from pipeline.wiring import Session, open_session


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says of a restore, besides its file."""

    exact: bool = False
    everything: bool = False
    transactional: bool = False
    keep_going: bool = False
    secrets: str = ""
    force: bool = False


def restore(c: Context, file: str | None, environment: str | None, *, latest: bool, check: bool, flags: Flags) -> int:
    session = open_session((), environment)
    target = session.require_environment()
    if flags.everything and not flags.exact:
        raise BadInput("--all says what --exact may delete", hint="Add --exact, or leave --all out.")
    path = _file(session, file, target, latest=latest)
    wanted, of = _read(session, path, flags.secrets)
    scope = Scope(exact=flags.exact, everything=flags.everything)
    plan = flow.plan(wanted, session.gateway, scope)
    if not flags.force:
        found = session.gateway.identity()
        flow.refuse_other_environment(of, tag_word(target), found.environments)
    if plan.pending:
        session.restorer.require_writable()
    if checks_only(c, check):
        return _show(session, plan)
    manner = flow.Manner(keep_going=flags.keep_going, transactional=flags.transactional)
    if plan.pending:
        session.console.tell(f"{path.name} → the gateway of {target}: {sum(map(len, plan.levels))} writes")
    restoration = flow.apply(plan, session.restorer, manner)
    for trouble in restoration.troubles:
        session.console.tell(f"failed: {trouble.step.label}: {trouble.error.what}")
    for step in restoration.refused:
        session.console.tell(f"{step}")
    session.console.tell(restoration.summary())
    if restoration.problem is not None:
        raise restoration.problem
    return 0


def _file(session: Session, file: str | None, target: str, *, latest: bool) -> Path:
    if latest == bool(file):
        raise BadInput(
            "no file was named to restore from" if not file else "a file and --latest say two things",
            hint="`invoke restore FILE`, or `invoke restore --latest` for the newest one in artifacts/.",
        )
    return session.start / file if file else newest_artifact(session.root / "artifacts", target)


def _read(session: Session, path: Path, secrets_file: str) -> tuple[GatewayState, str]:
    """The file's state with its secrets, and the environment that it is of. Raises BadInput for missing secrets."""
    text = _text(path)
    find = _finder(session, read_secrets(session.start / secrets_file) if secrets_file else {})
    if is_restore_script(text):
        state, environment = read_restore_script(text, file=path.name)
    elif text.lstrip().startswith("{"):
        state, environment = read_state_file(text, file=path.name)
    else:
        state, environment = read_deck_file(text, file=path.name, find=in_clear(find))
    complete, missing = filled(state, find)
    # A Kong repeats a key that is taken already in its refusal.
    session.console.mask(one.value for one in named_secrets(complete) if isinstance(one.value, Secret))
    if missing:
        raise BadInput(
            f"{path.name} wants secrets that are not set: {', '.join(missing)}",
            hint="Set these variables, or name the decrypted file of secrets with --secrets.",
        )
    return complete, environment


def _finder(session: Session, file: dict[str, Secret]) -> Callable[[str], Secret | None]:
    """From the file of secrets, else from the variables; decK's names stand for ours."""

    def find(name: str) -> Secret | None:
        own = f"KONG_{name.removeprefix('DECK_')}" if name.startswith("DECK_SECRET_") else name
        return file.get(name) or file.get(own) or session.settings.secret(name) or session.settings.secret(own)

    return find


def _text(path: Path) -> str:
    content = read_file(path, hint="Name a file of `invoke dump`, an artifact of `invoke register` or a decK file.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not a text in UTF-8", hint="Name a file of `invoke dump`.") from error


def _show(session: Session, plan: RestorePlan) -> int:
    for level in plan.levels:
        for step in level:
            session.console.tell(str(step))
    for step in plan.refused:
        session.console.tell(str(step))
    if not plan.pending:
        rest = f" but for {len(plan.refused)} that cannot be restored" if plan.refused else ""
        session.console.tell(f"the gateway is as the file says{rest}")
    return PENDING if plan.pending or plan.refused else 0
