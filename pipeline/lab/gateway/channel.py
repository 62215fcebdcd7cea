"""One TCP connection with back-pressure in both directions: what server, proxy and tunnel read from and write to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

_HIGH_WATER = 256 * 1024


class Channel(asyncio.Protocol):
    """Bytes in and out of one connection.

    Unlike a StreamReader it knows at once, without being read from, that its peer has gone: a pooled connection has to
    be told from a dead one before a request is put on it.
    """

    def __init__(
        self, made: Callable[[Channel], None] | None = None, gone: Callable[[Channel], None] | None = None
    ) -> None:
        self._made = made
        self._gone = gone
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._full = False
        self._reading_paused = False
        self.ended = False
        self.lost = False
        self.opened_at = 0.0
        self.on_end: Callable[[], object] | None = None

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self.opened_at = asyncio.get_running_loop().time()
        if self._made is not None:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _HIGH_WATER and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.ended = True
        self._wake()
        if self.on_end is not None:
            self.on_end()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        del error
        already_ended, self.ended, self.lost = self.ended, True, True
        self._wake()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        if self.on_end is not None and not already_ended:
            self.on_end()
        if self._gone is not None:
            self._gone(self)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # -- what we call

    @property
    def peer(self) -> tuple[str, int]:
        """Address and port of the other end."""
        address = self._transport.get_extra_info("peername") if self._transport is not None else None
        return (str(address[0]), int(address[1])) if address else ("", 0)

    @property
    def idle(self) -> bool:
        """Nothing has arrived that was not read, and the peer is still there."""
        return not self._buffer and not self.ended

    async def read(self) -> bytes:
        """All that has arrived, waiting for the first byte; empty when the peer has finished."""
        while not self._buffer and not self.ended:
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._reading_paused and self._transport is not None and not self.lost:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    def unread(self, data: bytes) -> None:
        """Put back what belongs to whoever reads next."""
        self._buffer[:0] = data

    async def write(self, data: bytes) -> None:
        """Send, waiting while the peer is slow; ConnectionResetError once it has gone."""
        if self.lost or self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._transport.write(data)
        while self._full and not self.lost:
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None
        if self.lost:
            raise ConnectionResetError("the peer closed the connection")

    def finish_writing(self) -> None:
        """Tell the peer that nothing more will come; it may still send."""
        if self._transport is not None and not self.lost and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close after what was written has gone out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now; what was not sent is dropped."""
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
