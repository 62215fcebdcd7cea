"""Containers that are only remembered: they start, become healthy and stop when their time has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.lab.rancher.logs import LogRequest, LogSource
from pipeline.lab.rancher.runtime import Container, Reports
from pipeline.lab.rancher.scheduler import Scheduler, Timings


@dataclass(slots=True)
class Faults:
    """What goes wrong, by image or container name (whole, without `docker:`); deterministic."""

    unhealthy: set[str] = field(default_factory=set)
    unpullable: dict[str, str] = field(default_factory=dict)
    exiting: dict[str, int] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    """Names of stacks or services whose process does not go on."""


class MemoryRuntime:
    """Thousands of containers cost a heap entry each while they change, and nothing while they run."""

    def __init__(self, scheduler: Scheduler, timings: Timings, faults: Faults) -> None:
        self._scheduler = scheduler
        self._timings = timings
        self._faults = faults
        self._turn: dict[int, int] = {}
        self.reports: Reports

    def run(self, container: Container) -> None:
        number = container.number
        turn = self._next(number)
        reason = self._faults.unpullable.get(container.image)
        if reason is not None:
            self._later(self._timings.start / 2, number, turn, lambda: self.reports.failed(number, reason))
            return
        self._later(self._timings.start / 2, number, turn, lambda: self.reports.starting(number))
        self._later(self._timings.start, number, turn, lambda: self._runs(container, turn))

    def stop(self, number: int, seconds: int) -> None:
        del seconds
        turn = self._next(number)
        self._later(self._timings.stop, number, turn, lambda: self.reports.stopped(number, 0))

    def remove(self, number: int) -> None:
        turn = self._next(number)
        self._later(self._timings.stop, number, turn, lambda: self._removed(number))

    def pull(self, image: str, login: tuple[str, str] | None, done: Callable[[str], None]) -> None:
        del login
        reason = self._faults.unpullable.get(image, "")
        self._scheduler.later(self._timings.step, lambda: done(reason))

    def log(self, request: LogRequest) -> LogSource | None:
        del request
        return None

    def _runs(self, container: Container, turn: int) -> None:
        number = container.number
        third, fourth = divmod(number, 250)
        self.reports.running(number, f"{container.uuid.replace('-', '')}", f"10.42.{third % 250}.{fourth + 2}")
        keys = {container.image, container.name, container.service}
        codes = [self._faults.exiting[key] for key in sorted(keys) if key in self._faults.exiting]
        if codes:
            self._later(self._timings.health, number, turn, lambda: self.reports.stopped(number, codes[0]))
        if container.config.get("healthCheck"):
            healthy = not keys & self._faults.unhealthy
            delay = self._timings.health if healthy else self._timings.health * 5
            self._later(delay, number, turn, lambda: self.reports.health(number, healthy=healthy))

    def _removed(self, number: int) -> None:
        self._turn.pop(number, None)
        self.reports.removed(number)

    def _next(self, number: int) -> int:
        """What was under way for this container is no longer."""
        self._turn[number] = self._turn.get(number, 0) + 1
        return self._turn[number]

    def _later(self, seconds: float, number: int, turn: int, call: Callable[[], None]) -> None:
        def due() -> None:
            if self._turn.get(number) == turn:
                call()

        self._scheduler.later(seconds, due)
