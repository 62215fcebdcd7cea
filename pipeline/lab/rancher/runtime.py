"""What runs the lab's containers: memory or a Docker engine. The lab asks, the runtime reports back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.lab.rancher.logs import LogRequest, LogSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container as it should run; `config` is the launch config as the API has it.

    `network_of` and `volumes_of` are numbers of containers of the same unit.
    """

    number: int
    uuid: str
    name: str
    project: str
    stack: str
    service: str
    sidekick: str
    unit: str
    config: Mapping[str, Any]
    labels: Mapping[str, str]
    network_of: int = 0
    volumes_of: tuple[int, ...] = ()
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def image(self) -> str:
        return str(self.config.get("imageUuid") or "").removeprefix("docker:")


class Reports(Protocol):
    """What a runtime tells, by the container's number; called in the server's loop."""

    def starting(self, number: int) -> None: ...

    def running(self, number: int, external: str, address: str) -> None: ...

    def failed(self, number: int, reason: str) -> None: ...

    def health(self, number: int, *, healthy: bool) -> None: ...

    def stopped(self, number: int, code: int) -> None: ...

    def removed(self, number: int) -> None: ...


class Runtime(Protocol):
    """Every method returns at once; what comes of it is reported."""

    def run(self, container: Container) -> None:
        """Creates and starts, or starts again what was stopped."""

    def stop(self, number: int, seconds: int) -> None: ...

    def remove(self, number: int) -> None:
        """Stops it, too, when it runs."""

    def pull(self, image: str, login: tuple[str, str] | None, done: Callable[[str], None]) -> None:
        """`done` is told why it failed, or nothing."""

    def log(self, request: LogRequest) -> LogSource | None:
        """What a container has said, and says; None where it says nothing."""
