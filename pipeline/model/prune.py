"""prune's plan: Snapshot → what stays, stops and goes, each with its reason. A plan depends on the snapshot alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import Refused
from pipeline.model.history import Version
from pipeline.model.prune_images import ImageVerdict, judge_images
from pipeline.model.prune_rules import RULES, PrunePolicy, Rule, View, in_its_time
from pipeline.model.route import FoundRoute, tag_word
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundStack
from pipeline.model.surroundings import FoundVolume
from pipeline.model.whose_gateway import refuse_other_environment

PRUNE_VERSION = 1


class Fate(StrEnum):
    """What becomes of a stack."""

    KEEP = "keep"
    STOP = "stop"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of one stack, and why."""

    stack: FoundStack
    fate: Fate
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadRoute:
    """A route of ours whose stacks are gone."""

    route: FoundRoute
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """All that was found, by service and age, with what becomes of it. Volumes are only ever listed; `staying` are the
    releases that run or may come back."""

    environment: str
    services: tuple[str, ...]
    stacks: tuple[Verdict, ...]
    routes: tuple[DeadRoute, ...]
    images: tuple[ImageVerdict, ...]
    volumes: tuple[FoundVolume, ...]
    staying: frozenset[Version] = frozenset()

    @property
    def pending(self) -> bool:
        """Whether there is anything to be done."""
        touched = any(verdict.fate is not Fate.KEEP for verdict in self.stacks)
        return touched or bool(self.routes) or any(verdict.goes for verdict in self.images)

    def of(self, fate: Fate) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.stacks if verdict.fate is fate)


def plan_prune(
    snapshot: Snapshot,
    policy: PrunePolicy,
    *,
    services: tuple[str, ...] = (),
    claimed: frozenset[str] = frozenset(),
) -> PrunePlan:
    """What prune would do to the services (default: all that are there). The same snapshot gives the same plan.

    `claimed` are images that other environments' records name.
    Refused when the snapshot is incomplete, and when the gateway leads to no running stack of a service that has some.
    """
    refuse_incomplete(snapshot)
    refuse_foreign_gateway(snapshot)
    asked = frozenset(services)
    chosen = tuple(name for name in snapshot.services if not asked or name in asked)
    views = [View(snapshot=snapshot, service=name, policy=policy) for name in chosen]
    refuse_wrong_gateway(views)
    unlabelled = View(snapshot=snapshot, service="", policy=policy)
    verdicts = tuple(judge(stack, view) for view in (*views, unlabelled) for stack in view.stacks)
    staying = _staying(verdicts, views)
    return PrunePlan(
        environment=snapshot.environment,
        services=chosen,
        staying=staying,
        stacks=tuple(sorted(verdicts, key=lambda one: (one.stack.service, -one.stack.created, one.stack.name))),
        routes=dead_routes(snapshot, chosen),
        images=judge_images(snapshot, staying, services=chosen, claimed=claimed),
        volumes=tuple(one for one in snapshot.surroundings.volumes if one.environment == snapshot.environment),
    )


def judge(stack: FoundStack, view: View, rules: tuple[Rule, ...] = RULES) -> Verdict:
    """The first rule that keeps it says why; what none keeps stops at once and goes after its grace time."""
    for rule in rules:
        if reason := rule(stack, view):
            return Verdict(stack=stack, fate=Fate.KEEP, reason=reason)
    waiting = in_its_time(stack, view)
    if waiting is None:
        return Verdict(stack=stack, fate=Fate.REMOVE, reason=_why_not(stack, view))
    if waiting.untouched or not stack.runs:
        return Verdict(stack=stack, fate=Fate.KEEP, reason=waiting.reason)
    return Verdict(stack=stack, fate=Fate.STOP, reason=f"{waiting.reason}: removed later")


def refuse_incomplete(snapshot: Snapshot, *needed: str) -> None:
    """Raises Refused naming the sources that could not be read, of those that are needed (default: all)."""
    missing = [(source, reason) for source, reason in snapshot.missing if not needed or source in needed]
    if missing:
        named = "; ".join(f"{source}: {reason}" for source, reason in missing)
        raise Refused(
            f"{snapshot.environment} could not be read completely: {named}",
            hint="Nothing is changed on half of the truth: mend that, run it again. `invoke status` shows the rest.",
        )


def refuse_foreign_gateway(snapshot: Snapshot) -> None:
    """Raises Refused for a gateway whose routes carry another environment's name."""
    named = {route.owner.environment for route in snapshot.routes if route.owner.ours}
    refuse_other_environment(snapshot.environment, named)


def refuse_wrong_gateway(views: list[View]) -> None:
    """Raises Refused for services that run, were registered as far as anyone knows, and are reached by no route."""
    lost = []
    for view in views:
        running = {stack.name for stack in view.stacks if stack.runs}
        if running and not running & view.serving and _was_registered(view):
            lost.append(view)
    if lost:
        names = ", ".join(view.service for view in lost)
        raise Refused(
            f"no route of this gateway leads to a running stack of {names}: it was wiped, or it is not "
            f"{lost[0].snapshot.environment}'s",
            hint="Check KONG_ADMIN_URL; bring the routes back with `invoke restore --latest` or `invoke register`.",
        )


def dead_routes(snapshot: Snapshot, services: tuple[str, ...]) -> tuple[DeadRoute, ...]:
    """Routes of ours that lead, by name, to stacks that are not here, of services without a running stack."""
    environment, chosen = tag_word(snapshot.environment), frozenset(services)
    known = {stack.name for stack in (*snapshot.stacks, *snapshot.surroundings.strangers)}
    found = []
    for route in snapshot.routes:
        if route.owner.environment != environment or route.owner.service not in chosen:
            continue
        named = snapshot.named_stacks(route)
        if len(named) == len(snapshot.destinations(route)) and named and not known.intersection(named):
            reason = f"{', '.join(route.paths)} leads to {', '.join(named)}, which is gone"
            found.append(DeadRoute(route=route, reason=reason))
    return tuple(found)


def _was_registered(view: View) -> bool:
    """Where nothing is recorded at all, a registration is assumed: it is the safe side."""
    return bool(view.history.served) or not view.snapshot.is_recorded(view.service)


def _staying(verdicts: tuple[Verdict, ...], views: list[View]) -> frozenset[Version]:
    """The releases whose images stay: those that do, and each service's way back, whether or not it is here."""
    stays = (verdict.stack for verdict in verdicts if verdict.fate is not Fate.REMOVE)
    found = {Version(stack=stack.name, version=stack.version) for stack in stays}
    for view in views:
        found.update(view.history.back(serving=view.serving)[: max(1, view.policy.keep_of(view.service))])
    return frozenset(found)


def _why_not(stack: FoundStack, view: View) -> str:
    if view.is_bad(stack):
        return "was rolled back from"
    if not view.history.has_served(stack.name):
        return "never served" if view.history.served else "no record says that it served"
    return "serves nothing any more, and newer ones are kept" if view.back else "serves nothing any more"
