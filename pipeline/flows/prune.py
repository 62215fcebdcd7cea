"""prune: a plan is carried out, and decides nothing. First the gateway's dead ends, then stacks, then their images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from pipeline.errors import PipelineError
from pipeline.flows.fresh_routes import FreshRoutes
from pipeline.flows.lease import Hold
from pipeline.flows.pool import run_all
from pipeline.gateways.base import Custody, Gateway
from pipeline.ledgers.base import Records
from pipeline.model.cancel import Cancellation
from pipeline.model.prune import DeadRoute, Fate, PrunePlan, Verdict, dead_routes
from pipeline.model.record import Record
from pipeline.model.snapshot import Snapshot
from pipeline.model.surroundings import FoundImage
from pipeline.platforms.base import Upkeep

AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What a prune works with: `holds` are the leases of its services, `record` makes what a record says of a step.
    `at_once` stacks are stopped and removed at a time."""

    gateway: Gateway
    custody: Custody
    upkeep: Upkeep
    records: Records
    holds: Mapping[str, Hold]
    record: Callable[[str], Record]
    tell: Callable[[str], None]
    at_once: int = AT_ONCE


@dataclass(kw_only=True)
class Pruned:
    """What became of it: names, and of what was spared or failed the reason. `space` in bytes of images."""

    routes: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    spared: dict[str, str] = field(default_factory=dict)
    failed: dict[str, PipelineError] = field(default_factory=dict)
    space: int = 0


def agreed(shown: PrunePlan, now: PrunePlan) -> PrunePlan:
    """What of the plan that was shown still holds: a step is taken only when both say so, for one and the same."""
    fates = {verdict.stack.name: verdict.fate for verdict in shown.stacks}
    routes = {dead.route.id for dead in shown.routes}
    images = {verdict.image.id for verdict in shown.images if verdict.goes}
    return PrunePlan(
        environment=now.environment,
        services=now.services,
        stacks=tuple(verdict for verdict in now.stacks if fates.get(verdict.stack.name) is verdict.fate),
        routes=tuple(dead for dead in now.routes if dead.route.id in routes),
        images=tuple(verdict for verdict in now.images if verdict.image.id in images),
        volumes=now.volumes,
        staying=now.staying | shown.staying,
    )


def apply(plan: PrunePlan, snapshot: Snapshot, hands: Hands) -> Pruned:
    """Does the plan's steps. One that fails does not stop the others; Ctrl-C stops after those that are begun. A second
    call, or one after an interruption, does what is left. What a route leads to in the meantime is spared."""
    done = Pruned()
    fresh = FreshRoutes(snapshot, hands.gateway, hands.custody)
    before = hands.upkeep.space() if any(verdict.goes for verdict in plan.images) else 0
    for dead in plan.routes:
        _attempt(dead.route.label, partial(_remove_route, dead, plan, fresh, hands, done), done)
    _put_away([one for one in plan.stacks if one.fate is not Fate.KEEP], fresh, hands, done)
    for verdict in plan.images:
        if verdict.goes:
            _attempt(verdict.image.label, partial(_remove_image, verdict.image, hands, done), done)
    done.space = max(0, before - hands.upkeep.space()) if done.images else 0
    return done


def _remove_route(dead: DeadRoute, plan: PrunePlan, fresh: FreshRoutes, hands: Hands, done: Pruned) -> None:
    label, service = dead.route.label, dead.route.owner.service
    hands.holds[service].check()
    now = {one.route.id: one.route for one in dead_routes(fresh.snapshot(), plan.services)}
    if dead.route.id not in now:
        done.spared[label] = "it leads somewhere now, or is gone"
        return
    hands.records.append(_written(hands.record(service), f"remove route: {dead.reason}", dead=dead))
    hands.gateway.apply(hands.custody.plan_removal(dead.route))
    done.routes.append(label)
    hands.tell(f"{label}: removed from the gateway: {dead.reason}")


def _put_away(verdicts: list[Verdict], fresh: FreshRoutes, hands: Hands, done: Pruned) -> None:
    """Several at once, because most of the time goes by while they stop; the oldest first, so that whatever ends this
    early has cost the least of the way back."""
    verdicts = sorted(verdicts, key=lambda one: (one.stack.created, one.stack.name))
    one_at_a_time = threading.Lock()
    jobs = {one.stack.name: partial(_put_one_away, one, fresh, hands, one_at_a_time) for one in verdicts}
    outcomes = run_all(
        jobs, dict.fromkeys(jobs, ()), at_once=hands.at_once, cancellation=Cancellation(), fail_fast=False
    )
    for verdict in verdicts:
        name = verdict.stack.name
        outcome = outcomes[name]
        if isinstance(outcome, PipelineError):
            done.failed[name] = outcome
        elif outcome:
            done.spared[name] = outcome
        else:
            (done.removed if verdict.fate is Fate.REMOVE else done.stopped).append(name)


def _put_one_away(verdict: Verdict, fresh: FreshRoutes, hands: Hands, one_at_a_time: threading.Lock) -> str:
    """Why it was spared, or nothing. It is written down first: a run that is killed has done no more than history says.
    The gateway is asked last, right before the step."""
    stack = verdict.stack
    hands.holds[stack.service].check()
    with one_at_a_time:
        hands.records.append(
            _written(hands.record(stack.service), f"{verdict.fate}: {verdict.reason}", verdict=verdict)
        )
    if routes := fresh.reaching(stack):
        return f"the route {routes[0].label} leads to it now"
    if verdict.fate is Fate.REMOVE:
        hands.upkeep.remove(stack.containers)
    else:
        hands.upkeep.stop(stack.containers)
    hands.tell(f"{stack.name}: {'removed' if verdict.fate is Fate.REMOVE else 'stopped'}: {verdict.reason}")
    return ""


def _remove_image(image: FoundImage, hands: Hands, done: Pruned) -> None:
    hands.holds[image.service].check()
    if hands.upkeep.remove_image(image):
        done.images.append(image.label)
    else:
        done.spared[image.label] = "a container has it"


def _attempt(name: str, step: Callable[[], None], done: Pruned) -> None:
    try:
        step()
    except PipelineError as error:
        done.failed[name] = error


def _written(record: Record, outcome: str, *, verdict: Verdict | None = None, dead: DeadRoute | None = None) -> Record:
    import msgspec

    stack = verdict.stack if verdict else None
    return msgspec.structs.replace(
        record,
        outcome=outcome,
        stack=stack.name if stack else "",
        branch=stack.branch if stack else "",
        commit=stack.commit if stack else "",
        version=stack.version if stack else "",
        route_before=dead.route.upstream if dead else "",
    )
