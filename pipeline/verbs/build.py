"""build: the images of each selected service, and the record that deploy reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from invoke.context import Context

from pipeline.builders.base import Listener
from pipeline.edge.files import write_file
from pipeline.errors import PipelineError
from pipeline.flows import build as flow
from pipeline.flows.build_plan import Action, BuildPlan, Order, Wanted, plan
from pipeline.model.artifact import Artifact, artifact_path, write_artifact
from pipeline.model.build_report import BuildReport, dotenv_path, report_path, write_dotenv, write_report
from pipeline.model.ci import is_fork
from pipeline.model.image import Recipe
from pipeline.verbs.ci_job import planning, section
from pipeline.verbs.several import checks_only, for_each, parse_number
from pipeline.verbs.sources import build_secrets, recipes_of
from pipeline.wiring import Session, Work, open_session

_MOST_AT_ONCE = 4
_FORK = "a merge request from a fork: its images are built; nothing is pushed, deployed or registered"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags of a verb that builds; empty `jobs` are as many as the machine has processors, at most 4."""

    push: bool
    no_cache: bool
    force: bool
    jobs: str = ""
    fail_fast: bool = False


def build(c: Context, services: Sequence[str], flags: Flags, *, check: bool) -> int:
    session = open_session(tuple(services))
    wanted = wanted_of(session, flags)
    if is_fork(session.settings.variables):
        session.console.tell(_FORK)
    if checks_only(c, check):
        pending = plan_all(session, session.works, wanted)
        return for_each(session, lambda work: result_of(pending, work))
    with planning(session, "build"), section(session, "build", "build"):
        built = build_all(session, session.works, wanted)
    return for_each(session, lambda work: _done(built, work), verb="build")


def wanted_of(session: Session, flags: Flags) -> Wanted:
    """Raises BadInput for a number of jobs that is none."""
    return Wanted(
        force=flags.force,
        no_cache=flags.no_cache,
        push=flags.push and bool(session.settings.registry.prefix) and not is_fork(session.settings.variables),
        jobs=parse_number("--jobs", flags.jobs or str(min(os.cpu_count() or 1, _MOST_AT_ONCE)), least=1),
        fail_fast=flags.fail_fast,
    )


def plan_all(session: Session, works: Iterable[Work], wanted: Wanted) -> dict[str, bool | PipelineError]:
    """Tells every decision; by service whether there is something to do, or why nothing can be said."""
    orders, failed = _orders(session, works)
    decided = plan(list(orders.values()), session.builder, session.images, wanted)
    for decision in decided.decisions:
        session.console.tell(f"{decision.recipe.service}: {decision}")
    pending = {service: any(one.changes for one in decided.of(service)) for service in orders}
    return {**pending, **failed, **decided.failed}


def build_all(session: Session, works: Iterable[Work], wanted: Wanted) -> dict[str, Artifact | PipelineError]:
    """Builds what has to be built, of all services at once, and keeps each one's record and report."""
    orders, failed = _orders(session, works)
    decided = plan(list(orders.values()), session.builder, session.images, wanted)
    try:
        results = flow.build(decided, list(orders.values()), _bench(session, decided), wanted)
    finally:
        session.end_building()
    found: dict[str, Artifact | PipelineError] = dict(failed)
    for service, result in results.items():
        _keep_report(session, result.report)
        if result.error is not None:
            found[service] = result.error
        elif result.artifact is not None:
            _write(session, artifact_path(service), write_artifact(result.artifact))
            found[service] = result.artifact
    return found


def result_of(results: Mapping[str, Result | PipelineError], work: Work) -> Result:
    """A service's own result. Raises its failure."""
    result = results[work.release.service]
    if isinstance(result, PipelineError):
        raise result
    return result


def _done(built: Mapping[str, Artifact | PipelineError], work: Work) -> bool:
    """Never pending. Raises the service's failure."""
    result_of(built, work)
    return False


def _orders(session: Session, works: Iterable[Work]) -> tuple[dict[str, Order], dict[str, PipelineError]]:
    """By service what is to be built, and which services cannot be read."""
    orders: dict[str, Order] = {}
    failed: dict[str, PipelineError] = {}
    for work in works:
        service = work.release.service
        if work.release.dirty:
            session.console.teller(service)(f"uncommitted changes: this is {work.release.version}")
        try:
            recipes = recipes_of(session, work)
            orders[service] = Order(
                release=work.release, recipes=recipes, secrets=build_secrets(session, work, recipes)
            )
        except PipelineError as error:
            failed[service] = error
    return orders, failed


def _bench(session: Session, decided: BuildPlan) -> flow.Bench:
    several = sum(decision.action is Action.BUILD for decision in decided.decisions) > 1

    def log(recipe: Recipe) -> Listener:
        """Of one image the log comes as it is, of several each line says whose it is."""
        name = recipe.repository.rpartition("/")[2]
        return session.console.teller(name, mark=" | ") if several else session.console.tell

    return flow.Bench(
        builder=session.builder,
        images=session.images,
        clock=session.clock,
        tell=lambda service, text: session.console.teller(service)(text),
        log=log,
        deployed=session.deployed_images,
    )


def _keep_report(session: Session, report: BuildReport) -> None:
    """The report of the build that made a release is not replaced by that of one that found all of it."""
    if report.changed or not (session.root / report_path(report.service)).exists():
        _write(session, report_path(report.service), write_report(report))
        _write(session, dotenv_path(report.service), write_dotenv(report))


def _write(session: Session, name: str, content: bytes) -> None:
    path = session.root / name
    if not path.exists() or path.read_bytes() != content:
        write_file(path, content)
