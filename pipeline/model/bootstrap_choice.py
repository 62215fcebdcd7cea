"""Which stacks of an environment are written down: those that serve. Each of the others has its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.model.inventory import LeftOut
from pipeline.model.lead import Lead, serving
from pipeline.model.route import stack_of_upstream
from pipeline.model.stack import FoundStack


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The stacks that are taken, by name, each with the routes that reach it; and those that are not."""

    taken: Mapping[str, tuple[Lead, ...]]
    left_out: tuple[LeftOut, ...]
    ill: tuple[str, ...]


def choose(stacks: tuple[FoundStack, ...], found: tuple[Lead, ...], *, predecessors: bool) -> Choice:
    """Those that a route leads to. Of a service without any route, the newest that runs. With `predecessors`, of each
    branch that serves also the newest one before, for the way back."""
    routes_of = reached(stacks, found)
    taken = {name: routes for name, routes in routes_of.items() if routes}
    routed = {stack.service for stack in stacks if stack.name in taken}
    for service in sorted({stack.service for stack in stacks} - routed):
        running = [stack for stack in stacks if stack.service == service and stack.serves]
        if running:
            taken[max(running, key=_age).name] = ()
    if predecessors:
        for name in list(taken):
            stack = next(one for one in stacks if one.name == name)
            if before := _before(stack, stacks, taken):
                taken[before.name] = ()
    left_out = [
        LeftOut(kind="stacks", name=stack.name, reason=_reason(stack)) for stack in stacks if stack.name not in taken
    ]
    return Choice(
        taken=dict(sorted(taken.items())),
        left_out=tuple(sorted(left_out)),
        ill=tuple(sorted(f"{stack.name} is {stack.state}" for stack in stacks if stack.name in taken and _ill(stack))),
    )


def reached(stacks: tuple[FoundStack, ...], found: tuple[Lead, ...]) -> dict[str, tuple[Lead, ...]]:
    """Stack → the routes that reach it, without comparing every stack with every route."""
    named: dict[str, list[Lead]] = {}
    for lead in found:
        for name in _names(lead):
            named.setdefault(name, []).append(lead)
    return {stack.name: serving(stack, tuple(named.get(stack.name, ()))) for stack in stacks}


def _names(lead: Lead) -> Iterator[str]:
    yield from {lead.stack, *map(stack_of_upstream, lead.urls)} - {""}


def _before(stack: FoundStack, stacks: tuple[FoundStack, ...], taken: Mapping[str, object]) -> FoundStack | None:
    same = [one for one in stacks if (one.service, one.branch) == (stack.service, stack.branch)]
    older = [one for one in same if _age(one) < _age(stack) and one.name not in taken and one.serves]
    return max(older, key=_age, default=None)


def _reason(stack: FoundStack) -> str:
    return "no route leads to it" if stack.serves else "it does not run, and no route leads to it"


def _ill(stack: FoundStack) -> bool:
    return not stack.serves and not all(one.done for one in stack.containers)


def _age(stack: FoundStack) -> tuple[float, str]:
    return stack.created, stack.name
