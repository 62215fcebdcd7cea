"""Requests through the gateway at a constant rate, each on a connection of its own, while something is done."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.end_to_end.estate import Estate

_TIMEOUT = 20.0
_BEFORE_SECONDS = 2.0


@dataclass
class Load:
    """What was answered, by the version that did; failures by their words; seconds that the work took."""

    versions: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    taken: float = 0.0


def under_load(estate: Estate, *, rate: int, seconds: float, work: Callable[[], None]) -> Load:
    """Does `work` two seconds after the first request; requests go on until it is done, and for `seconds` at least."""
    return asyncio.run(_under_load(estate, rate, seconds, work))


async def _under_load(estate: Estate, rate: int, seconds: float, work: Callable[[], None]) -> Load:
    load = Load()
    begin = time.perf_counter()
    working = asyncio.ensure_future(_worked(load, work))
    asking: set[asyncio.Task[None]] = set()
    number = 0
    while not working.done() or time.perf_counter() < begin + seconds:
        await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        asking.add(task := asyncio.ensure_future(_one(estate, load)))
        task.add_done_callback(asking.discard)
        number += 1
    await working
    await asyncio.gather(*asking)
    return load


async def _worked(load: Load, work: Callable[[], None]) -> None:
    await asyncio.sleep(_BEFORE_SECONDS)
    start = time.perf_counter()
    await asyncio.to_thread(work)
    load.taken = time.perf_counter() - start


async def _one(estate: Estate, load: Load) -> None:
    try:
        load.versions[await asyncio.wait_for(_asked(estate), _TIMEOUT)] += 1
    except (OSError, TimeoutError, ValueError, IndexError, KeyError) as error:
        load.failed[f"{type(error).__name__}: {error}"] += 1


async def _asked(estate: Estate) -> str:
    """The version that answers OPTIONS on the service's uri."""
    address = urlsplit(estate.environment.proxy)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(f"OPTIONS {estate.uri} HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if head.split(b" ", 2)[1] != b"200":
        raise ValueError(f"{head.splitlines()[0].decode()}: {body[:200].decode()}")
    return str(json.loads(body)["version"])
