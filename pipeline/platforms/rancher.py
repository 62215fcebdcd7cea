"""Stacks on a Rancher 1.6 server (Cattle), in one of its projects: names resolve as `service.stack` there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from pipeline.edge.rancher_answers import RancherAnswered, Unanswered
from pipeline.edge.rancher_client import RancherClient
from pipeline.edge.rancher_stream import log_frames
from pipeline.edge.streams import merged_lines
from pipeline.errors import Failed, Refused
from pipeline.model.address import RegistryAddress
from pipeline.model.clock import Clock, Deadline
from pipeline.model.rancher import GONE, ContainerRow, ServiceRow, StackRow, owner_prefix, service_of
from pipeline.model.secret import Secret
from pipeline.model.stack import FoundContainer, FoundStack, Stack
from pipeline.platforms.rancher_found import empty_place, found_stack, grouped, parse_place
from pipeline.platforms.rancher_payload import primaries, stack_payload
from pipeline.platforms.rancher_registries import ensure_login
from pipeline.platforms.rancher_removal import Removal
from pipeline.platforms.rancher_services import Services
from pipeline.platforms.rancher_watch import Watch

_STACK_SECONDS = 180.0
_PAUSE = 0.5
_FAILED = ("error", "erroring")
_ALL_LINES = 1_000_000


class _Exported(msgspec.Struct, rename="camel"):
    docker_compose_config: str = ""
    rancher_compose_config: str = ""


class _LogAccess(msgspec.Struct):
    url: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched:
    """What was started last: it is being waited for."""

    stack: Stack
    row: StackRow
    watch: Watch


class RancherPlatform:
    """The stacks of one environment in one project. What does not carry its name in `externalId` is never touched.

    From `start` on, `observe` answers from what the server's events say, until something is removed.
    """

    def __init__(self, client: RancherClient, environment: str, registry: RegistryAddress, *, clock: Clock) -> None:
        self._client = client
        self._environment = environment
        self._registry = registry
        self._clock = clock
        self._services = Services(client, clock)
        self._removing = Removal(client, self._services, clock, is_mine=self._is_mine)
        self._watched: _Watched | None = None

    def stacks(self) -> tuple[FoundStack, ...]:
        mine = {"externalId_prefix": owner_prefix(self._environment)}
        stacks = [row for row in self._client.every("stacks", StackRow, **mine) if self._is_mine(row)]
        if not stacks:
            return ()
        services: dict[str, list[ServiceRow]] = {}
        for page in self._client.pages("services", ServiceRow, mine | {"kind": "service"}):
            for service in page:
                if service.stack_id and self._is_mine(service):
                    services.setdefault(service.stack_id, []).append(service)
        containers: dict[str, list[ContainerRow]] = {}
        for rows in self._client.pages("containers", ContainerRow, {"system": "false"}):
            for stack_id, some in grouped(row for row in rows if row.stack_id in services).items():
                containers.setdefault(stack_id, []).extend(some)
        found = (
            found_stack(row, services.get(row.id, ()), containers.get(row.id, ()), self._environment)
            for row in stacks
            if not row.going
        )
        return tuple(sorted(found, key=lambda stack: (stack.created, stack.name)))

    def observe(self, name: str) -> FoundStack | None:
        if self._watched is not None and self._watched.stack.name == name:
            return self._watched_stack(self._watched)
        row = self._find(name)
        if row is None or row.going or not self._is_mine(row):
            return None
        services = self._client.every("services", ServiceRow, stackId=row.id)
        containers = self._client.every("containers", ContainerRow, stackId=row.id)
        found = found_stack(row, services, containers, self._environment)
        empty = all(service.going for service in services)
        return replace(found, containers=(empty_place(row),)) if empty else found

    def start(self, stack: Stack, secrets: Mapping[str, Secret]) -> None:
        self.close()
        images = [service.image for service in stack.definition.services]
        ensure_login(self._client, self._registry, images)
        row, new = self._ensure_stack(stack)
        known = {} if new else self._known(row.id)
        for service in primaries(stack):
            self._services.bring(stack, row.id, service, secrets, known.get(service.name.lower()))
        self._watched = _Watched(stack=stack, row=row, watch=Watch(self._client, row.id, self._clock))

    def remove(self, containers: Sequence[FoundContainer]) -> None:
        """Finishes or rolls back an upgrade where the containers are one version of two; waits for the end."""
        self.close()
        places = [place for one in containers if (place := parse_place(one.id)) is not None]
        empty = [one.id for one in containers if parse_place(one.id) is None]
        self._removing.remove(places, empty)

    def logs(self, name: str, *, tail: int, follow: bool) -> Iterator[str]:
        streams = {}
        for row in self._containers(name):
            if row.state not in ("running", "stopped", "stopping"):
                continue
            body = {"follow": follow, "lines": tail or (0 if follow else _ALL_LINES), "timestamps": False}
            try:
                access = self._client.act("containers", row.id, "logs", body, _LogAccess)
            except RancherAnswered as error:
                if error.status in (404, 422):
                    continue
                raise
            streams[_short(row)] = log_frames(self._client, access.url, access.token)
        yield from merged_lines(streams)

    def explain(self, name: str) -> tuple[str, ...]:
        row = self._find(name)
        if row is None or not self._is_mine(row):
            return ()
        lines = []
        for service in self._client.every("services", ServiceRow, stackId=row.id):
            lines.append(f"{service.name}: {', '.join(filter(None, (service.state, service.note)))}")
        for one in self._client.every("containers", ContainerRow, stackId=row.id):
            started = f"started {one.start_count} times" if (one.start_count or 0) > 1 else ""
            words = (one.state, one.health_state, started, one.note)
            lines.append(f"{one.name}: {', '.join(filter(None, words))}")
        return tuple(lines)

    def close(self) -> None:
        """Stops watching; the next `start` begins anew."""
        if self._watched is not None:
            self._watched.watch.close()
        self._watched = None

    def export(self, name: str) -> tuple[str, str]:
        """docker-compose.yml and rancher-compose.yml of a stack as it is now, values as they are with `$` doubled."""
        row = self._find(name)
        if row is None or not self._is_mine(row):
            raise Failed(
                f"there is no stack {name} in {self._environment}", hint="`invoke status` shows what there is."
            )
        found = self._client.act("stacks", row.id, "exportconfig", {}, _Exported)
        return found.docker_compose_config, found.rancher_compose_config

    def _watched_stack(self, watched: _Watched) -> FoundStack:
        stack = watched.stack
        services, containers = watched.watch.current()
        there = {(service.name or "").lower() for service in services if not service.going}
        for service in primaries(stack):
            if service.name.lower() not in there:
                self.close()
                raise Failed(
                    f"{stack.name}: the service {service.name} was removed by somebody else while it was deployed",
                    hint="Run `invoke deploy` again: it makes what is missing.",
                )
        return found_stack(watched.row, services, containers, self._environment)

    def _ensure_stack(self, stack: Stack) -> tuple[StackRow, bool]:
        """The stack's row, and whether this call made it. One that is going, or that failed as a whole, goes first."""
        deadline = Deadline(self._clock, _STACK_SECONDS)
        while True:
            row = self._find(stack.name)
            if row is None:
                try:
                    return self._client.create("stacks", stack_payload(stack), StackRow), True
                except Unanswered:
                    continue
                except RancherAnswered as error:
                    if error.code != "NotUnique" or deadline.passed:
                        raise
                    deadline.pause(_PAUSE)
                    continue
            if not self._is_mine(row) or service_of(row.external_id, self._environment) != stack.service:
                raise Refused(
                    f"there is a stack {stack.name} in the project {self._client.project} that is not "
                    f"{stack.service}'s in {self._environment}",
                    hint="Look at it in Rancher; rename or remove it, then run this again.",
                )
            if not row.going and row.state not in _FAILED:
                return row, False
            self._removing.remove_stack(row.id)

    def _known(self, stack_id: str) -> dict[str, str]:
        """The ids of a stack's services by their names, which the server compares without case."""
        rows = self._client.every("services", ServiceRow, stackId=stack_id)
        return {(row.name or "").lower(): row.id for row in rows if row.stack_id == stack_id}

    def _find(self, name: str) -> StackRow | None:
        """The stack of that name; the oldest, should two runs have made one at the same moment."""
        rows = [row for row in self._client.every("stacks", StackRow, name=name) if row.name == name]
        return min((row for row in rows if row.state not in GONE), key=lambda row: (row.created, row.id), default=None)

    def _containers(self, name: str) -> list[ContainerRow]:
        row = self._find(name)
        if row is None or not self._is_mine(row):
            return []
        rows = self._client.every("containers", ContainerRow, stackId=row.id)
        return [one for one in rows if one.stack_id == row.id and not one.going]

    def _is_mine(self, row: StackRow | ServiceRow) -> bool:
        return bool(service_of(row.external_id, self._environment))


def _short(row: ContainerRow) -> str:
    return f"{row.marks.compose_service or row.name}.{row.id}"
