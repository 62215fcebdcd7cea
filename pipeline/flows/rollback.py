"""rollback: a release that served before runs again, healthy, so that requests can be sent to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.errors import Failed
from pipeline.flows import deploy as deploying
from pipeline.model.clock import Clock, Deadline
from pipeline.model.rollback import How, RollbackPlan
from pipeline.model.secret import Secret
from pipeline.model.stack import Definition, FoundContainer, FoundStack, Stack
from pipeline.platforms.base import Platform, Upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class Bringing:
    """How a release is brought back: `stack` is what its record describes (None of an adopted one), `secrets` gives
    their values and is asked only where containers are made again. `timeout` in seconds, until it is healthy; `steady`
    for how long it has to stay so."""

    stack: Stack | None
    secrets: Callable[[Stack], Mapping[str, Secret]]
    timeout: float
    steady: float = 0.0


def bring_back(
    plan: RollbackPlan,
    bringing: Bringing,
    platform: Platform,
    upkeep: Upkeep,
    *,
    clock: Clock,
    tell: Callable[[str], None],
    go_on: Callable[[], None],
) -> FoundStack:
    """The stack, running and healthy; what serves is not touched. A second call finds it so.

    Raises Failed with the reason. What was stopped stays started then: it serves nothing, and prune stops it again.
    """
    stack = bringing.stack
    if plan.how is How.RECREATED:
        return _recreate(plan, bringing, platform, clock=clock, tell=tell, go_on=go_on)
    if plan.how is How.STARTS and plan.found is not None:
        upkeep.resume(_in_order(plan.found.containers, stack.definition if stack else None))
    if stack is not None:
        deadline = Deadline(clock, bringing.timeout)
        deploying.wait_until_ready(stack, platform, deadline, tell, steady=bringing.steady)
    found = platform.observe(plan.target.stack) if stack is not None else plan.found
    if found is None:
        raise Failed(f"{plan.target.stack} was removed by somebody else", hint="Run the same again.")
    return found


def _recreate(
    plan: RollbackPlan,
    bringing: Bringing,
    platform: Platform,
    *,
    clock: Clock,
    tell: Callable[[str], None],
    go_on: Callable[[], None],
) -> FoundStack:
    stack = bringing.stack
    if stack is None:
        raise Failed(f"{plan.target.stack} cannot be made again", hint="Choose another one with --to.")
    decided = deploying.DeployPlan(outcome=deploying.Outcome.NEW, stack=stack.name, reason=plan.how.value)
    attempt = deploying.Attempt(
        stack=stack,
        decided=decided,
        secrets=bringing.secrets(stack),
        timeout=bringing.timeout,
        steady=bringing.steady,
    )
    return deploying.deploy(attempt, platform, clock=clock, tell=tell, go_on=go_on).found


def _in_order(containers: tuple[FoundContainer, ...], definition: Definition | None) -> tuple[FoundContainer, ...]:
    """What does not run of it, dependencies first. One that was made and never started (a run was killed in between)
    counts as starting."""
    names = [service.name for service in definition.services] if definition else []
    order = {name: place for place, name in enumerate(names)}
    known = sorted(containers, key=lambda one: (order.get(one.compose_service, len(order)), one.name))
    return tuple(one for one in known if one.state in ("stopped", "starting") and not one.done)
