"""restore: a gateway is made what a file says, step by step as planned, and what became of each step is told."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline.errors import BadInput, Failed, GatewayAnswered, PipelineError, Refused
from pipeline.gateways.base import Gateway, Restorer
from pipeline.model.dialect import Dialect
from pipeline.model.kinds import kind_of
from pipeline.model.restoration import Act, RestorePlan, Scope, Step, plan_restore
from pipeline.model.route import GatewayState

CONCURRENCY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What happens on an error: by default nothing more is begun. `keep_going`: the rest is tried all the same.
    `transactional`: what was done is put back."""

    keep_going: bool = False
    transactional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A step that did not end well."""

    step: Step
    error: PipelineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What became of a plan. `done` are the steps that hold now, `put_back` those that held for a while, `left` those
    that were not begun or not carried out, `unknown` those of which nobody could say."""

    done: tuple[Step, ...]
    put_back: tuple[Step, ...] = ()
    left: tuple[Step, ...] = ()
    unknown: tuple[Step, ...] = ()
    refused: tuple[Step, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    def count(self, act: Act) -> int:
        return sum(step.act is act for step in self.done)

    def summary(self) -> str:
        """`created 3, changed 1, deleted 0, put back 0, left 0, refused 1`."""
        words = [("created", self.count(Act.CREATE)), ("changed", self.count(Act.CHANGE))]
        words += [("deleted", self.count(Act.DELETE)), ("put back", len(self.put_back))]
        words += [("left", len(self.left)), ("refused", len(self.refused))]
        words += [("unknown", len(self.unknown))] if self.unknown else []
        return ", ".join(f"{word} {count}" for word, count in words)

    @property
    def problem(self) -> PipelineError | None:
        """What the verb ends with, when not everything is as the file says."""
        if self.troubles:
            first = self.troubles[0]
            more = f" (and {len(self.troubles) - 1} more)" if len(self.troubles) > 1 else ""
            what = f"{first.step.label} could not be restored: {first.error.what}{more}; {self.summary()}"
            if isinstance(first.error, GatewayAnswered):
                return Failed(what, hint=first.error.hint)
            return type(first.error)(what, hint=first.error.hint)
        if self.refused:
            names = ", ".join(step.label for step in self.refused[:5])
            return Failed(
                f"not restored, because only their owners know their secrets: {names}; {self.summary()}",
                hint="Set the variable that is named for each to a new secret and run it again: it is issued anew.",
            )
        return None


def plan(wanted: GatewayState, gateway: Gateway, scope: Scope) -> RestorePlan:
    """What a restore would write. Reads only: one dump. Refused for a file of the other dialect."""
    found = gateway.dump()
    _refuse_other_dialect(wanted, found)
    return plan_restore(wanted, found, scope)


def _refuse_other_dialect(wanted: GatewayState, found: GatewayState) -> None:
    """Plugins are in both; one of them alone says nothing of its dialect."""
    kinds = {one.kind for one in wanted.entities} - {"plugins"}
    if not kinds or wanted.identity.dialect is found.identity.dialect:
        return
    if wanted.identity.dialect is Dialect.APIS:
        raise Refused(
            f"the file holds /apis of Kong {wanted.identity.version}, and a Kong {found.identity.version} has none",
            hint="Take the decK file of the same dump: it holds the services and routes that mean the same.",
        )
    raise Refused(
        f"the file holds {', '.join(sorted(kinds))}, and this gateway is written by /apis",
        hint="Take a script or a JSON file that was dumped from it; gateway.dialect decides how it is written.",
    )


def refuse_other_environment(wanted: str, target: str, found: Iterable[str]) -> None:
    """Refuses a file of one environment for another, and a gateway that carries another's name. All as in tags."""
    if wanted and wanted != target:
        raise Refused(
            f"the file is of the environment {wanted}, and {target} was asked for",
            hint="Choose its environment with -e, or write it to this one all the same with --force.",
        )
    others = sorted(set(found) - {target, ""})
    if others:
        raise Refused(
            f"this gateway carries the environment {', '.join(others)}, and {target} was asked for",
            hint=f"Name the gateway of {target} (KONG_ADMIN_URL, invoke.yaml), or go on with --force.",
        )


def apply(plan: RestorePlan, restorer: Restorer, manner: Manner) -> Restoration:
    """Does the steps, those of one level several at a time. A second run of a plan made anew writes nothing.

    Refused before the first write where `transactional` could not be kept; on Ctrl-C what was done is put back under
    it, and KeyboardInterrupt goes on.
    """
    _refuse_what_cannot_be(plan, manner)
    if plan.levels:
        restorer.require_writable()
    run = _Run(restorer=restorer, manner=manner)
    try:
        for level in plan.levels:
            run.each(level, run.one)
    except BaseException:
        if manner.transactional:
            run.put_back(plan.levels)
        raise
    if run.troubles and manner.transactional:
        run.put_back(plan.levels)
    return run.result(plan)


def _refuse_what_cannot_be(plan: RestorePlan, manner: Manner) -> None:
    if not manner.transactional:
        return
    if manner.keep_going:
        raise BadInput("--transactional and --keep-going say opposite things", hint="Leave one of them out.")
    lost = [
        step for level in plan.levels for step in level if step.act is Act.DELETE and kind_of(step.entity.kind).hashed
    ]
    if lost:
        raise Refused(
            f"{lost[0].label} would be deleted, and could not be put back: the gateway gives a hash of its secret only",
            hint="Leave --exact or --transactional out, or delete it by hand first.",
        )


def _next(waiting: deque[Step]) -> Step | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


@dataclass(slots=True, kw_only=True)
class _Run:
    """The steps as they end. Several threads work on it."""

    restorer: Restorer
    manner: Manner
    done: list[Step] = field(default_factory=list)
    unknown: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def each(self, steps: Iterable[Step], do: Callable[[Step], None]) -> None:
        """Waits for those that were begun, also when it is interrupted. Each thread takes the next step by itself: a
        future for every step would cost as much as its request."""
        waiting = deque(steps)

        def end() -> None:
            self.stop.set()
            waiting.clear()

        def take() -> None:
            try:
                while (step := _next(waiting)) is not None:
                    do(step)
            except BaseException:
                end()
                raise

        with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="restore") as pool:
            try:
                for worker in [pool.submit(take) for _ in range(min(CONCURRENCY, len(waiting)))]:
                    worker.result()
            except BaseException:
                end()
                raise

    def one(self, step: Step) -> None:
        if self.stop.is_set():
            return
        try:
            self.restorer.write(step)
        except PipelineError as error:
            self._judge(step, error)
            if not self.manner.keep_going:
                self.stop.set()
        except BaseException:
            self.unknown.append(step)
            raise
        else:
            self.done.append(step)

    def put_back(self, levels: Sequence[Sequence[Step]]) -> None:
        """Everything that was or may have been done, last level first."""
        self.stop.clear()
        begun = {id(step) for step in (*self.done, *self.unknown)}
        for level in reversed(levels):
            self.each([step for step in level if id(step) in begun], self._undo)

    def _undo(self, step: Step) -> None:
        try:
            self.restorer.undo(step)
        except PipelineError as error:
            self.troubles.append(Trouble(step=step, error=error))
            try:
                gone = not self.restorer.holds(step)
            except PipelineError:
                self.unknown.append(step)
                return
            if not gone:
                return
        self.undone.append(step)

    def _judge(self, step: Step, error: PipelineError) -> None:
        """Whether a write that failed has acted all the same."""
        self.troubles.append(Trouble(step=step, error=error))
        if isinstance(error, GatewayAnswered) and 400 <= error.status < 500 and error.status != 429:
            return
        try:
            if self.restorer.holds(step):
                self.done.append(step)
        except PipelineError:
            self.unknown.append(step)

    def result(self, plan: RestorePlan) -> Restoration:
        back, open_ = {id(step) for step in self.undone}, {id(step) for step in self.unknown}
        held = {id(step) for step in self.done} - open_
        steps = [step for level in plan.levels for step in level]
        put_back = tuple(step for step in steps if id(step) in back)
        unknown = tuple(step for step in steps if id(step) in open_ - back)
        done = tuple(step for step in steps if id(step) in held - back)
        left = tuple(step for step in steps if id(step) not in back | open_ | held)
        return Restoration(
            done=done,
            put_back=put_back,
            left=left,
            unknown=unknown,
            refused=plan.refused,
            troubles=tuple(self.troubles),
        )
