"""build: Recipes → Images. All decisions are made before the first build; then all images of all services go through
one pool, each after those that it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from pipeline.builders.base import Builder, ImageStore, Listener, Making
from pipeline.errors import Failed, PipelineError
from pipeline.flows.build_plan import Action, BuildPlan, Decision, Order, Wanted
from pipeline.flows.pool import run_all
from pipeline.model.artifact import Artifact
from pipeline.model.build_report import BuildReport, ImageReport
from pipeline.model.cancel import Cancellation
from pipeline.model.clock import Clock
from pipeline.model.image import BuiltImage, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What images are made with: `tell` gets each reason, `log` the output, with the image that it is of; `deployed`
    gives what a service runs now (references, for the cache) and may fail."""

    builder: Builder
    images: ImageStore
    clock: Clock
    tell: Callable[[str, str], None]
    log: Callable[[Recipe], Listener]
    deployed: Callable[[str], tuple[str, ...]] = lambda _: ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What became of one service: its record, unless an image failed, and the report all the same."""

    report: BuildReport
    artifact: Artifact | None = None
    error: PipelineError | None = None


def build(plan: BuildPlan, orders: Sequence[Order], bench: Bench, wanted: Wanted) -> dict[str, BuildResult]:
    """The images of every release, made or found, and pushed when wanted: results by service.

    A second call with nothing changed writes nothing to engine and registry. One image that fails stops neither its
    service's others nor other services', unless `fail_fast`."""
    cancellation = Cancellation()
    run = _Run(bench=bench, wanted=wanted, cancellation=cancellation)
    jobs = {one.recipe.reference: _job(run, one) for one in plan.decisions}
    needs = {one.recipe.reference: tuple(one.siblings.values()) for one in plan.decisions}
    outcomes = run_all(jobs, needs, at_once=wanted.jobs, cancellation=cancellation, fail_fast=wanted.fail_fast)
    return {order.release.service: _result(order, plan, run, outcomes) for order in orders}


@dataclass(kw_only=True)
class _Run:
    """One carrying out: what the images that are done became, for those that are made from them."""

    bench: Bench
    wanted: Wanted
    cancellation: Cancellation
    made: dict[str, BuiltImage] = field(default_factory=dict)
    reports: dict[str, ImageReport] = field(default_factory=dict)


def _job(run: _Run, decision: Decision) -> Callable[[], BuiltImage]:
    """Carries out one decision; what it became is in the run's reports, also when it fails."""

    def job() -> BuiltImage:
        bench, recipe = run.bench, decision.recipe
        bench.tell(recipe.service, str(decision))
        started = bench.clock.monotonic()
        report = ImageReport(
            compose_service=recipe.compose_service,
            reference=recipe.reference,
            action=decision.action.value,
            reason=decision.reason,
            fingerprint=decision.sources.fingerprint,
        )
        try:
            image, report = _do(run, decision, report)
            if run.wanted.push:
                image = bench.images.push(image, recipe, bench.log(recipe))
        except PipelineError as error:
            run.reports[recipe.reference] = msgspec.structs.replace(report, action="failed", error=error.what)
            raise
        run.made[recipe.reference] = image
        seconds = round(bench.clock.monotonic() - started, 3)
        run.reports[recipe.reference] = msgspec.structs.replace(
            report, id=image.id, digest=image.digest, seconds=seconds
        )
        return image

    return job


def _do(run: _Run, decision: Decision, report: ImageReport) -> tuple[BuiltImage, ImageReport]:
    bench, recipe = run.bench, decision.recipe
    if decision.found is not None:
        if decision.action is Action.RETAG:
            return bench.images.tag(decision.found, recipe), report
        return decision.found, report
    making = Making(
        sources=decision.sources,
        no_cache=run.wanted.no_cache,
        cache=() if decision.warm or run.wanted.no_cache else _cache(bench, recipe),
        siblings={name: run.made[reference] for name, reference in decision.siblings.items()},
        secrets={name: decision.order.secrets[name] for name in recipe.secrets},
        push=run.wanted.push,
        cancellation=run.cancellation,
    )
    built = bench.builder.build(recipe, making, bench.log(recipe))
    made = msgspec.structs.replace(
        report,
        fingerprint=built.image.fingerprint,
        size=built.size,
        context_bytes=built.context_bytes,
        steps=built.steps,
        cached_steps=built.cached,
        cache=built.cache,
        builder=built.builder,
        attestations=built.attestations,
    )
    return built.image, made


def _cache(bench: Bench, recipe: Recipe) -> tuple[str, ...]:
    """The branch's newest image, the default branch's, what is deployed: in this order, where there is a registry."""
    named = [f"{recipe.repository}:{tag}" for tag in recipe.newest]
    if not named:
        return ()
    try:
        deployed = bench.deployed(recipe.service)
    except PipelineError as error:
        bench.tell(recipe.service, f"cache: what is deployed is not known: {error.what}")
        deployed = ()
    return (*named, *(one for one in deployed if one.startswith(f"{recipe.repository}@")))


def _result(
    order: Order, plan: BuildPlan, run: _Run, outcomes: Mapping[str, BuiltImage | PipelineError]
) -> BuildResult:
    release = order.release
    made = [outcomes[recipe.reference] for recipe in order.recipes if recipe.reference in outcomes]
    errors = [outcome for outcome in made if isinstance(outcome, PipelineError)]
    error = plan.failed.get(release.service) or _first(errors)
    reports = tuple(run.reports[one.reference] for one in order.recipes if one.reference in run.reports)
    report = BuildReport(
        service=release.service,
        branch=release.branch,
        commit=release.commit,
        version=release.version,
        stack=release.stack,
        images=reports,
    )
    if error is not None:
        return BuildResult(report=report, error=error)
    artifact = Artifact(
        service=release.service,
        branch=release.branch,
        commit=release.commit,
        version=release.version,
        stack=release.stack,
        images=tuple(outcome for outcome in made if isinstance(outcome, BuiltImage)),
    )
    return BuildResult(report=report, artifact=artifact)


def _first(errors: list[PipelineError]) -> PipelineError | None:
    """One failure is a service's own; of several the first is told with the number of the others."""
    if len(errors) < 2:
        return errors[0] if errors else None
    first = errors[0]
    more = "1 more image" if len(errors) == 2 else f"{len(errors) - 1} more images"
    several = Failed(f"{first.what} (and {more} of it failed)", hint=first.hint)
    several.exit_code = first.exit_code
    return several
