"""Runs a gateway: for the command line until a signal comes, for a test in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.lab.gateway.dialects import DEFAULT, DIALECTS
from pipeline.lab.gateway.gateway import Address, Gateway, Setup
from pipeline.lab.gateway.node import LAB

_DRAIN_SECONDS = 8.0
"""Less than the ten seconds after which `docker stop` kills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """The addresses of a running gateway."""

    admin: Address
    proxy: Address

    @property
    def admin_url(self) -> str:
        """The Admin API's URL, without a slash at the end."""
        return f"http://{self.admin[0]}:{self.admin[1]}"

    @property
    def proxy_url(self) -> str:
        """The proxy's URL, without a slash at the end."""
        return f"http://{self.proxy[0]}:{self.proxy[1]}"


@contextmanager
def running_gateway(
    *, state: Path, version: str = DEFAULT, environment: str = "", drain_seconds: float = 2.0
) -> Iterator[Lab]:
    """A gateway on free ports of 127.0.0.1, in a thread; stopped, its state kept, when the block ends."""
    dialect = DIALECTS[version]
    setup = Setup(admin=("127.0.0.1", 0), proxy=("127.0.0.1", 0), state=state, environment=environment, dialect=dialect)
    gateway = Gateway(setup)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="lab-gateway")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(gateway.start(), loop).result()
        yield Lab(admin=gateway.admin, proxy=gateway.proxy)
    finally:
        asyncio.run_coroutine_threadsafe(gateway.stop(drain_seconds), loop).result()
        asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def run_until_signalled(setup: Setup) -> None:
    """Serve until SIGTERM or SIGINT; one JSON line on stdout says where, once it listens."""
    gateway = Gateway(setup)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await gateway.start()
    lab = Lab(admin=gateway.admin, proxy=gateway.proxy)
    line = {"admin": lab.admin_url, "proxy": lab.proxy_url, "version": setup.dialect.version, "lab": LAB}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    sys.stderr.write(f"lab gateway: admin {lab.admin_url}, proxy {lab.proxy_url}, state {setup.state}. {LAB}\n")
    await stopped.wait()
    sys.stderr.write("lab gateway: stopping\n")
    await gateway.stop(_DRAIN_SECONDS)
