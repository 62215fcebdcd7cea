"""ci: the GitLab pipeline is rendered and checked; a job waits for its engine; a review ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from pipeline.edge.files import read_file, write_file
from pipeline.edge.library import gitlab_schema, pipeline_pieces
from pipeline.errors import BadInput, PipelineError
from pipeline.flows import ci as flow
from pipeline.flows.build_plan import BuildPlan, Order, Wanted, plan
from pipeline.model.artifact import Artifact
from pipeline.model.ci import is_fork
from pipeline.model.ci_inputs import INPUTS, Input, parse_pairs, with_values
from pipeline.model.ci_template import PIECES, Form, Shape, render, render_child
from pipeline.model.stack import FoundStack, Stack
from pipeline.verbs.several import parse_number
from pipeline.verbs.sources import recipes_of, stack_of
from pipeline.wiring import Session, Work, open_session

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """`shape`: service or estate, empty for what the repository is; `form`: file or component; `given`: name=value."""

    shape: str
    form: str
    given: Sequence[str]


def template(services: Sequence[str], flags: Flags, *, changed: bool, output: str) -> int:
    """A service's pipeline, an estate's, or (changed) the estate's child with the services that changed."""
    session = open_session(tuple(services))
    pieces = pipeline_pieces(PIECES)
    values = parse_pairs(tuple(flags.given))
    if changed:
        text = render_child(_changed(session), _inputs(session, values), pieces)
    else:
        shape = _one_of("--shape", Shape, flags.shape) if flags.shape else _shape(session)
        text = render(shape, _one_of("--form", Form, flags.form), with_values(values), pieces)
    if not output:
        session.console.result(text.rstrip("\n"))
        return 0
    write_file(session.root / output, text.encode())
    session.console.tell(f"ci: {output} is written")
    return 0


def lint(file: str) -> int:
    """Offline. Raises BadInput with the last finding, when there are some; all are told, in two lines each."""
    session = open_session()

    def read(name: str) -> str:
        path = session.root / name.lstrip("/")
        written = "`invoke ci.template` writes one; --file names another."
        included = "An include: local names a file of the repository, from its root."
        text = read_file(path, hint=written if name == file else included)
        return text.decode("utf-8", "replace")

    findings = flow.lint(read(file), file=file, read=read, schema=gitlab_schema())
    for one in findings[:-1]:
        session.console.error(BadInput(f"{file}: {one}", hint=one.hint))
    if findings:
        raise flow.file_of_lint(findings, file)
    session.console.tell(f"ci: {file} fits GitLab's schema and our rules")
    return 0


def wait(seconds: str) -> int:
    """Until the engine that builds answers. Raises what the last try raised."""
    session = open_session()
    limit = parse_number("--seconds", seconds, least=1)
    tell = session.console.teller("ci")
    flow.await_engine(session.open_build_engine, clock=session.clock, seconds=limit, tell=tell)
    return 0


def stop(environment: str | None) -> int:
    """A second call finds nothing to do."""
    session = open_session((), environment)
    name = session.require_environment()
    tell = session.console.teller(name)
    if not flow.stop_review(name, session.platform, session.gateway, session.custody, tell):
        tell("there is nothing of it")
    return 0


def _shape(session: Session) -> Shape:
    return Shape.ESTATE if (session.root / session.settings.services).is_dir() else Shape.SERVICE


def _one_of(flag: str, kind: type[Word], text: str) -> Word:
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(word.value for word in kind)
        raise BadInput(f"{flag} {text!r} is none", hint=f"Choose one of {known}.") from None


def _inputs(session: Session, given: dict[str, str]) -> tuple[Input, ...]:
    """What the parent pipeline was given goes on to its child."""
    variables = session.variables
    handed_on = {one.name: variables[one.variable] for one in INPUTS if one.variable in variables}
    return with_values({**handed_on, **given})


def _changed(session: Session) -> tuple[str, ...]:
    """Each service's reason is told; one that cannot even be read fails the plan."""
    works = {work.release.service: work for work in session.works}
    orders = [Order(release=work.release, recipes=recipes_of(session, work)) for work in works.values()]
    wanted = Wanted(push=bool(session.settings.registry.prefix) and not is_fork(session.settings.variables))
    decided = plan(orders, session.builder, session.images, wanted)
    for error in decided.failed.values():
        raise error
    services = [_service(session, work, decided) for work in works.values()]
    found = flow.changed(services, _stacks(session))
    for name, reason in found.items():
        session.console.tell(f"{name}: {reason}")
    session.console.tell(f"ci: {len(found)} of {len(works)} services changed")
    return tuple(found)


def _service(session: Session, work: Work, decided: BuildPlan) -> flow.Service:
    of_service = decided.of(work.release.service)
    building = next((one.reason for one in of_service if one.found is None), "")
    stack: Stack | None = None
    if not building:
        images = tuple(one.found for one in of_service if one.found is not None)
        release = work.release
        stack = stack_of(
            session,
            work,
            Artifact(
                service=release.service,
                branch=release.branch,
                commit=release.commit,
                version=release.version,
                stack=release.stack,
                images=images,
            ),
        )
    return flow.Service(name=work.release.service, building=building, stack=stack)


def _stacks(session: Session) -> tuple[FoundStack, ...] | None:
    """What runs; None where the branch is only built. A platform that this job cannot ask has changed everything."""
    if not session.settings.environment:
        return None
    try:
        return session.platform.stacks()
    except PipelineError as error:
        session.console.tell(f"ci: what runs cannot be told, so every service is released: {error.what}")
        return ()
