"""Time in the lab, and what runs in it: processes are generators that yield how long they want to sleep."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.lab.rancher.rows import Row

Steps = Generator[float, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long things take, in seconds. `step` is what every process shows its transitional state for, at least."""

    step: float = 0.1
    tick: float = 0.1
    start: float = 0.2
    health: float = 0.2
    stop: float = 0.1
    retry: float = 1.0
    retry_limit: float = 15.0


class Scheduler(Protocol):
    """`now` is the wall clock, seconds since 1970."""

    def now(self) -> float: ...

    def later(self, seconds: float, call: Callable[[], None]) -> None: ...


class LoopScheduler:
    """The event loop's time. Made before the loop runs, used inside it only."""

    def now(self) -> float:
        return time.time()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, call)


class ManualScheduler:
    """Time that passes only when `advance` is told so; what is due happens in order."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self._now

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self._now + seconds, next(self._numbers), call))

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while self._due and self._due[0][0] <= end:
            when, _, call = heapq.heappop(self._due)
            self._now = max(self._now, when)
            call()
        self._now = end


class Processes:
    """One process per row: a new one ends the one before it, wherever that is."""

    def __init__(self, scheduler: Scheduler, timings: Timings) -> None:
        self._scheduler = scheduler
        self._timings = timings
        self._running: dict[tuple[str, int], Steps] = {}
        self.is_stuck: Callable[[Row], bool] = lambda _: False

    def start(self, row: Row, steps: Steps) -> None:
        """Runs `steps` from the next step of time on."""
        self.stop(row)
        self._running[row.table, row.number] = steps
        self._later(self._timings.step, row, steps)

    def stop(self, row: Row) -> None:
        if (earlier := self._running.pop((row.table, row.number), None)) is not None:
            earlier.close()

    def _later(self, seconds: float, row: Row, steps: Steps) -> None:
        self._scheduler.later(seconds, lambda: self._resume(row, steps))

    def _resume(self, row: Row, steps: Steps) -> None:
        key = row.table, row.number
        if self._running.get(key) is not steps:
            return
        if self.is_stuck(row):
            self._later(self._timings.tick, row, steps)
            return
        pause = next(steps, None)
        if pause is not None:
            self._later(pause, row, steps)
        elif self._running.get(key) is steps:
            del self._running[key]


def waiting(until: Callable[[], bool], tick: float) -> Iterator[float]:
    """Ticks until something is so; for `yield from`."""
    while not until():
        yield tick
