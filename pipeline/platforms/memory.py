"""Stacks in this process: containers do as a script says, so that flows are tested without waiting for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import Failed, Refused
from pipeline.model.clock import Clock
from pipeline.model.image import LABEL, PIN_LABEL
from pipeline.model.interpolate import fill_secrets
from pipeline.model.secret import Secret
from pipeline.model.stack import NO_HEALTH, FoundContainer, FoundStack, Stack, StackService, State
from pipeline.model.surroundings import FoundImage
from pipeline.platforms.names import container_name, volume_name, volumes_of

_KEPT_UP = ("always", "unless-stopped", "on-failure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a container does once it is started, counted in observations of its stack; None is never."""

    healthy_after: int | None = 0
    unhealthy_after: int | None = None
    exits_after: int | None = None
    exit_code: int = 0
    log: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class MemoryContainer:
    """A container: `environment` as its processes would see it, secrets included."""

    id: str
    name: str
    stack: Stack
    service: StackService
    environment: Mapping[str, str]
    behaviour: Behaviour
    created: float
    digest: str
    status: Literal["created", "running", "exited"] = "created"
    observed: int = 0


@dataclass(kw_only=True)
class MemoryEngine:
    """What platforms of several environments share: containers, volumes, ports.

    `images` None has every image. `before` is called with what is about to be done (`create cities-….app.1-…`): a test
    raises there. `foreign` are names of containers, `taken` ports, `strangers` stacks that are somebody else's; `kept`
    are images by id.
    """

    clock: Clock
    behave: Callable[[Stack, StackService], Behaviour] = lambda _stack, _service: Behaviour()
    before: Callable[[str], None] = lambda _doing: None
    images: set[str] | None = None
    foreign: set[str] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)
    containers: dict[str, MemoryContainer] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)
    kept: dict[str, FoundImage] = field(default_factory=dict)
    strangers: tuple[FoundStack, ...] = ()
    made: int = 0


class MemoryPlatform:
    """The stacks of one environment on an engine in memory."""

    def __init__(self, engine: MemoryEngine, environment: str = "local") -> None:
        self.engine = engine
        self._environment = environment

    def stacks(self) -> tuple[FoundStack, ...]:
        self.engine.before("list")
        names: dict[str, list[MemoryContainer]] = {}
        for container in self.engine.containers.values():
            if container.stack.environment == self._environment:
                names.setdefault(container.stack.name, []).append(container)
        return tuple(sorted((_stack(parts) for parts in names.values()), key=lambda stack: (stack.created, stack.name)))

    def observe(self, name: str) -> FoundStack | None:
        self.engine.before(f"observe {name}")
        parts = self._of(name)
        for container in parts:
            container.observed += container.status == "running"
        return _stack(parts) if parts else None

    def start(self, stack: Stack, secrets: Mapping[str, Secret]) -> None:
        for short in volumes_of(stack.definition):
            self.engine.before(f"create the volume {short}")
            self.engine.volumes.setdefault(volume_name(stack, short), stack.environment)
        for service in stack.definition.services:
            if self.engine.images is not None and service.image not in self.engine.images:
                raise Failed(f"the image {service.image} is not here", hint="Build it.")
        digest = stack.definition.digest()
        for service in stack.definition.services:
            for number in range(1, service.scale + 1):
                self._run(stack, service, container_name(stack, service, number, digest), secrets)

    def remove(self, containers: Sequence[FoundContainer]) -> None:
        for found in containers:
            container = self.engine.containers.get(found.name)
            if container is not None and container.id == found.id:
                self.engine.before(f"stop {found.name}")
                container.status = "exited"
                self.engine.before(f"remove {found.name}")
                del self.engine.containers[found.name]

    def logs(self, name: str, *, tail: int, follow: bool) -> Iterator[str]:
        self.engine.before(f"logs {name}")
        # There is nothing to follow: what a container says, it has said.
        for container in self._of(name) if tail or not follow else ():
            lines = () if container.status == "created" else container.behaviour.log
            yield from (f"{container.service.name}.{container.id} | {line}" for line in lines[-tail:])

    def explain(self, name: str) -> tuple[str, ...]:
        self.engine.before(f"explain {name}")
        return tuple(f"{container.name}: {_state(container)}" for container in self._of(name))

    def _of(self, name: str) -> list[MemoryContainer]:
        everything = self.engine.containers.values()
        return [one for one in everything if (one.stack.environment, one.stack.name) == (self._environment, name)]

    def _run(self, stack: Stack, service: StackService, name: str, secrets: Mapping[str, Secret]) -> None:
        container = self.engine.containers.get(name) or self._create(stack, service, name, secrets)
        if container.status == "running" and _state(container) != "stopped":
            return
        self.engine.before(f"start {name}")
        mine = {port.host for port in service.ports if port.host}
        running = (one for one in self.engine.containers.values() if one.status == "running")
        used = self.engine.taken | {port.host for one in running for port in one.service.ports}
        if mine & used:
            raise Failed(
                f"{stack.name}: {service.name}: the port {min(mine & used)} is already in use",
                hint="Leave the host's port out.",
            )
        container.status = "running"
        container.observed = 0

    def _create(self, stack: Stack, service: StackService, name: str, secrets: Mapping[str, Secret]) -> MemoryContainer:
        self.engine.before(f"create {name}")
        if name in self.engine.foreign:
            raise Refused(f"there is a container {name} that is not this environment's", hint="Rename or remove it.")
        self.engine.made += 1
        container = MemoryContainer(
            id=f"{self.engine.made:06}",
            name=name,
            stack=stack,
            service=service,
            environment={key: fill_secrets(text, secrets) for key, text in service.environment.items()},
            behaviour=self.engine.behave(stack, service),
            created=self.engine.clock.now(),
            digest=stack.definition.digest(),
        )
        self.engine.containers[name] = container
        return container


def _state(container: MemoryContainer) -> State:
    behaviour, seen = container.behaviour, container.observed
    if container.status != "running":
        return "starting" if container.status == "created" else "stopped"
    if _restarts(container):
        return "starting"
    if behaviour.exits_after is not None and seen >= behaviour.exits_after:
        return "stopped"
    if container.service.health in (None, NO_HEALTH):
        return "running"
    if behaviour.unhealthy_after is not None and seen >= behaviour.unhealthy_after:
        return "unhealthy"
    return "healthy" if behaviour.healthy_after is not None and seen >= behaviour.healthy_after else "starting"


def _restarts(container: MemoryContainer) -> int:
    """One more with every observation, for a container that exits and is kept up."""
    exits = container.behaviour.exits_after
    if exits is None or container.service.restart.partition(":")[0] not in _KEPT_UP:
        return 0
    return max(0, container.observed - exits + 1)


def _stack(parts: Sequence[MemoryContainer]) -> FoundStack:
    stack = max(parts, key=lambda container: (container.created, container.id)).stack
    containers = (
        FoundContainer(
            id=one.id,
            name=one.name,
            compose_service=one.service.name,
            image=one.service.image,
            image_name=one.service.image,
            state=_state(one),
            created=one.created,
            digest=one.digest,
            restarts=_restarts(one),
            exit_code=one.behaviour.exit_code if _state(one) == "stopped" else 0,
            once=one.service.labels.get("io.rancher.container.start_once") == "true",
            ports=tuple((f"{port.container}/{port.protocol}", f"0.0.0.0:{port.host}") for port in one.service.ports),
        )
        for one in parts
    )
    return FoundStack(
        name=stack.name,
        service=stack.service,
        environment=stack.environment,
        branch=stack.branch,
        commit=stack.commit,
        version=stack.version,
        sameness=stack.sameness,
        subject=stack.labels.get(f"{LABEL}subject", ""),
        author=stack.labels.get(f"{LABEL}author", ""),
        pinned=any(one.service.labels.get(PIN_LABEL, "false") != "false" for one in parts),
        containers=tuple(sorted(containers, key=lambda container: container.name)),
    )
