"""An inventory: what an environment's stacks are made of on their platform, as it is written down to be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.model.image import LABEL
from pipeline.model.stack import Stack, StackService

DOCKER = "docker"
RANCHER = "rancher"
BOOTSTRAP_LABEL = f"{LABEL}bootstrap"
"""On what generated scripts made: the digest of the call that made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """An archive that travels with the scripts: its path in their folder, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfiguration:
    """How the platform's engine is set up, as far as stacks notice."""

    log_driver: str = ""
    live_restore: bool = False
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundNetwork:
    """The network that stacks meet on."""

    name: str
    driver: str
    options: Mapping[str, str] = field(default_factory=dict)
    internal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVolume:
    """A named volume. `users` are the containers that run with it, `sample` an image that its containers have."""

    name: str
    driver: str
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    sample: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """An image that containers have: its id on the engine, the names that they call it by, and the digests under which
    registries have it (`repository@sha256:…`)."""

    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FoundRegistry:
    """A registry that a platform has a login for: its address, and who logs in (never with what)."""

    address: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPart:
    """The lab gateway's container, where an environment has one: its own name, its service, its labels, its volume."""

    name: str
    service: StackService
    labels: Mapping[str, str]
    volume: str
    admin: str
    proxy: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LeftOut:
    """One thing that was listed and is not written down (or `count` of them), and why."""

    kind: str
    name: str
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """One environment on its platform; `project` is the one of a Rancher's. An environment value of a service may be
    secret until `declared` has put marks in their places: nothing of an inventory is shown before that. `declared` are
    those texts by `stack/service`, as labels have them. `listed` counts by kind, `left_out` says what of it is not
    here; `upgrading` are stacks of which two definitions run, `unknown` what could not be put into these words."""

    environment: str
    host: HostConfiguration
    network: FoundNetwork | None
    driver: str = DOCKER
    project: str = ""
    registries: tuple[FoundRegistry, ...] = ()
    volumes: tuple[FoundVolume, ...] = ()
    images: tuple[FoundImage, ...] = ()
    stacks: tuple[Stack, ...] = ()
    declared: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    lab: LabPart | None = None
    listed: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    upgrading: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def services(self) -> tuple[tuple[Stack, StackService], ...]:
        return tuple((stack, service) for stack in self.stacks for service in stack.definition.services)

    def with_images(self, references: Mapping[str, str]) -> Inventory:
        """The same, images called by other references."""
        import msgspec

        def renamed(service: StackService) -> StackService:
            return msgspec.structs.replace(service, image=references.get(service.image, service.image))

        stacks = tuple(with_services(stack, tuple(map(renamed, stack.definition.services))) for stack in self.stacks)
        lab = replace(self.lab, service=renamed(self.lab.service)) if self.lab else None
        volumes = tuple(replace(one, sample=references.get(one.sample, one.sample)) for one in self.volumes)
        return replace(self, stacks=stacks, lab=lab, volumes=volumes)


def with_services(stack: Stack, services: tuple[StackService, ...]) -> Stack:
    """The stack with other services under the same labels: it keeps the names that it has."""
    import msgspec

    return replace(stack, definition=msgspec.structs.replace(stack.definition, services=services))
