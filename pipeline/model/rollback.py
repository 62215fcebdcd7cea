"""rollback's plan: which release to go back to, from the records, and how what ran then can run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from pipeline.errors import BadInput, Failed
from pipeline.model.history import Version, deployed_as, is_in_place, registered_as
from pipeline.model.image import LABEL
from pipeline.model.interpolate import interpolate, secret_mark
from pipeline.model.record import Record
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import Definition, FoundStack, Stack


class How(StrEnum):
    """How the release comes back."""

    SERVES = "it serves already"
    RUNS = "it still runs"
    STARTS = "its containers are stopped: they are started"
    RECREATED = "its containers are gone: they are made again from the recorded definition"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """`deployed` is the record that has the definition, `registered` the one that has the route; None where there is
    none, as of a stack that was adopted. `recorded`: the records, too, say that it serves; a run that was killed right
    after the switch has left none. `serving` is what is rolled back from, `found` the target as it is there."""

    service: str
    target: Version
    how: How
    serving: FoundStack | None
    found: FoundStack | None
    deployed: Record | None
    registered: Record | None
    recorded: bool = True

    @property
    def pending(self) -> bool:
        return self.how is not How.SERVES or not self.recorded


def options(snapshot: Snapshot, service: str) -> tuple[Version, ...]:
    """The releases to go back to, the previous one first: none that serves, and none that was rolled back from."""
    return snapshot.history(service).back(serving=[one.name for one in _serving(snapshot, service)])


def choose(snapshot: Snapshot, service: str, to: str = "") -> Version:
    """The previous release, or the one called `to` (a stack, or a version). Raises BadInput for one that nobody knows,
    and Failed when there is none to go back to."""
    return _named(snapshot, service, to) if to else _previous(snapshot, service)


def plan_rollback(snapshot: Snapshot, service: str, target: Version) -> RollbackPlan:
    """How that release comes back. Pure. Raises Failed when there is no way to make it again."""
    serving = next(iter(_serving(snapshot, service)), None)
    records = [one for one in snapshot.records if one.service == service]
    found = next((one for one in snapshot.of(service) if one.name == target.stack), None)
    deployed = deployed_as(records, target)
    how = _how(target, found, deployed, serving)
    if how is How.RECREATED and deployed is None:
        raise Failed(
            f"{target.stack} is gone, and no record has its definition: it cannot be made again",
            hint="Check its commit out and release that, or choose another with --to (`invoke history` lists them).",
        )
    return RollbackPlan(
        service=service,
        target=target,
        how=how,
        serving=serving,
        found=found,
        deployed=deployed,
        registered=registered_as(records, target),
        recorded=snapshot.history(service).last == target,
    )


def stack_again(record: Record, actor: str) -> Stack:
    """The stack that a record's definition describes, with its labels; secrets are marks again."""
    definition = _read(record)
    facts = {
        "service": record.service,
        "environment": record.environment,
        "stack": record.stack,
        "branch": record.branch,
        "commit": record.commit,
        "version": record.version,
        "subject": record.subject,
        "author": record.author,
        "actor": actor,
        "definition": definition.digest(),
        "sameness": record.sameness,
    }
    return Stack(
        name=record.stack,
        service=record.service,
        environment=record.environment,
        branch=record.branch,
        commit=record.commit,
        version=record.version,
        definition=definition,
        sameness=record.sameness,
        labels={f"{LABEL}{name}": text for name, text in facts.items()},
    )


def _read(record: Record) -> Definition:
    """Definition.text the other way round."""
    try:
        definition = msgspec.json.decode(record.definition, type=Definition)
    except ValueError as error:
        raise Failed(
            f"the recorded definition of {record.stack} cannot be read: {error}",
            hint="It was written by another version of this toolkit: check its commit out and release that.",
        ) from error
    services = tuple(
        msgspec.structs.replace(one, environment=_marked(one.environment, record.stack)) for one in definition.services
    )
    return msgspec.structs.replace(definition, services=services)


def _marked(environment: Mapping[str, str], where: str) -> dict[str, str]:
    return {
        name: interpolate(text, lambda secret, _: secret_mark(secret), where=where)
        for name, text in environment.items()
    }


def _serving(snapshot: Snapshot, service: str) -> tuple[FoundStack, ...]:
    """Those that routes lead to, the newest first."""
    found = [stack for stack in snapshot.of(service) if snapshot.may_reach(stack)]
    return tuple(sorted(found, key=lambda stack: -stack.created))


def _previous(snapshot: Snapshot, service: str) -> Version:
    back = options(snapshot, service)
    if not back:
        raise Failed(
            f"there is no release of {service} to go back to in {snapshot.environment}",
            hint="`invoke history` lists what was served; another one can be named with --to.",
        )
    return back[0]


def _named(snapshot: Snapshot, service: str, to: str) -> Version:
    known = [Version(stack=one.stack, version=one.version) for one in snapshot.records if one.service == service]
    known += [Version(stack=one.name, version=one.version) for one in snapshot.of(service)]
    fitting = [one for one in known if one.stack and to in (one.stack, one.version)]
    if not fitting:
        listed = ", ".join(one.stack for one in options(snapshot, service)[:5])
        raise BadInput(
            f"no release of {service} in {snapshot.environment} is called {to!r}",
            hint=f"To go back to: {listed or 'none'}. `invoke history -s {service}` lists all.",
        )
    return fitting[-1]


def _how(target: Version, found: FoundStack | None, deployed: Record | None, serving: FoundStack | None) -> How:
    if is_in_place(target.stack, target.version) and (found is None or found.version != target.version):
        return How.RECREATED
    if found is None or not found.containers:
        return How.RECREATED
    if deployed is not None:
        definition = _read(deployed)
        wanted = sum(one.scale for one in definition.services)
        if len([one for one in found.containers if one.digest == definition.digest()]) < wanted:
            return How.RECREATED
    if not found.serves:
        return How.STARTS
    return How.SERVES if serving is not None and serving.name == target.stack else How.RUNS
