"""The event stream: what has changed in a project, told to those who subscribed, over a WebSocket or as plain text."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from pipeline.lab.gateway.messages import LAST_CHUNK, chunk, header_block, status_line
from pipeline.lab.gateway.port import Exchange
from pipeline.lab.rancher.faults import Fault
from pipeline.lab.rancher.kinds_other import KINDS
from pipeline.lab.rancher.render import resource
from pipeline.lab.rancher.request import Request
from pipeline.lab.rancher.rows import Row, Store
from pipeline.lab.rancher.scope import Scope
from pipeline.lab.rancher.websocket import CLOSE, PING, PONG, TEXT, accept_key, frames, packed

PING_SECONDS = 5.0
CHANGE = "resource.change"


class Subscriber:
    """One stream. Changes of a resource that come faster than they are sent are one event."""

    def __init__(self, scope: Scope, store: Store, names: Sequence[str], *, action_links: bool) -> None:
        self.scope = scope
        self._store = store
        self._names = names
        self._action_links = action_links
        self._changed: dict[tuple[str, int], Row] = {}
        self._wake = asyncio.Event()

    def noticed(self, row: Row) -> None:
        project = self.scope.project
        mine = project is not None and row.project == project.number and CHANGE in self._names
        if mine and self.scope.methods(KINDS[row.kind]):
            self._changed[row.table, row.number] = row
            self._wake.set()

    async def texts(self, ping_seconds: float) -> AsyncIterator[str]:
        """Events as JSON: a ping at once and every so often, changes as they come."""
        yield _event("ping")
        loop = asyncio.get_running_loop()
        next_ping = loop.time() + ping_seconds
        while True:
            try:
                async with asyncio.timeout_at(next_ping):
                    await self._wake.wait()
            except TimeoutError:
                next_ping = loop.time() + ping_seconds
                yield _event("ping")
                continue
            self._wake.clear()
            rows, self._changed = list(self._changed.values()), {}
            for row in rows:
                if not row.gone or row.state == "removed":
                    yield self._change(row)

    def _change(self, row: Row) -> str:
        shown = resource(row, self.scope, self._store, action_links=self._action_links)
        told = {"resourceType": shown["type"], "resourceId": shown["id"], "data": {"resource": shown}}
        return _event(CHANGE, **told)


class Events:
    def __init__(self, store: Store, ping_seconds: float = PING_SECONDS) -> None:
        self._store = store
        self._ping_seconds = ping_seconds
        self._subscribers: set[Subscriber] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        store.listeners.append(self._noticed)

    async def serve(self, exchange: Exchange, request: Request, scope: Scope) -> None:
        """Streams until the client leaves. Raises Fault before the first byte."""
        if scope.project is None:
            raise Fault(404)
        if request.method != "GET":
            raise Fault(405)
        names = [value for name, value in request.query if name == "eventNames"] or [CHANGE]
        linked = any(name == "_actionLinks" for name, _ in request.query)
        subscriber = Subscriber(scope, self._store, names, action_links=linked)
        exchange.began, exchange.keep_alive = True, False
        self._subscribers.add(subscriber)
        task = asyncio.current_task()
        assert task is not None, "a port serves in tasks"  # noqa: S101  our own invariant
        self._tasks.add(task)
        try:
            if b"websocket" in exchange.head.tokens(b"upgrade"):
                await self._over_websocket(exchange, subscriber)
            else:
                await self._as_text(exchange, subscriber)
        finally:
            self._subscribers.discard(subscriber)
            self._tasks.discard(task)

    def close(self) -> None:
        """Ends every stream."""
        for task in tuple(self._tasks):
            task.cancel()

    def _noticed(self, row: Row) -> None:
        for subscriber in self._subscribers:
            subscriber.noticed(row)

    async def _over_websocket(self, exchange: Exchange, subscriber: Subscriber) -> None:
        channel = exchange.channel
        key = accept_key(exchange.head.value(b"sec-websocket-key") or b"")
        upgrade = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Accept", key)]
        await channel.write(status_line(101) + header_block(upgrade))

        async def send() -> None:
            async for text in subscriber.texts(self._ping_seconds):
                await channel.write(packed(TEXT, text.encode()))

        sending = asyncio.ensure_future(send())
        try:
            async for frame in frames(channel):
                if frame.opcode == PING:
                    await channel.write(packed(PONG, frame.payload))
                elif frame.opcode == CLOSE:
                    await channel.write(packed(CLOSE, frame.payload[:2]))
                    return
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _as_text(self, exchange: Exchange, subscriber: Subscriber) -> None:
        channel = exchange.channel
        framing = [(b"Content-Type", b"application/json"), (b"Transfer-Encoding", b"chunked")]
        await channel.write(status_line(200) + header_block(framing))
        async for text in subscriber.texts(self._ping_seconds):
            await channel.write(chunk(text.encode() + b"\n"))
        await channel.write(LAST_CHUNK)


def _event(name: str, **more: Any) -> str:
    told = {"name": name, "id": str(uuid.uuid4()), "time": int(time.time() * 1000), **more}
    return json.dumps(told, separators=(",", ":"))
