"""bootstrap: the environment as scripts, written, checked, committed, rehearsed, or run on other machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from invoke.context import Context

from pipeline.command import PENDING
from pipeline.edge.files import read_file
from pipeline.edge.folder import GeneratedFolder, digest_only
from pipeline.edge.library import shell_libraries
from pipeline.errors import BadInput, Refused
from pipeline.flows import bootstrap as flow
from pipeline.model.bootstrap_document import read_environment
from pipeline.model.bootstrap_drift import DOCUMENT, drift
from pipeline.model.bootstrap_folder import folder_name
from pipeline.model.bootstrap_kit import LIBRARIES
from pipeline.model.compose_yaml import load_yaml
from pipeline.model.remap import NO_REMAP, Remap, parse_remap
from pipeline.verbs.several import checks_only
from pipeline.wiring import Session, open_session


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What travels with the scripts."""

    images: bool = False
    data: bool = False
    predecessors: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OnHosts:
    """The machines that the scripts are run on, and how."""

    names: Sequence[str] = ()
    keys: Sequence[str] = ()
    again: bool = False
    jobs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the command line says."""

    output: str = ""
    remap: str = ""
    commit: bool = False
    rehearse: bool = False
    carried: Carried = Carried()
    hosts: OnHosts = OnHosts()


def bootstrap(c: Context, environment: str | None, flags: Flags, *, check: bool) -> int:
    session = open_session((), environment)
    name = session.require_environment()
    _refuse_together(flags)
    place = session.start / flags.output if flags.output else session.root / "bootstrap" / folder_name(name)
    folder = GeneratedFolder(place)
    if flags.hosts.names:
        from pipeline.verbs import bootstrap_apply as applying

        on = flags.hosts
        given = applying.Flags(host_keys=on.keys, again=on.again, jobs=on.jobs, check=checks_only(c, check))
        return applying.apply(session, place, on.names, given)
    wish = _wish(session, flags)
    if flags.rehearse:
        from pipeline.verbs import bootstrap_rehearse

        return bootstrap_rehearse.run(session, wish)
    if flags.commit:
        from pipeline.verbs import bootstrap_commit

        return bootstrap_commit.run(session, wish, check=checks_only(c, check))
    _refuse_foreign(folder, name, wish)
    if checks_only(c, check):
        return _check(session, folder, wish)
    return _write(session, folder, wish)


def sources_of(session: Session) -> flow.Sources:
    return flow.Sources(
        platform=lambda: session.platform,
        exporter=lambda: session.bootstrap.exporter,
        gateway=lambda: session.gateway,
        records=lambda: session.records.all(),
        lost=session.bootstrap.lost,
        digests=session.bootstrap.digests,
    )


def write_down(session: Session, wish: flow.Wish, keep: flow.Keep) -> flow.Written:
    """The folder's files; tells what whoever runs this should know."""
    sources = sources_of(session)
    estate = flow.listed(sources, wish)
    session.console.mask(estate.sealed.values.values())
    found = flow.written(estate, sources, wish, keep, shell_libraries(LIBRARIES))
    for text in found.remarks:
        session.console.tell(text)
    return found


def counted(found: flow.Written) -> str:
    counts = {one.kind: one.exported for one in found.contents.counts}
    images = len(found.contents.inventory.images)
    return (
        f"{counts['stacks']} stacks, {images} images, {counts['volumes']} volumes, "
        f"{counts['entities']} entities of the gateway"
    )


def _write(session: Session, folder: GeneratedFolder, wish: flow.Wish) -> int:
    found = write_down(session, wish, folder.keep)
    folder.write(found.files)
    session.console.result(f"{_shown(session, folder.path)}: {counted(found)}")
    for one in found.contents.counts:
        if one.left_out:
            reasons = sorted({left.reason for left in one.left_out})
            count = sum(left.count for left in one.left_out)
            session.console.tell(f"not included: {count} {one.kind} ({'; '.join(reasons)})")
    return 0


def _check(session: Session, folder: GeneratedFolder, wish: flow.Wish) -> int:
    """Against the folder as it lies there: archives are taken for what its own sums say."""
    sums = folder.sums()
    wish = flow.Wish(
        remap=wish.remap,
        images=wish.images or any(name.startswith("images/") for name in sums),
        data=wish.data or any(name.startswith("data/") for name in sums),
        predecessors=wish.predecessors,
    )
    found = write_down(session, wish, _known(sums))
    lines = drift(found.files, folder.file, sums, where=_shown(session, folder.path))
    for line in lines:
        session.console.result(line)
    if not lines:
        session.console.result(f"{_shown(session, folder.path)} is as what runs: {counted(found)}")
    return PENDING if lines else 0


def _known(sums: dict[str, str]) -> flow.Keep:
    def keep(path: str, chunks: Iterator[bytes]) -> str:
        return sums.get(path) or digest_only(path, chunks)

    return keep


def _wish(session: Session, flags: Flags) -> flow.Wish:
    return flow.Wish(
        remap=_remap(session, flags.remap) if flags.remap else NO_REMAP,
        images=flags.carried.images,
        data=flags.carried.data,
        predecessors=flags.carried.predecessors,
    )


def _remap(session: Session, file: str) -> Remap:
    text = read_file(session.start / file, hint="--remap names a YAML file (docs/bootstrap.md).")
    return parse_remap(load_yaml(text, file), file=file)


def _refuse_together(flags: Flags) -> None:
    chosen = [word for word, on in (("--host", flags.hosts.names), ("--commit", flags.commit)) if on]
    chosen += ["--rehearse"] if flags.rehearse else []
    if len(chosen) > 1:
        raise BadInput(f"{' and '.join(chosen)} are different things", hint="Run invoke bootstrap once for each.")
    if flags.commit and (flags.carried.images or flags.carried.data):
        raise BadInput("archives do not go into a repository", hint="Leave --with-images and --with-data out.")
    if flags.hosts.names and (flags.remap or flags.carried.images or flags.carried.data):
        raise BadInput(
            "--host runs the folder as it is written",
            hint="Write it first, with --remap and archives as wanted; then run --host.",
        )


def _refuse_foreign(folder: GeneratedFolder, environment: str, wish: flow.Wish) -> None:
    """A folder with something else in it, or with another environment, is not written to."""
    document = folder.file(DOCUMENT)
    if document is None:
        if folder.path.is_dir() and any(folder.path.iterdir()):
            raise Refused(f"{folder.path} is not empty and no bootstrap", hint="Name another folder with --output.")
        return
    found = read_environment(document, file=str(folder.path / DOCUMENT)).get("environment")
    if found not in (environment, wish.remap.environment):
        raise Refused(f"{folder.path} holds the environment {found!r}", hint="Name another folder with --output.")


def _shown(session: Session, path: Path) -> str:
    return str(path.relative_to(session.root)) if path.is_relative_to(session.root) else str(path)
