"""Serves a lab Rancher until a signal comes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Protocol

from pipeline.lab.rancher.lab_state import SERVER_VERSION, LabState, Seed
from pipeline.lab.rancher.runtime_memory import Faults, MemoryRuntime
from pipeline.lab.rancher.scheduler import LoopScheduler, Timings
from pipeline.lab.rancher.server import Server

LAB = "A Rancher for practice and local work: not Rancher, and not for production."
_DRAIN_SECONDS = 4.0
"""Less than the ten seconds after which `docker stop` kills."""


class Served(Protocol):
    async def start(self) -> None: ...

    async def stop(self, seconds: float) -> None: ...

    @property
    def address(self) -> tuple[str, int]: ...


class MemoryRancher:
    """A lab whose containers are only remembered, in real time."""

    def __init__(self, listen: tuple[str, int], seed: Seed) -> None:
        self._listen = listen
        self._seed = seed

    async def start(self) -> None:
        scheduler, faults, timings = LoopScheduler(), Faults(), Timings()
        runtime = MemoryRuntime(scheduler, timings, faults)
        state = LabState(scheduler, timings, runtime, faults, self._seed)
        runtime.reports = state.instances
        self._server = Server(state)
        await self._server.start(*self._listen)

    async def stop(self, seconds: float) -> None:
        await self._server.stop(seconds)

    @property
    def address(self) -> tuple[str, int]:
        return self._server.address


async def run_until_signalled(served: Served) -> None:
    """Serve until SIGTERM or SIGINT; one JSON line on stdout says where, once it listens."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await served.start()
    url = f"http://{served.address[0]}:{served.address[1]}"
    sys.stdout.write(json.dumps({"url": url, "version": SERVER_VERSION, "lab": LAB}) + "\n")
    sys.stdout.flush()
    await stopped.wait()
    sys.stderr.write("lab Rancher: stopping\n")
    await served.stop(_DRAIN_SECONDS)
