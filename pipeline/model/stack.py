"""Stacks: the containers of one release, as they are to run and as they are found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from pipeline.model.interpolate import as_written

State = Literal["healthy", "starting", "unhealthy", "running", "stopped"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Part of a definition; what is left at its default is not written down."""


class HealthCheck(_Part, frozen=True, kw_only=True):
    """A command in the container that exits 0 when it is well. Seconds."""

    test: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0


UNKNOWN_EXIT = -1
"""The exit code of a container on a platform that does not tell it."""

NO_HEALTH = HealthCheck(test=("NONE",))
"""Switches off what the image has."""


class Mount(_Part, frozen=True, kw_only=True):
    """`source` is a named volume (its short name), an absolute path on the host, or empty for an anonymous volume."""

    source: str = ""
    target: str
    read_only: bool = False


class Port(_Part, frozen=True, kw_only=True):
    """A published port; `host` 0 lets the engine choose one."""

    container: int
    protocol: Literal["tcp", "udp"] = "tcp"
    host: int = 0
    address: str = ""


class RancherHealth(_Part, frozen=True, kw_only=True):
    """What Rancher asks a container over the network; without a request line, a connection is enough. Milliseconds."""

    port: int
    request_line: str = ""
    interval: int = 2000
    response_timeout: int = 2000
    initializing_timeout: int = 60000
    reinitializing_timeout: int = 60000
    healthy_threshold: int = 2
    unhealthy_threshold: int = 3
    strategy: Literal["none", "recreate", "recreateOnQuorum"] = "recreate"
    quorum: int = 0


class RancherPart(_Part, frozen=True, kw_only=True):
    """What only Rancher is told of a service: rancher-compose.yml and the labels of the compose file. One that is a
    sidekick is started with each container of `sidekick_of`. `defines`: which of its settings the release that made a
    service said are its own, as JSON; where it is written down again that stays said."""

    health: RancherHealth | None = None
    batch_size: int = 1
    interval_millis: int = 2000
    start_first: bool = True
    metadata: dict[str, Any] = {}
    retain_ip: bool = False
    drain_timeout_ms: int = 0
    milli_cpu_reservation: int = 0
    sidekick_of: str = ""
    defines: str = ""


class StackService(_Part, frozen=True, kw_only=True):
    """One compose service. Texts of `environment` may hold secret marks (model.interpolate), nothing else may."""

    name: str
    image: str
    scale: int = 1
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: dict[str, str] = {}
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    depends_on: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    restart: str = ""
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    stop_signal: str = ""
    stop_seconds: float | None = None
    privileged: bool = False
    read_only: bool = False
    init: bool = False
    tty: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    sysctls: dict[str, str] = {}
    mem_limit: int = 0
    mem_reservation: int = 0
    shm_size: int = 0
    cpu_shares: int = 0
    cpuset: str = ""
    log_driver: str = ""
    log_options: dict[str, str] = {}
    health: HealthCheck | None = None
    rancher: RancherPart | None = None


class Definition(_Part, frozen=True, kw_only=True):
    """All that a platform needs to run a stack, dependencies first; volumes are short names."""

    services: tuple[StackService, ...]
    volumes: tuple[str, ...] = ()
    upstream_service: str = ""
    upstream_port: int = 80

    def text(self) -> str:
        """As JSON, secrets by name: the same definition gives the same text, another one another. What records keep;
        read again, it gives the same text."""
        services = tuple(
            msgspec.structs.replace(
                service, environment={name: as_written(text) for name, text in service.environment.items()}
            )
            for service in self.services
        )
        written = msgspec.json.encode(msgspec.structs.replace(self, services=services))
        # A default is left out where it is the very same object; of words out of a few, reading makes it that.
        again = msgspec.json.decode(written, type=Definition)
        return msgspec.json.encode(again, order="deterministic").decode()

    def digest(self) -> str:
        return hashlib.sha256(self.text().encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack that is to run. `sameness` is the digest of what does not change from release to release: fingerprints
    in place of images, nothing of version, branch and stack."""

    name: str
    service: str
    environment: str
    branch: str
    commit: str
    version: str
    definition: Definition
    sameness: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundContainer:
    """A container of a stack as the platform reports it; `created` in seconds since 1970 by the platform's clock,
    `digest` of the definition that it was made from. One that runs `once` is done when it has exited with 0; a listing
    knows no exit code but 0 (1 stands for all others). `image` is an id, `image_name` what it was asked for by; `note`
    is the platform's own word on why it is not there yet."""

    id: str
    name: str
    compose_service: str
    image: str
    state: State
    created: float
    digest: str = ""
    restarts: int = 0
    exit_code: int = 0
    once: bool = False
    ports: tuple[tuple[str, str], ...] = ()
    image_name: str = ""
    note: str = ""

    @property
    def done(self) -> bool:
        return self.once and self.state == "stopped" and self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStack:
    """A stack as the platform has it; the facts as its labels say, or as the record of its adoption does (`adopted`).
    `pinned`: a label of its own asks to keep it."""

    name: str
    service: str
    environment: str
    branch: str
    commit: str
    version: str
    sameness: str
    containers: tuple[FoundContainer, ...]
    subject: str = ""
    author: str = ""
    pinned: bool = False
    adopted: bool = False

    @property
    def runs(self) -> bool:
        """Whether anything of it is running: what a stop would end."""
        return any(container.state != "stopped" for container in self.containers)

    @property
    def state(self) -> State:
        """The worst of its containers'; a stack without containers is stopped."""
        order: tuple[State, ...] = ("stopped", "unhealthy", "starting", "running", "healthy")
        found = {container.state for container in self.containers if not container.done}
        if found <= {"running", "healthy"} and "healthy" in found:
            return "healthy"
        return next((state for state in order if state in found), "stopped")

    @property
    def serves(self) -> bool:
        """Whether requests that reach it will be answered."""
        return self.state in ("healthy", "running")

    @property
    def created(self) -> float:
        return min((container.created for container in self.containers), default=0.0)
