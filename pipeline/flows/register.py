"""register: the gateway is made to send a service's requests to a stack, and is asked until it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pipeline.errors import Failed, PipelineError, Refused, Unreachable
from pipeline.gateways.base import Front, Gateway
from pipeline.model.check import Answer, Question, expectation, make_question, shortfall
from pipeline.model.clock import Clock, Deadline
from pipeline.model.manifest import Verify
from pipeline.model.plan import Change, kept, writing
from pipeline.model.registration import Checked, Outcome, Registration
from pipeline.model.route import FoundRoute, Route, overlaps, same_upstream, tag_word
from pipeline.model.whose_gateway import refuse_other_environment


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPolicy:
    """When the check through the gateway believes, in seconds: `answers` right ones in a row, the first and the last at
    least `spread` apart, within `deadline`; when nothing at all answers for `silence`, no check can be made.

    A real Kong's other workers serve the old state for up to 1 s, with several nodes for up to about 10 s.
    """

    answers: int = 5
    spread: float = 1.2
    deadline: float = 30.0
    silence: float = 5.0
    request_timeout: float = 10.0
    pause: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationPlan:
    """What a registration would write, the route as it is now (None for a new one, and where nothing differs), and
    what stays although the manifest does not name it."""

    changes: tuple[Change, ...]
    before: FoundRoute | None
    kept: tuple[Change, ...] = ()


def plan_registration(wanted: Route, gateway: Gateway) -> RegistrationPlan:
    """What `register` would write. Reads only: at most 3 requests when nothing differs.

    Refused when a route of the same path with meeting hosts and methods is someone else's, or when the gateway carries
    another environment's name.
    """
    steps = gateway.plan(wanted)
    changes = writing(steps)
    if not changes:
        return RegistrationPlan(changes=(), before=None, kept=kept(steps))
    found = gateway.routes()
    # What the driver plans to change it has found to be ours: where there are no tags, nothing else may show it.
    changed = {change.id for change in changes if change.id}
    ours = tuple(route for route in found if _is_ours(route, wanted) or route.id in changed)
    named = {route.owner.environment for route in found if route.owner.ours}
    refuse_other_environment(wanted.environment, named)
    _refuse_overlap(wanted, tuple(route for route in found if route not in ours))
    return RegistrationPlan(changes=changes, before=ours[0] if ours else None, kept=kept(steps))


def register(
    wanted: Route,
    *,
    verify: Verify | None,
    facts: Mapping[str, str],
    gateway: Gateway,
    front: Front | None,
    clock: Clock,
    policy: CheckPolicy | None = None,
    plan: RegistrationPlan | None = None,
) -> Registration:
    """Makes `wanted` hold and checks it through the gateway. A second call writes nothing and asks once.

    Raises what plan_registration does, GatewayAnswered and Unreachable from writing, and Failed when the final answer
    is wrong: then the changes have been put back, as they are on Ctrl-C. When no check could be made the switch stays
    and `Registration.problem` says so. `facts` are the release's version, branch and stack; a `plan` that
    was made just before is not made again.
    """
    started = clock.monotonic()
    decided = plan or plan_registration(wanted, gateway)
    limits = policy or CheckPolicy()
    if decided.changes:
        gateway.apply(decided.changes)
    else:
        limits = replace(limits, answers=1, spread=0.0)
    try:
        checked, note = _check(wanted, verify, facts, front, _Waiting(clock=clock, limits=limits))
    except _WrongAnswerError as wrong:
        raise Failed(
            f"{wrong}; {_undone(decided, gateway)}",
            hint="Look at the stack's logs (`invoke logs`), and at the manifest's verify.",
        ) from wrong
    except BaseException:
        gateway.revert(decided.changes)
        raise
    return _registration(wanted, decided, checked=checked, note=note, seconds=clock.monotonic() - started)


class _WrongAnswerError(Exception):
    """The gateway's last answer in the deadline was not the expected one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    clock: Clock
    limits: CheckPolicy


def _check(
    wanted: Route, verify: Verify | None, facts: Mapping[str, str], front: Front | None, waiting: _Waiting
) -> tuple[Checked, str]:
    if verify is None:
        return Checked.NOT_WANTED, ""
    if front is None:
        return Checked.NOT_VERIFIED, "no address of the gateway's proxy is set"
    question = make_question(verify, wanted)

    def lacking(answer: Answer) -> str:
        return shortfall(verify.expect, facts, answer)

    try:
        right = _ask_until_right(question, front, lacking, waiting)
    except Unreachable as silent:
        return Checked.NOT_VERIFIED, silent.what
    except _WrongAnswerError as wrong:
        expected = expectation(verify.expect, facts)
        raise _WrongAnswerError(
            f"asked {question} at {front.url}, expected {expected}, was answered {wrong}"
        ) from wrong
    return Checked.VERIFIED, f"{right} right answers in a row to {question}"


def _ask_until_right(question: Question, front: Front, lacking: Callable[[Answer], str], waiting: _Waiting) -> int:
    """How many right answers in a row were seen. Raises _WrongAnswerError, and Unreachable when nothing ever came."""
    clock, limits = waiting.clock, waiting.limits
    deadline, silence = Deadline(clock, limits.deadline), Deadline(clock, limits.silence)
    right, first_right, heard, wrong = 0, 0.0, False, ""
    while True:
        try:
            answer = front.ask(question, timeout=max(0.1, min(limits.request_timeout, deadline.left)))
        except Unreachable as error:
            if not heard and (silence.passed or deadline.passed):
                raise
            right, wrong = 0, f"nothing ({error.what})"
        else:
            heard = True
            shortage = lacking(answer)
            right, wrong = (0, f"{shortage}: {answer}") if shortage else (right + 1, "")
            first_right = clock.monotonic() if right == 1 else first_right
            if right >= limits.answers and clock.monotonic() - first_right >= limits.spread:
                return right
        if deadline.passed:
            raise _WrongAnswerError(wrong or f"as expected only the last {right} times")
        deadline.pause(limits.pause if wrong else max(limits.pause, limits.spread / max(1, limits.answers - 1)))


def _undone(plan: RegistrationPlan, gateway: Gateway) -> str:
    """Puts the changes back and says what holds now."""
    if not plan.changes:
        return "nothing had been changed"
    try:
        gateway.revert(plan.changes)
    except PipelineError as error:
        return f"the changes could not all be put back: {error.what}"
    if plan.before is None:
        return "the new route was removed again"
    return f"put back: requests go to {plan.before.upstream} as before"


def _refuse_overlap(wanted: Route, found: tuple[FoundRoute, ...]) -> None:
    for route in found:
        if not overlaps(wanted, route):
            continue
        owner = f"service {route.owner.service!r}" if route.owner.ours else "someone else (it has no tags of ours)"
        raise Refused(
            f"{wanted.uri} is answered by the gateway's route {route.label!r}, which belongs to {owner} and leads to "
            f"{route.upstream or 'nowhere'}",
            hint=f"Give {wanted.service} another uri, hosts or methods in its manifest, or have that route removed.",
        )


def _is_ours(route: FoundRoute, wanted: Route) -> bool:
    return route.owner.service == wanted.service and route.owner.environment == tag_word(wanted.environment)


def _registration(
    wanted: Route, plan: RegistrationPlan, *, checked: Checked, note: str, seconds: float
) -> Registration:
    upstream_before, stack_before = wanted.upstream, wanted.stack
    outcome = Outcome.UNCHANGED
    if plan.changes:
        upstream_before = plan.before.upstream if plan.before else ""
        stack_before = plan.before.owner.stack if plan.before else ""
        moved = stack_before != wanted.stack or not same_upstream(upstream_before, wanted.upstream)
        outcome = Outcome.CREATED if plan.before is None else Outcome.SWITCHED if moved else Outcome.UPDATED
    return Registration(
        service=wanted.service,
        environment=wanted.environment,
        outcome=outcome,
        changes=plan.changes,
        kept=plan.kept,
        checked=checked,
        upstream_before=upstream_before,
        upstream=wanted.upstream,
        stack_before=stack_before,
        stack=wanted.stack,
        seconds=seconds,
        notes=(note,) if note else (),
    )
