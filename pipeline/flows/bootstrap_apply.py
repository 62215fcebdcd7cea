"""apply: a generated folder → machines that hold its environment. Checked, copied, run step by step, compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TypeVar

from pipeline.errors import BadInput, Failed, PipelineError, Refused, Unreachable
from pipeline.flows.pool import run_all
from pipeline.hosts.base import Host
from pipeline.model.cancel import Cancellation
from pipeline.model.host import LEAST_FREE, Facts, is_full, objections
from pipeline.model.secret import Secret
from pipeline.model.steps import Folder, Step, plan_steps
from pipeline.model.steps_verification import Verification, read_verification

Result = TypeVar("Result")
_FAILURES: Mapping[int, type[PipelineError]] = {3: BadInput, 4: Refused, 5: Unreachable}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be built, and how. `again` runs finished steps too; `at_once` bounds the hosts worked on at a time;
    `run` names this run, differently from all others."""

    folder: Folder
    values: Mapping[str, Secret]
    run: str
    again: bool = False
    at_once: int = 8
    least_free: int = LEAST_FREE


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Where is told what happens on a host: progress and its scripts' lines, and failures."""

    tell: Callable[[str, str], None]
    complain: Callable[[str, PipelineError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyPlan:
    """The steps of each host, by name; the first is the one for steps that run once."""

    steps: Mapping[str, tuple[Step, ...]]

    @property
    def pending(self) -> bool:
        """Whether anything but comparing is left to do."""
        return any(step.runs and not step.script.verifies for steps in self.steps.values() for step in steps)


def plan(order: Order, hosts: Sequence[Host], telling: Telling) -> ApplyPlan:
    """Looks at every host, changes nothing. Raises Refused when one of them is not bare."""
    found = _on_each(order, hosts, telling, lambda host: _facts(order, host))
    return ApplyPlan(
        steps={
            host.name: plan_steps(
                order.folder, found[host.name].finished, order.values, first=host is hosts[0], again=order.again
            )
            for host in hosts
        }
    )


def apply(order: Order, plan: ApplyPlan, hosts: Sequence[Host], telling: Telling) -> dict[str, Verification]:
    """Does the plan's steps and gives what the last one found, by host. Steps for every host run on all of them at
    once; one for the first host begins when all others have ended what comes before it, and they wait for it.

    A step that fails ends its host; the others end the steps that may run at once, and all stops there. Every host has
    let go of what it did after Ctrl-C. A later run goes on at the first step that has not ended well."""
    for host in hosts:  # one after the other: so a machine with two names holds itself
        host.hold(order.run)
    _on_each(order, hosts, telling, lambda host: _put(order, host, telling))
    verified: dict[str, Verification | None] = {}
    for stage in _stages(order.folder):
        chosen = {name: [step for step in steps if step.script.name in stage] for name, steps in plan.steps.items()}
        at_work = [host for host in hosts if chosen[host.name]]
        verified |= _on_each(order, at_work, telling, partial(_stage, order, chosen, telling))
    return {host: found for host, found in verified.items() if found is not None}


def _stages(folder: Folder) -> Iterator[set[str]]:
    """The scripts that a host may go through without a look at the others."""
    for _, scripts in groupby(folder.scripts, key=lambda script: script.everywhere):
        yield {script.name for script in scripts}


def _on_each(order: Order, hosts: Sequence[Host], telling: Telling, do: Callable[[Host], Result]) -> dict[str, Result]:
    """`do` for every host, several at once. Raises the failure of the only host; of several, each is told and the
    raised one says which hosts they were."""
    cancellation = Cancellation()

    def one(host: Host) -> Result:
        with cancellation.waking(host.stop):
            done = do(host)
        cancellation.check()  # what was stopped has not failed
        return done

    results = run_all(
        {host.name: partial(one, host) for host in hosts},
        {host.name: () for host in hosts},
        at_once=order.at_once,
        cancellation=cancellation,
        fail_fast=False,
    )
    failures = {name: result for name, result in results.items() if isinstance(result, PipelineError)}
    if failures:
        raise _failure(failures, hosts, telling)
    return {name: result for name, result in results.items() if not isinstance(result, PipelineError)}


def _failure(failures: Mapping[str, PipelineError], hosts: Sequence[Host], telling: Telling) -> PipelineError:
    first = next(iter(failures.values()))
    if len(hosts) == 1:
        return first
    for name, error in failures.items():
        telling.complain(name, error)
    summary = Failed(
        f"{len(failures)} of {len(hosts)} hosts failed: {', '.join(failures)}",
        hint="The reasons are above. Run the same again after that: each host goes on where it stopped.",
    )
    summary.exit_code = first.exit_code
    return summary


def _facts(order: Order, host: Host) -> Facts:
    facts = host.facts()
    found = objections(facts, environment=order.folder.environment, least_free=order.least_free)
    if found:
        more = f" (and: {'; '.join(one.what for one in found[1:])})" if found[1:] else ""
        raise Refused(f"{host.name} is not taken: {found[0].what}{more}", hint=found[0].hint)
    return facts


def _put(order: Order, host: Host, telling: Telling) -> None:
    copied = host.put(order.folder)
    telling.tell(host.name, f"{len(order.folder.sums)} files {'copied and checked' if copied else 'are there already'}")


def _stage(order: Order, chosen: Mapping[str, Sequence[Step]], telling: Telling, host: Host) -> Verification | None:
    verified = None
    for step in chosen[host.name]:
        name = step.script.name
        if not step.runs:
            telling.tell(host.name, f"{name}: {step.reason}")
        elif step.script.verifies:
            verified = _verify(order, host, step, telling)
        else:
            hear = partial(_heard, telling, host.name, name)
            code = host.run(step, order.values, hear, hear)
            if code:
                raise _full(host, name) or _step_failed(host, name, code)
            telling.tell(host.name, f"{name}: done")
    return verified


def _heard(telling: Telling, host: str, script: str, line: str) -> None:
    telling.tell(host, f"{script}: {line}")


def _verify(order: Order, host: Host, step: Step, telling: Telling) -> Verification:
    lines: list[str] = []
    code = host.run(step, order.values, lines.append, partial(_heard, telling, host.name, step.script.name))
    if code not in (0, 1):
        raise _step_failed(host, step.script.name, code)
    return read_verification(order.folder, "\n".join(lines), code)


def _step_failed(host: Host, script: str, code: int) -> PipelineError:
    return _FAILURES.get(code, Failed)(
        f"{host.name}: {script} ended with {code}",
        hint=f"Its last words are above. Mend that and run the same again: it goes on at {script}.",
    )


def _full(host: Host, doing: str) -> Failed | None:
    """The failure of a host whose disk is full: its own facts say so, whatever the failing command said."""
    with suppress(PipelineError):
        folder = is_full(host.facts())
        if folder:
            return Failed(
                f"{host.name}: the disk is full: {folder} has no room left after {doing}",
                hint=f"Make room there and run the same again: it goes on at {doing}.",
            )
    return None
