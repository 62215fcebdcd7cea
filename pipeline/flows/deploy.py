"""deploy: Images → Stack. The new one is started beside the old and has to become healthy; nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pipeline.errors import Failed, PipelineError, Refused
from pipeline.model.clock import Clock, Deadline
from pipeline.model.release import DIRTY
from pipeline.model.secret import Secret
from pipeline.model.stack import UNKNOWN_EXIT, Definition, FoundContainer, FoundStack, Stack
from pipeline.platforms.base import Platform

_SHORTEST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.05, 0.25
_POLL_SHARE = 0.05
_STABLE_SECONDS = 2.0
_TOO_MANY_RESTARTS = 3
_LOG_LINES = 30

Verdict = Literal["ready", "waiting", "failed"]


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
class Attempt:
    """A deployment that is to be made, in at most `timeout` seconds. `finished`: an earlier one of this very stack was
    finished, so that requests may be going to it, and what runs of it stays when this one fails. `steady`: seconds for
    which a healthy stack has to stay so, where what the platform says of it lags behind."""

    stack: Stack
    decided: DeployPlan
    secrets: Mapping[str, Secret]
    timeout: float
    finished: bool = False
    steady: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What `deploy` did; `found` is the stack as it runs now."""

    plan: DeployPlan
    found: FoundStack
    seconds: float


def plan(stack: Stack, stacks: tuple[FoundStack, ...], *, force: bool) -> DeployPlan:
    """Decides from what runs in the environment. Pure: the same stacks give the same plan.

    Raises Refused when the stack's name is another service's.
    """
    same_name = next((found for found in stacks if found.name == stack.name), None)
    if same_name is None:
        unchanged = unchanged_stack(stack, stacks)
        if unchanged is not None and not force:
            return _unchanged(unchanged)
        return DeployPlan(outcome=Outcome.NEW, stack=stack.name, reason="a new stack, beside what runs now")
    if same_name.service != stack.service:
        raise Refused(
            f"{stack.name} is a stack of the service {same_name.service!r}, not of {stack.service!r}",
            hint="Two services' and branches' names make one: rename the branch, or one service (pipeline.name).",
        )
    return _plan_existing(stack, same_name, force=force)


def unchanged_stack(stack: Stack, stacks: tuple[FoundStack, ...]) -> FoundStack | None:
    """The newest stack of the same service and branch when it runs, whole, what `stack` would run."""
    of_branch = [found for found in stacks if (found.service, found.branch) == (stack.service, stack.branch)]
    newest = max(of_branch, key=lambda found: found.created, default=None)
    return newest if newest is not None and _runs_the_same(newest, stack) else None


def deploy(
    attempt: Attempt,
    platform: Platform,
    *,
    clock: Clock,
    tell: Callable[[str], None],
    go_on: Callable[[], None] = lambda: None,
) -> Deployment:
    """Carries a plan out and waits until the stack is healthy. `go_on` raises when the lease is no longer ours.

    A stack that fails is removed again, with its log shown first; what served before still does. So it is on Ctrl-C.
    A second call finds the stack as it is and changes nothing. Raises Failed with the reason.
    """
    started = clock.monotonic()
    stack = attempt.stack
    before = platform.observe(stack.name)
    try:
        platform.start(stack, attempt.secrets)
        wait_until_ready(stack, platform, Deadline(clock, attempt.timeout), tell, steady=attempt.steady)
    except BaseException as error:
        _clean_up(attempt, platform, before, error, tell)
        raise
    go_on()
    _remove_replaced(stack, platform, tell)
    found = platform.observe(stack.name)
    if found is None:
        raise Failed(
            f"{stack.name} was removed by somebody else while it was deployed", hint="Run `invoke deploy` again."
        )
    return Deployment(plan=attempt.decided, found=found, seconds=clock.monotonic() - started)


def judge(definition: Definition, digest: str, found: FoundStack | None) -> tuple[Verdict, str]:
    """`("ready", "")`, `("waiting", for what)` or `("failed", why)`. Pure."""
    containers = _of_definition(found, digest)
    for container in containers:
        if why := _failure(container):
            return "failed", why
    missing = _count(definition) - len(containers)
    if missing:
        return "waiting", f"{missing} containers to be there"
    waiting = [one for one in containers if one.state == "starting"]
    if waiting:
        return "waiting", ", ".join(dict.fromkeys(map(_awaited, waiting)))
    return "ready", ""


def _plan_existing(stack: Stack, found: FoundStack, *, force: bool) -> DeployPlan:
    current = _of_definition(found, stack.definition.digest())
    older = len(found.containers) - len(current)
    whole = len(current) == _count(stack.definition) and all(
        container.state in ("healthy", "running") or container.done for container in current
    )
    if whole and not older:
        return DeployPlan(outcome=Outcome.SAME, stack=stack.name, reason="it already runs as defined")
    if older and not current:
        # In place, the next commit has this stack's name; and an image may be built anew from the same sources.
        if _runs_the_same(found, stack) and not force:
            return _unchanged(found)
        return DeployPlan(outcome=Outcome.REPLACED, stack=stack.name, reason="its definition changed")
    return DeployPlan(outcome=Outcome.COMPLETED, stack=stack.name, reason="an earlier run did not finish it")


def _unchanged(found: FoundStack) -> DeployPlan:
    return DeployPlan(outcome=Outcome.UNCHANGED, stack=found.name, reason=f"unchanged since {found.name}")


def _runs_the_same(found: FoundStack, stack: Stack) -> bool:
    """Equal and whole. What was made from uncommitted changes is not: nobody can get it back from a commit."""
    if found.version.endswith(DIRTY) and found.version != stack.version:
        return False
    return found.sameness == stack.sameness and found.serves and len(found.containers) == _count(stack.definition)


def wait_until_ready(
    stack: Stack, platform: Platform, deadline: Deadline, tell: Callable[[str], None], *, steady: float
) -> None:
    digest = stack.definition.digest()
    ready_with: float | None = None
    told = ""
    while True:
        found = platform.observe(stack.name)
        verdict, why = judge(stack.definition, digest, found)
        if verdict == "failed":
            raise Failed(f"{stack.name} does not run: {why}", hint="Its log is above. Mend it and deploy again.")
        if verdict == "ready":
            ready_with = deadline.left if ready_with is None else ready_with
            probed = any(container.state == "healthy" for container in _of_definition(found, digest))
            if ready_with - deadline.left >= max(steady, 0.0 if probed else _STABLE_SECONDS):
                return
            why = "it to stay up"
        else:
            ready_with = None
        if deadline.passed:
            raise Failed(
                f"{stack.name} was not healthy after {deadline.seconds:g} s, waiting for {why}",
                hint="Its log is above. deploy_timeout in invoke.yaml gives it longer.",
            )
        if why != told:
            tell(f"waiting for {why}")
            told = why
        deadline.pause(_poll_seconds(deadline.seconds - deadline.left))


def _poll_seconds(waited: float) -> float:
    """A share of what was waited already: what starts in a second is not kept waiting for long by its being asked."""
    return min(_LONGEST_POLL_SECONDS, max(_SHORTEST_POLL_SECONDS, waited * _POLL_SHARE))


def _awaited(container: FoundContainer) -> str:
    note = f" ({container.note})" if container.note else ""
    return f"{container.compose_service} to become healthy{note}"


def _failure(container: FoundContainer) -> str:
    name = container.compose_service
    if container.state == "stopped" and not container.done:
        return f"{name} exited with {container.exit_code}"
    if container.state == "unhealthy":
        return f"{name} is unhealthy"
    if container.restarts >= _TOO_MANY_RESTARTS:
        code = f", it exits with {container.exit_code}" if container.exit_code != UNKNOWN_EXIT else ""
        return f"{name} was restarted {container.restarts} times{code}"
    return ""


def _clean_up(
    attempt: Attempt,
    platform: Platform,
    before: FoundStack | None,
    error: BaseException,
    tell: Callable[[str], None],
) -> None:
    """Shows a failure's log and removes what never served. Says what it could not do: the error itself comes first."""
    name = attempt.stack.name
    steps: list[Callable[[], None]] = [lambda: _remove_own(attempt, platform, before, tell)]
    if isinstance(error, Failed):
        steps.insert(0, lambda: _show(name, platform, tell))
    for step in steps:
        try:
            step()
        except PipelineError as another:
            tell(f"cleaning {name} up: {another.what}; the next run goes on from here")


def _show(name: str, platform: Platform, tell: Callable[[str], None]) -> None:
    for line in platform.explain(name):
        tell(line)
    for line in platform.logs(name, tail=_LOG_LINES, follow=False):
        tell(line)


def _remove_own(attempt: Attempt, platform: Platform, before: FoundStack | None, tell: Callable[[str], None]) -> None:
    """Removes what this run made, and what an earlier run of the same definition made and never finished."""
    digest = attempt.stack.definition.digest()
    there = before.containers if before is not None else ()
    kept = {container.id for container in there if attempt.finished or container.digest != digest}
    found = platform.observe(attempt.stack.name)
    made = tuple(container for container in (found.containers if found else ()) if container.id not in kept)
    if made:
        tell(f"removing {attempt.stack.name} again")
        platform.remove(made)


def _remove_replaced(stack: Stack, platform: Platform, tell: Callable[[str], None]) -> None:
    digest = stack.definition.digest()
    found = platform.observe(stack.name)
    older = tuple(container for container in (found.containers if found else ()) if container.digest != digest)
    if older:
        tell(f"removing {len(older)} containers of the replaced definition of {stack.name}")
        platform.remove(older)


def _of_definition(found: FoundStack | None, digest: str) -> tuple[FoundContainer, ...]:
    return tuple(one for one in (found.containers if found else ()) if one.digest == digest)


def _count(definition: Definition) -> int:
    return sum(service.scale for service in definition.services)
