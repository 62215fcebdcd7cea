"""--rehearse: the environment built on this machine from its scripts alone, compared, and removed again."""

from __future__ import annotations

import shutil
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
from pipeline.errors import BadInput
from pipeline.flows import bootstrap as flow
from pipeline.flows.bootstrap_rehearse import Ground, Ran, rehearse
from pipeline.model.bootstrap_folder import folder_name
from pipeline.model.bootstrap_kit import LIBRARIES, PULLING
from pipeline.model.dialect import Dialect
from pipeline.model.rehearsal import Rehearsal, rehearsal_name, report_document, report_text
from pipeline.model.secret import Secret
from pipeline.verbs.bootstrap import sources_of
from pipeline.verbs.bootstrap_rancher import RancherGround
from pipeline.verbs.lab import is_checkout, lab_image, until_it_answers
from pipeline.wiring import Session


def run(session: Session, wish: flow.Wish) -> int:
    _require_commands(session)
    sources = sources_of(session)
    estate = flow.listed(sources, wish)
    session.console.mask(estate.sealed.values.values())
    with tempfile.TemporaryDirectory(prefix="bootstrap-") as folder:
        ground = _ground(session, Path(folder), rehearsal_name(uuid.uuid4().hex[:8]))
        found = rehearse(estate, sources, wish, ground, shell_libraries(LIBRARIES), clock=session.clock)
    _report(session, found)
    return 0 if found.passed else 1


def _require_commands(session: Session) -> None:
    """Without them the scripts would begin with installing an engine: that is for bare machines."""
    missing = [name for name in ("curl", "docker") if shutil.which(name, path=session.variables.get("PATH")) is None]
    if missing:
        raise BadInput(
            f"a rehearsal runs the scripts here, and this machine has no {' and no '.join(missing)}",
            hint="Install it (Debian: curl, docker-cli or docker.io), or rehearse in the toolkit's image (docs/ci.md).",
        )


def _report(session: Session, found: Rehearsal) -> None:
    place = session.root / "build" / f"bootstrap-{folder_name(found.environment)}"
    text = report_text(found)
    write_file(place / "rehearsal.md", text.encode())
    write_file(place / "rehearsal.json", as_json(report_document(found)).encode() + b"\n")
    session.console.result(text.rstrip("\n"))
    session.console.tell(f"the report is in {place.relative_to(session.root)}")


def _ground(session: Session, place: Path, environment: str) -> Ground:
    folder, drivers = GeneratedFolder(place), session.bootstrap
    host, (admin, proxy, port) = drivers.host, free_ports(3)
    urls = {"admin": f"http://{host}:{admin}", "proxy": f"http://{host}:{proxy}"}
    rancher = RancherGround(session, environment, f"http://{host}:{port}") if session.settings.rancher else None

    def run_here(script: str, variables: Mapping[str, Secret | str]) -> Ran:
        session.console.tell(f"— {script}")
        quiet = script.startswith("70-")
        told = (lambda _: None) if quiet else session.console.teller("  ", "")
        code, lines = run_script(place / script, variables, session.variables, told)
        return Ran(code=code, lines=lines)

    return Ground(
        environment=environment,
        host=host,
        admin=admin,
        proxy=proxy,
        keep=folder.keep,
        write=folder.write,
        run=run_here,
        gateway=lambda written: _start(session, environment, urls, rancher, written),
        supplied=rancher.supplied if rancher else lambda written: _login(session, written),
        sources=flow.Sources(
            platform=rancher.platform if rancher else lambda: drivers.rehearsing(environment),
            exporter=rancher.exporter if rancher else lambda: drivers.rehearsed(environment),
            gateway=lambda: drivers.gateway(environment, urls["admin"]),
            records=lambda: (),
            lost=lambda _: (),
        ),
        clearing=_clearing(session, environment),
    )


def _start(
    session: Session, environment: str, urls: Mapping[str, str], rancher: RancherGround | None, written: flow.Written
) -> None:
    """A gateway like the one that was dumped, and before it the Rancher, where there is one."""
    image = _gateway_image(session)
    if rancher:
        rancher.start(image)
    drivers = session.bootstrap
    lab = drivers.lab(environment, admin=urls["admin"], proxy=urls["proxy"], kong_version=_kong_version(written))
    lab.up(image, with_rancher=bool(rancher))
    ask = drivers.gateway(environment, urls["admin"]).identity
    until_it_answers(session, lab, ask, name="the rehearsal's gateway", hint="try `invoke lab.up` by itself.")


def _gateway_image(session: Session) -> str:
    """Of a job the image that it runs in: there is no checkout of the toolkit in it."""
    own = session.variables.get("PIPELINE_IMAGE", "")
    return session.bootstrap.image(own) if own and not is_checkout() else lab_image(session)


def _login(session: Session, written: flow.Written) -> dict[str, Secret | str]:
    """What pulls here, where nothing else is asked for images than the registry that it is meant for."""
    pulling = session.settings.pulling
    images = {service.image for _, service in written.contents.inventory.services()}
    if not pulling.user or not all(one.startswith(f"{pulling.host}/") for one in images):
        return {}
    return dict(zip(PULLING, (pulling.user, pulling.password), strict=True))


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
