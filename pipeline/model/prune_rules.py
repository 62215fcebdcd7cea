"""The rules of prune: each a function that says why a stack stays, or nothing. Pure; time comes with the view.

A new rule: a function here, its place in RULES, and a golden case in tests/golden/prune."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from pipeline.model.history import History, is_in_place
from pipeline.model.snapshot import Snapshot
from pipeline.model.span import shown_span
from pipeline.model.stack import FoundStack

_WELL = ("healthy", "running", "stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePolicy:
    """What stays beside what serves: `keep` releases of each service (`keeps` has those of services that say so), and
    for `grace` seconds whatever a route has left, stopped. Nothing is touched before `settle` seconds have passed."""

    keep: int = 1
    keeps: tuple[tuple[str, int], ...] = ()
    grace: float = 3600.0
    settle: float = 15.0

    def keep_of(self, service: str) -> int:
        return dict(self.keeps).get(service, self.keep)


@dataclass(frozen=True, kw_only=True)
class View:
    """One service of a snapshot, as the rules look at it."""

    snapshot: Snapshot
    service: str
    policy: PrunePolicy

    @cached_property
    def stacks(self) -> tuple[FoundStack, ...]:
        return self.snapshot.of(self.service)

    @cached_property
    def history(self) -> History:
        return self.snapshot.history(self.service)

    @cached_property
    def serving(self) -> frozenset[str]:
        return frozenset(stack.name for stack in self.stacks if self.snapshot.may_reach(stack))

    @cached_property
    def back(self) -> tuple[str, ...]:
        """The stacks to go back to that are here, the predecessor first; those of which no record says that they served
        after them, the newest first."""
        here = {stack.name for stack in self.stacks} - self.serving
        served = dict.fromkeys(one.stack for one in self.history.back(serving=self.serving) if one.stack in here)
        others = [one for one in self.stacks if one.name not in served and self._might_have_served(one)]
        others.sort(key=lambda stack: (-stack.created, stack.name))
        return (*served, *(one.name for one in others))

    @cached_property
    def newest(self) -> dict[str, str]:
        """The newest stack of each branch that was not given up as bad."""
        found: dict[str, FoundStack] = {}
        for stack in self.stacks:
            there = found.get(stack.branch)
            younger = there is None or (stack.created, stack.name) > (there.created, there.name)
            if younger and not self.is_bad(stack):
                found[stack.branch] = stack
        return {branch: stack.name for branch, stack in found.items()}

    def is_bad(self, stack: FoundStack) -> bool:
        return any(one.stack == stack.name for one in self.history.bad)

    def left_at(self, stack: FoundStack) -> float:
        """When the last route left it (now, when nothing says so); for one that never served, when it was made."""
        if self.history.has_served(stack.name):
            return self.history.left_at(stack.name) or self.snapshot.now
        return max((one.created for one in stack.containers), default=0.0)

    def _might_have_served(self, stack: FoundStack) -> bool:
        """Failed releases do not count: where there are records, one that never served; else one that is not well."""
        if self.history.served or self.is_bad(stack) or stack.name in self.serving:
            return False
        return stack.state in _WELL


Rule = Callable[[FoundStack, View], str]


def is_not_ours(stack: FoundStack, view: View) -> str:
    if stack.environment != view.snapshot.environment:
        return f"it belongs to the environment {stack.environment or 'of nobody'}"
    missing = [name for name in ("service", "branch", "version") if not getattr(stack, name)]
    return f"it has no label of its {', '.join(missing)}" if missing else ""


def serves(stack: FoundStack, view: View) -> str:
    routes = view.snapshot.may_reach(stack)
    shown = ", ".join(f"{', '.join(route.paths) or 'a request'} (route {route.label})" for route in routes[:3])
    return f"serves {shown}" if routes else ""


def is_replaced_in_place(stack: FoundStack, _: View) -> str:
    return "is replaced in place" if is_in_place(stack.name, stack.version) else ""


def is_in_transition(stack: FoundStack, view: View) -> str:
    for lease in view.snapshot.leases:
        if lease.name.rpartition(".")[2] == stack.service and not lease.expired:
            return f"is being changed by {lease.holder}"
    starting = stack.state == "starting" and view.snapshot.now - stack.created < view.policy.grace
    return "is starting" if starting else ""


def is_pinned(stack: FoundStack, _: View) -> str:
    return "is pinned by its label pipeline.keep" if stack.pinned else ""


def is_not_registered_yet(stack: FoundStack, view: View) -> str:
    never = view.snapshot.is_recorded(stack.service) and not view.history.served and not view.serving
    return f"no release of {stack.service} was registered yet" if never else ""


def is_predecessor(stack: FoundStack, view: View) -> str:
    return "is the previous release: rollback goes there" if view.back[:1] == (stack.name,) else ""


def is_kept_by_count(stack: FoundStack, view: View) -> str:
    keep = view.policy.keep_of(stack.service)
    return f"is among the {keep} kept beside what serves" if stack.name in view.back[:keep] else ""


def is_newest_of_a_branch(stack: FoundStack, view: View) -> str:
    if view.newest.get(stack.branch) != stack.name:
        return ""
    branches = view.snapshot.branches
    if branches is None:
        return f"is the newest of {stack.branch}, and whether that branch still exists cannot be told"
    return f"is the newest of {stack.branch}, which still exists" if stack.branch in branches else ""


RULES: tuple[Rule, ...] = (
    is_not_ours,
    serves,
    is_replaced_in_place,
    is_in_transition,
    is_pinned,
    is_not_registered_yet,
    is_predecessor,
    is_kept_by_count,
    is_newest_of_a_branch,
)
"""Whoever one of these names stays as it is. The grace time comes after them: it stops, and removes later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What of the times counts for a stack that no rule keeps: why it is not removed yet, or not even stopped."""

    reason: str
    untouched: bool


def in_its_time(stack: FoundStack, view: View) -> Waiting | None:
    """None once every time is over. The grace time counts from the moment the route left it, by the records; one in the
    future (they have whole seconds, and clocks differ) is now."""
    policy = view.policy
    gone = max(0.0, view.snapshot.now - view.left_at(stack))
    since = "its route left it" if view.history.has_served(stack.name) else "it was made, and never served,"
    if gone < policy.settle:
        reason = f"{since} {shown_span(gone)} ago, and settles for {shown_span(policy.settle)}"
        return Waiting(reason=reason, untouched=True)
    if gone < policy.grace:
        return Waiting(reason=f"{since} {shown_span(gone)} ago, grace is {shown_span(policy.grace)}", untouched=False)
    return None
