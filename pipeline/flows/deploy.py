"""deploy: Images → Stack. The new one is started beside the old and has to become healthy; nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import Failed
from pipeline.model.clock import Clock, Deadline
from pipeline.model.release import DIRTY
from pipeline.model.secret import Secret
from pipeline.model.stack import Definition, FoundContainer, FoundStack, Stack
from pipeline.platforms.base import Platform

_POLL_SECONDS = 0.2
_STABLE_SECONDS = 2.0
_TOO_MANY_RESTARTS = 3
_LOG_LINES = 30


class Outcome(StrEnum):
    """What a deployment comes to."""

    NEW = "new"
    COMPLETED = "completed"
    REPLACED = "replaced"
    SAME = "already runs"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployPlan:
    """What `deploy` will do: `stack` is the name of the one that will run, an older one when nothing changed."""

    outcome: Outcome
    stack: str
    reason: str

    @property
    def changes(self) -> bool:
        return self.outcome not in (Outcome.SAME, Outcome.UNCHANGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What `deploy` did; `found` is the stack as it runs now."""

    plan: DeployPlan
    found: FoundStack
    seconds: float


def plan(stack: Stack, stacks: tuple[FoundStack, ...], *, force: bool) -> DeployPlan:
    """Decides from what runs in the environment. Pure: the same stacks give the same plan."""
    digest = stack.definition.digest()
    same_name = next((found for found in stacks if found.name == stack.name), None)
    if same_name is not None:
        return _plan_existing(stack, same_name, digest)
    unchanged = unchanged_stack(stack, stacks)
    if unchanged is not None and not force:
        return DeployPlan(outcome=Outcome.UNCHANGED, stack=unchanged.name, reason=f"unchanged since {unchanged.name}")
    return DeployPlan(outcome=Outcome.NEW, stack=stack.name, reason="a new stack, beside what runs now")


def unchanged_stack(stack: Stack, stacks: tuple[FoundStack, ...]) -> FoundStack | None:
    """The newest stack of the same service and branch when it runs, whole, what `stack` would run."""
    of_branch = [found for found in stacks if (found.service, found.branch) == (stack.service, stack.branch)]
    newest = max(of_branch, key=lambda found: found.created, default=None)
    if newest is None or newest.sameness != stack.sameness or not newest.serves:
        return None
    if newest.version.endswith(DIRTY) and newest.version != stack.version:
        # Equal today; but nobody can get it back from a commit.
        return None
    return newest if len(newest.containers) == _containers(stack.definition) else None


def deploy(
    stack: Stack,
    platform: Platform,
    *,
    secrets: Mapping[str, Secret],
    decided: DeployPlan,
    timeout: float,
    clock: Clock,
    tell: Callable[[str], None],
) -> Deployment:
    """Carries a plan out and waits until the stack is healthy, at most `timeout` seconds.

    A stack that fails is removed again, with its log shown first; what served before still does. So it is on Ctrl-C.
    A second call finds the stack as it is and changes nothing. Raises Failed with the reason.
    """
    started = clock.monotonic()
    before = platform.observe(stack.name)
    try:
        platform.start(stack, secrets)
        _wait_until_ready(stack, platform, Deadline(clock, timeout), tell)
    except BaseException as error:
        if isinstance(error, Failed):
            _show(stack, platform, tell)
        if decided.outcome is Outcome.NEW or isinstance(error, Failed):
            _remove_own(stack, platform, before, tell)
        raise
    _remove_replaced(stack, platform, tell)
    found = platform.observe(stack.name)
    if found is None:
        raise Failed(
            f"{stack.name} was removed by somebody else while it was deployed", hint="Run `invoke deploy` again."
        )
    return Deployment(plan=decided, found=found, seconds=clock.monotonic() - started)


def judge(definition: Definition, digest: str, found: FoundStack | None) -> tuple[str, str]:
    """`("ready", "")`, `("waiting", for what)` or `("failed", why)`. Pure."""
    containers = tuple(one for one in (found.containers if found else ()) if one.digest == digest)
    for container in containers:
        if why := _failure(container):
            return "failed", why
    missing = _containers(definition) - len(containers)
    if missing:
        return "waiting", f"{missing} containers to be there"
    waiting = [one for one in containers if one.state == "starting"]
    if waiting:
        return "waiting", ", ".join(f"{one.compose_service} to become healthy" for one in waiting)
    return "ready", ""


def _plan_existing(stack: Stack, found: FoundStack, digest: str) -> DeployPlan:
    current = tuple(container for container in found.containers if container.digest == digest)
    older = len(found.containers) - len(current)
    whole = len(current) == _containers(stack.definition) and all(
        container.state in ("healthy", "running") or container.done for container in current
    )
    if whole and not older:
        return DeployPlan(outcome=Outcome.SAME, stack=stack.name, reason="it already runs as defined")
    if older and not current:
        return DeployPlan(outcome=Outcome.REPLACED, stack=stack.name, reason="its definition changed")
    return DeployPlan(outcome=Outcome.COMPLETED, stack=stack.name, reason="an earlier run did not finish it")


def _wait_until_ready(stack: Stack, platform: Platform, deadline: Deadline, tell: Callable[[str], None]) -> None:
    digest = stack.definition.digest()
    stable_since: float | None = None
    told = ""
    while True:
        found = platform.observe(stack.name)
        verdict, why = judge(stack.definition, digest, found)
        if verdict == "failed":
            raise Failed(f"{stack.name} does not run: {why}", hint="Its log is above. Mend it and deploy again.")
        if verdict == "ready":
            stable_since = deadline.left if stable_since is None else stable_since
            if _has_health(stack.definition) or stable_since - deadline.left >= _STABLE_SECONDS:
                return
            why = "it to stay up"
        if deadline.passed:
            raise Failed(
                f"{stack.name} was not healthy after {deadline.seconds:g} s, waiting for {why}",
                hint="Its log is above. deploy_timeout in invoke.yaml gives it longer.",
            )
        if why != told:
            tell(f"waiting for {why}")
            told = why
        deadline.pause(_POLL_SECONDS)


def _failure(container: FoundContainer) -> str:
    name = container.compose_service
    if container.state == "stopped" and not container.done:
        return f"{name} exited with {container.exit_code}"
    if container.state == "unhealthy":
        return f"{name} is unhealthy"
    if container.restarts >= _TOO_MANY_RESTARTS:
        return f"{name} was restarted {container.restarts} times, it exits with {container.exit_code}"
    return ""


def _show(stack: Stack, platform: Platform, tell: Callable[[str], None]) -> None:
    for line in platform.explain(stack.name):
        tell(line)
    for line in platform.logs(stack.name, tail=_LOG_LINES, follow=False):
        tell(line)


def _remove_own(stack: Stack, platform: Platform, before: FoundStack | None, tell: Callable[[str], None]) -> None:
    """Removes what this run made; containers that were there before it stay."""
    there = {container.id for container in before.containers} if before is not None else set()
    found = platform.observe(stack.name)
    made = tuple(container for container in (found.containers if found else ()) if container.id not in there)
    if made:
        tell(f"removing {stack.name} again")
        platform.remove(made)


def _remove_replaced(stack: Stack, platform: Platform, tell: Callable[[str], None]) -> None:
    digest = stack.definition.digest()
    found = platform.observe(stack.name)
    older = tuple(container for container in (found.containers if found else ()) if container.digest != digest)
    if older:
        tell(f"removing {len(older)} containers of the replaced definition of {stack.name}")
        platform.remove(older)


def _containers(definition: Definition) -> int:
    return sum(service.scale for service in definition.services)


def _has_health(definition: Definition) -> bool:
    return any(service.health is not None for service in definition.services)
