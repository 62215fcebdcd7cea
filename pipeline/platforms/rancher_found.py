"""Pure translations from a Rancher server's rows to our stacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.model.rancher import PRIMARY, ContainerRow, Launch, Marks, ServiceRow, StackRow, service_of
from pipeline.model.stack import UNKNOWN_EXIT, FoundContainer, FoundStack, State

_NUMBER = re.compile(r"[-_]([0-9]+)$")
_PORT = re.compile(r"(?:(?P<address>[0-9.]+):)?(?P<outside>[0-9]+):(?P<inside>[0-9]+)(?:/(?P<protocol>tcp|udp))?")
_RESTING = ("inactive", "deactivating", "updating-inactive")
# Of two containers in one place, the one further on is shown.
_ORDER: tuple[State, ...] = ("healthy", "running", "unhealthy", "starting", "stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a container stands: the server makes new ones there as it likes, so that ids of containers say little."""

    service_id: str
    launch: str
    number: int
    digest: str

    @property
    def id(self) -> str:
        return f"{self.service_id}/{self.launch}/{self.number}/{self.digest}"


def parse_place(text: str) -> Place | None:
    """The place that a found container's id names; None for what stands for an empty stack."""
    service, _, rest = text.partition("/")
    launch, _, rest = rest.partition("/")
    number, _, digest = rest.partition("/")
    return Place(service_id=service, launch=launch, number=int(number), digest=digest) if number.isdecimal() else None


def found_stack(
    stack: StackRow, services: Iterable[ServiceRow], containers: Iterable[ContainerRow], environment: str
) -> FoundStack:
    """One stack with a container for every one that there should be: those that are not there yet are starting."""
    of_service: dict[str, list[ContainerRow]] = {}
    for container in containers:
        if not container.going and container.service_id:
            of_service.setdefault(container.service_id, []).append(container)
    live = [service for service in services if not service.going]
    found = [one for service in live for one in _of_service(stack, service, of_service.get(service.id, ()))]
    marks = max(live, key=lambda service: (service.created, service.id)).marks if live else Marks()
    return FoundStack(
        name=stack.name or "",
        service=marks.service or service_of(stack.external_id, environment),
        environment=environment,
        branch=marks.branch,
        commit=marks.commit,
        version=marks.version,
        sameness=marks.sameness,
        subject=marks.subject,
        author=marks.author,
        pinned=any(launch.marks.keep != "false" for service in live for _, launch in service.launches),
        containers=tuple(sorted(found, key=lambda one: (one.name, one.created))),
    )


def empty_place(stack: StackRow) -> FoundContainer:
    """What stands for a stack without services, so that it can be removed."""
    return FoundContainer(
        id=stack.id, name=stack.name or "", compose_service="", image="", state="starting", created=stack.created
    )


def _of_service(stack: StackRow, service: ServiceRow, rows: Iterable[ContainerRow]) -> Iterable[FoundContainer]:
    launches = dict(service.launches)
    found: dict[str, FoundContainer] = {}
    for row in rows:
        launch = row.marks.launch
        name = (service.name or "") if launch in ("", PRIMARY) else launch
        one = _container(service, name, row)
        there = found.get(one.id)
        if there is None or _ORDER.index(one.state) < _ORDER.index(there.state):
            found[one.id] = one
    for name, config in launches.items():
        for number in range(1, (service.scale or 0) + 1):
            place = _place(service, name, number, config.marks.definition)
            found.setdefault(place.id, _missing(stack, service, config, place))
    return found.values()


def _place(service: ServiceRow, launch: str, number: int, digest: str) -> Place:
    return Place(service_id=service.id, launch=launch, number=number, digest=digest[:12])


def _container(service: ServiceRow, launch: str, row: ContainerRow) -> FoundContainer:
    number = _NUMBER.search(row.name or "")
    once = row.marks.once == "true"
    return FoundContainer(
        id=_place(service, launch, int(number[1]) if number else 0, row.marks.definition).id,
        name=row.name or row.id,
        compose_service=launch,
        image=(row.image_uuid or "").removeprefix("docker:"),
        image_name=(row.image_uuid or "").removeprefix("docker:"),
        state=_state(service, row, once=once),
        created=row.created,
        digest=row.marks.definition,
        restarts=max(0, (row.start_count or 0) - 1),
        exit_code=0 if once else UNKNOWN_EXIT,
        once=once,
        ports=tuple(_ports(row.ports or ())),
        note=row.note or service.note,
    )


def _missing(stack: StackRow, service: ServiceRow, config: Launch, place: Place) -> FoundContainer:
    middle = service.name if place.launch == service.name else f"{service.name}-{place.launch}"
    return FoundContainer(
        id=place.id,
        name=f"{stack.name}-{middle}-{place.number}",
        compose_service=place.launch,
        image=(config.image_uuid or "").removeprefix("docker:"),
        image_name=(config.image_uuid or "").removeprefix("docker:"),
        # A service that was just created is inactive for a moment; one that was stopped keeps its containers.
        state="starting",
        created=service.created,
        digest=config.marks.definition,
        once=config.marks.once == "true",
        note=service.note,
    )


def _state(service: ServiceRow, row: ContainerRow, *, once: bool) -> State:
    """A container that stopped is started again by the server, unless it runs once, its service rests, or it is an old
    one that an upgrade keeps for the way back."""
    if row.state in ("running", "updating-running"):
        match row.health_state:
            case "healthy":
                return "healthy"
            case "unhealthy":
                return "unhealthy"
            case None | "":
                return "running"
        return "starting"
    if row.state in ("stopping", "stopped", "updating-stopped"):
        current = row.marks.definition == service.marks.definition
        return "starting" if current and not once and service.state not in _RESTING else "stopped"
    return "starting"


def _ports(texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in texts:
        if found := _PORT.fullmatch(text):
            address = found["address"] or "0.0.0.0"  # noqa: S104 - what an engine says as well
            yield f"{found['inside']}/{found['protocol'] or 'tcp'}", f"{address}:{found['outside']}"


def grouped(rows: Iterable[ContainerRow]) -> Mapping[str, list[ContainerRow]]:
    """Containers by stack."""
    found: dict[str, list[ContainerRow]] = {}
    for row in rows:
        if row.stack_id:
            found.setdefault(row.stack_id, []).append(row)
    return found
