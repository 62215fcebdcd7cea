"""Runs a lab Rancher: for the command line until a signal comes, for a test in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pipeline.lab.rancher.events import PING_SECONDS
from pipeline.lab.rancher.lab_state import Key, LabState, Seed
from pipeline.lab.rancher.runtime_memory import Faults, MemoryRuntime
from pipeline.lab.rancher.scheduler import LoopScheduler, ManualScheduler, Scheduler, Timings
from pipeline.lab.rancher.server import Server
from pipeline.lab.rancher.troubles import Troubles

ENVIRONMENT_KEY = Key(access="E0000000000000000001", secret="environment-secret-0000000000000000000001")  # noqa: S106  a test's
ACCOUNT_KEY = Key(access="A0000000000000000001", secret="account-secret-000000000000000000000000001")  # noqa: S106  a test's
TEST_SEED = Seed(environment_key=ENVIRONMENT_KEY, account_key=ACCOUNT_KEY, security=True)

Result = TypeVar("Result")


class Lab:
    """A running lab with containers in memory, as a test has it in hand. Safe to use from the test's thread.

    It is a clock too (model.clock.Clock): with manual time, a client that sleeps on it lets the lab go on.
    """

    def __init__(
        self, state: LabState, server: Server, scheduler: Scheduler, troubles: Troubles, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.state = state
        self.faults: Faults = state.faults
        self.troubles = troubles
        self._scheduler = scheduler
        self._loop = loop
        self.host, self.port = server.address

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def requests(self) -> list[str]:
        """Every request so far, as `METHOD /path?query`."""
        return self.troubles.seen

    def call(self, work: Callable[[], Result]) -> Result:
        """Does something to the state inside the server's loop."""
        done: concurrent.futures.Future[Result] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001  it belongs to the thread that asked
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result()

    def advance(self, seconds: float) -> None:
        """Lets manual time pass, and all that is due in it happen."""
        scheduler = self._scheduler
        if not isinstance(scheduler, ManualScheduler):
            raise TypeError("this lab runs in real time")
        self.call(lambda: scheduler.advance(seconds))

    def now(self) -> float:
        return self._scheduler.now()

    def monotonic(self) -> float:
        return self._scheduler.now()

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)


class RealLab:
    """A running lab whose containers are real, and so is its time."""

    def __init__(self, state: LabState, address: tuple[str, int]) -> None:
        self.state = state
        self.host, self.port = address

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def running_rancher(
    *,
    seed: Seed = TEST_SEED,
    timings: Timings | None = None,
    real_time: bool = False,
    ping_seconds: float = PING_SECONDS,
) -> Iterator[Lab]:
    """A lab Rancher in memory on a free port of 127.0.0.1, in a thread.

    Time stands still until `advance` (or `sleep`) is called, unless `real_time`.
    """
    scheduler: Scheduler = LoopScheduler() if real_time else ManualScheduler()
    faults, troubles = Faults(), Troubles()
    chosen = timings if timings is not None else Timings()
    runtime = MemoryRuntime(scheduler, chosen, faults)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="lab-rancher")
    thread.start()

    async def started() -> tuple[LabState, Server]:
        state = LabState(scheduler, chosen, runtime, faults, seed)
        runtime.reports = state.instances
        server = Server(state, troubles, ping_seconds)
        await server.start("127.0.0.1", 0)
        return state, server

    try:
        state, server = asyncio.run_coroutine_threadsafe(started(), loop).result()
        try:
            yield Lab(state, server, scheduler, troubles, loop)
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(0.5), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def rancher_on_engine(*, environment: str, state: Path | None = None, seed: Seed = TEST_SEED) -> Iterator[RealLab]:
    """A lab Rancher whose containers run on the engine of the environment variables, on a free port, in a thread."""
    from pipeline.lab.rancher.on_engine import Place, RancherOnEngine
    from pipeline.model.address import EngineAddress

    place = Place(listen=("127.0.0.1", 0), environment=environment, engine=EngineAddress(), state=state)
    rancher = RancherOnEngine(place, seed)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="lab-rancher")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(rancher.start(), loop).result()
        try:
            yield RealLab(rancher.state, rancher.address)
        finally:
            asyncio.run_coroutine_threadsafe(rancher.stop(0.5), loop).result()
            asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
