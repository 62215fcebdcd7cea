"""--rehearse: the environment built on this machine from its scripts alone, compared, and removed again."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.edge.documents import as_json
from pipeline.edge.files import write_file
from pipeline.edge.folder import GeneratedFolder
from pipeline.edge.library import shell_libraries
from pipeline.edge.script import free_ports, run_script
from pipeline.errors import Failed, Unreachable
from pipeline.flows import bootstrap as flow
from pipeline.flows.bootstrap_rehearse import Ground, Ran, rehearse
from pipeline.model.bootstrap_folder import LIBRARIES, folder_name
from pipeline.model.clock import Deadline
from pipeline.model.dialect import Dialect
from pipeline.model.rehearsal import Rehearsal, rehearsal_name, report_document, report_text
from pipeline.model.secret import Secret
from pipeline.verbs.bootstrap import sources_of
from pipeline.wiring import Session

_START_SECONDS = 30.0


def run(session: Session, wish: flow.Wish) -> int:
    sources = sources_of(session)
    estate = flow.listed(sources, wish)
    session.console.mask(estate.sealed.values.values())
    with tempfile.TemporaryDirectory(prefix="bootstrap-") as folder:
        ground = _ground(session, Path(folder), rehearsal_name(uuid.uuid4().hex[:8]))
        found = rehearse(estate, sources, wish, ground, shell_libraries(LIBRARIES), clock=session.clock)
    _report(session, found)
    return 0 if found.passed else 1


def _report(session: Session, found: Rehearsal) -> None:
    place = session.root / "build" / f"bootstrap-{folder_name(found.environment)}"
    text = report_text(found)
    write_file(place / "rehearsal.md", text.encode())
    write_file(place / "rehearsal.json", as_json(report_document(found)).encode() + b"\n")
    session.console.result(text.rstrip("\n"))
    session.console.tell(f"the report is in {place.relative_to(session.root)}")


def _ground(session: Session, place: Path, environment: str) -> Ground:
    folder = GeneratedFolder(place)
    admin, proxy = free_ports(2)
    drivers = session.bootstrap
    urls = {"admin": f"http://127.0.0.1:{admin}", "proxy": f"http://127.0.0.1:{proxy}"}

    def run_here(script: str, variables: Mapping[str, Secret | str]) -> Ran:
        session.console.tell(f"— {script}")
        quiet = script.startswith("70-")
        told = (lambda _: None) if quiet else session.console.teller("  ", "")
        code, lines = run_script(place / script, variables, session.variables, told)
        return Ran(code=code, lines=lines)

    def gateway(written: flow.Written) -> None:
        from pipeline.verbs.lab import lab_image

        version = _kong_version(written)
        drivers.lab(environment, **urls, kong_version=version).up(lab_image(session))
        _wait(session, environment, urls["admin"])

    return Ground(
        environment=environment,
        admin=admin,
        proxy=proxy,
        keep=folder.keep,
        write=folder.write,
        run=run_here,
        gateway=gateway,
        sources=flow.Sources(
            platform=lambda: drivers.platform_of(environment),
            exporter=lambda: drivers.exporter_of(environment),
            gateway=lambda: drivers.gateway(environment, urls["admin"]),
            records=lambda: (),
            lost=lambda _: (),
        ),
        clearing=_clearing(session, environment),
    )


@contextmanager
def _clearing(session: Session, environment: str) -> Iterator[None]:
    try:
        yield
    finally:
        session.bootstrap.stage(environment).clear()
        session.console.tell(f"{environment}: all removed again")


def _kong_version(written: flow.Written) -> str:
    """The lab gateway's that is nearest to the gateway that was dumped."""
    identity = written.contents.state.identity
    if identity.dialect is Dialect.APIS:
        return "0.14"
    return "3.4" if identity.version.startswith("3.") else "2.8"


def _wait(session: Session, environment: str, admin: str) -> None:
    deadline = Deadline(session.clock, _START_SECONDS)
    while True:
        try:
            session.bootstrap.gateway(environment, admin).identity()
            return
        except Unreachable as error:
            if deadline.passed:
                raise Failed(
                    f"the rehearsal's gateway does not answer: {error.what}", hint="Try `invoke lab.up` by itself."
                ) from error
        deadline.pause(0.1)
