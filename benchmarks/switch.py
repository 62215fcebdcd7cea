"""A release switched under load: requests at a constant rate through the lab gateway, timed from when each was due."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.end_to_end.estate import Environment, Estate

RATE = 200
SECONDS = 30


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment()
        try:
            estate = Estate(Path(folder), environment)
            for words in (("lab.up",), ("release",)):
                ran = estate.invoke(*words)
                assert ran.code == 0, ran
            latencies, failed, versions = asyncio.run(_under_load(estate))
        finally:
            environment.destroy()
    cuts = statistics.quantiles(latencies, n=100)
    print(f"  sent {RATE * SECONDS} at {RATE}/s in {SECONDS} s, switched to {versions}")
    print(f"  failed {len(failed)} (limit 0){': ' + ', '.join(sorted(set(failed))[:5]) if failed else ''}")
    shown = f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, slowest {max(latencies):.1f} ms"
    print(f"  latency from the intended time: {shown}")


async def _under_load(estate: Estate) -> tuple[list[float], list[str], str]:
    """Latencies in ms, failures, and the stack that was released meanwhile."""
    latencies: list[float] = []
    failed: list[str] = []
    begin = time.perf_counter() + 0.5

    async def one(number: int) -> None:
        due = begin + number / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        try:
            status = await asyncio.wait_for(_get(estate), 20)
        except (OSError, TimeoutError, ValueError, IndexError) as error:
            failed.append(f"{type(error).__name__}: {error}")
        else:
            if status != 200:
                failed.append(f"status {status}")
        latencies.append((time.perf_counter() - due) * 1000)

    async def release() -> None:
        await asyncio.sleep(5)
        estate.behave("well, and newer")
        ran = await asyncio.to_thread(estate.invoke, "build", "deploy", "register")
        assert ran.code == 0, ran

    await asyncio.gather(release(), *(one(number) for number in range(RATE * SECONDS)))
    return latencies, failed, estate.stack


async def _get(estate: Estate) -> int:
    """One GET on a connection of its own."""
    address = urlsplit(estate.environment.proxy)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(f"GET {estate.uri} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    status = int(answer.split(b" ", 2)[1])
    length = int(answer.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    if len(answer.split(b"\r\n\r\n", 1)[1]) != length:
        raise ValueError("a short body")
    return status
