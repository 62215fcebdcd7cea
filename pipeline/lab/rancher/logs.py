"""Logs of containers over a WebSocket: an action gives a token, and the token opens one stream once."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from pipeline.lab.gateway.messages import header_block, status_line
from pipeline.lab.gateway.port import Exchange
from pipeline.lab.rancher.websocket import CLOSE, PING, PONG, TEXT, accept_key, frames, packed

PATH = "/v1/logs/"
# Both streams of a container; the agent tells a line's by two digits in front.
_STREAM = b"01 "
_DEFAULT_LINES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """What an action asked for; `lines` are the last so many."""

    number: int
    lines: int
    follow: bool
    timestamps: bool


class LogSource:
    """Where a container's log comes from: lines, until `close` is called or there are no more. Blocks."""

    def __init__(self, lines: Any, close: Callable[[], None]) -> None:
        self.lines = lines
        self.close = close


class Logs:
    def __init__(self, source: Callable[[LogRequest], LogSource | None]) -> None:
        self._source = source
        self._tokens: dict[str, LogRequest] = {}

    def token(self, number: int, given: Mapping[str, Any]) -> str:
        """For one stream of one container; defaults are the agent's."""
        token = uuid.uuid4().hex
        self._tokens[token] = LogRequest(
            number=number,
            lines=int(given.get("lines") or _DEFAULT_LINES),
            follow=bool(given.get("follow", True)),
            timestamps=bool(given.get("timestamps", True)),
        )
        return token

    async def serve(self, exchange: Exchange, query: str) -> bool:
        """Streams until the log or the client ends; False for a token that opens nothing."""
        request = self._tokens.pop(parse_qs(query).get("token", [""])[0], None)
        if request is None or b"websocket" not in exchange.head.tokens(b"upgrade"):
            return False
        exchange.began, exchange.keep_alive = True, False
        channel = exchange.channel
        key = accept_key(exchange.head.value(b"sec-websocket-key") or b"")
        upgrade = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Accept", key)]
        await channel.write(status_line(101) + header_block(upgrade))
        sending = asyncio.ensure_future(self._send(channel, request))
        try:
            async for frame in frames(channel):
                if frame.opcode == PING:
                    await channel.write(packed(PONG, frame.payload))
                elif frame.opcode == CLOSE:
                    break
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return True

    async def _send(self, channel: Any, request: LogRequest) -> None:
        source = self._source(request)
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def read() -> None:
            try:
                for line in source.lines if source is not None else ():
                    loop.call_soon_threadsafe(lines.put_nowait, line)
            except Exception:  # noqa: BLE001, S110  a stream that is closed while it is read ends in many ways
                pass
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(lines.put_nowait, None)

        threading.Thread(target=read, name=f"log {request.number}", daemon=True).start()
        try:
            while (line := await lines.get()) is not None:
                await channel.write(packed(TEXT, _STREAM + line))
            await channel.write(packed(CLOSE, b"\x03\xe8"))
        finally:
            if source is not None:
                source.close()
