"""Requests at a constant rate, on connections of their own, each timed from the moment when it was due."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# A machine too busy for the rate gets fewer requests, not more at once than it answers; they are late all the same.
_AT_ONCE = 32


@dataclass
class Load:
    """`with Load(url, 100):` sends 100 requests a second until the block ends. Latencies in ms; of failures the reason;
    of answers in JSON how many came from each version."""

    url: str
    rate: int
    method: str = "GET"
    versions: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), name="load")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def sent(self) -> int:
        return len(self.latencies)

    def __str__(self) -> str:
        ordered = sorted(self.latencies)
        shown = f"p50 {ordered[len(ordered) // 2]:.1f} ms, p99 {ordered[len(ordered) * 99 // 100]:.1f} ms"
        reasons = f": {', '.join(sorted(set(self.failed))[:5])}" if self.failed else ""
        return f"{self.sent} requests at {self.rate}/s, {len(self.failed)} failed{reasons}; {shown}"

    async def _send(self) -> None:
        begin, number, waiting = time.perf_counter(), 0, set()
        while not self._over.is_set():
            due = begin + number / self.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if len(waiting) >= _AT_ONCE:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self._one(due))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            number += 1
        await asyncio.gather(*waiting)

    async def _one(self, due: float) -> None:
        try:
            status = await asyncio.wait_for(self._get(), 20)
        except (OSError, TimeoutError, ValueError, IndexError) as error:
            self.failed.append(f"{type(error).__name__}: {error}")
        else:
            if status != 200:
                self.failed.append(f"status {status}")
        self.latencies.append((time.perf_counter() - due) * 1000)

    async def _get(self) -> int:
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            writer.write(f"{self.method} {target} HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) != length:
            raise ValueError("a short body")
        if b"application/json" in head:
            self.versions[json.loads(body).get("version", "")] += 1
        return int(head.split(b" ", 2)[1])
