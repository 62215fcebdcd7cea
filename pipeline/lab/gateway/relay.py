"""One try at an upstream: sends the request, reads the answer's head, then passes bodies on as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import h11

from pipeline.lab.gateway.heads import BadRequest, Incoming
from pipeline.lab.gateway.messages import LAST_CHUNK, Header, chunk
from pipeline.lab.gateway.outgoing import Outgoing
from pipeline.lab.gateway.upstream import Link

_BUFFERED_BODY = 64 * 1024
_HEAD_LIMIT = 128 * 1024


class UpstreamFailed(Exception):
    """The upstream closed the connection or answered with what is not HTTP, before its answer had begun."""


class UpstreamDied(Exception):
    """The upstream closed, stalled or garbled in the middle of its answer's body."""


class Body:
    """A request's body: what was read ahead, and the client's connection for the rest.

    A short one is read whole before an upstream is chosen, so that it can be sent again to another one; a long one
    is streamed.
    """

    def __init__(self, incoming: Incoming, *, buffers: bool) -> None:
        self._incoming = incoming
        self._buffers = buffers
        self._ahead = b""
        self._length = incoming.head.value(b"content-length")
        self.bodiless = incoming.bodiless
        self.whole = False

    async def read_ahead(self) -> None:
        """Read a body that is short (or announced to be); BadRequest when it is malformed."""
        if not self._buffers and not self.bodiless:
            return
        if self._length is not None and int(self._length) > _BUFFERED_BODY:
            return
        parts = []
        size = 0
        while part := await self._incoming.body_part():
            parts.append(part)
            size += len(part)
            if size > _BUFFERED_BODY:
                self._ahead = b"".join(parts)
                return
        self._ahead = b"".join(parts)
        self.whole = True

    @property
    def framing(self) -> tuple[Header, ...]:
        """The headers that announce it upstream."""
        if self._length is not None:
            return ((b"Content-Length", self._length),)
        if self.bodiless:
            return ()
        if self.whole:
            return ((b"Content-Length", b"%d" % len(self._ahead)),)
        return ((b"Transfer-Encoding", b"chunked"),)

    @property
    def prefix(self) -> bytes:
        """What can be sent together with the request's head."""
        return self._framed(self._ahead)

    async def rest(self) -> AsyncIterator[bytes]:
        """What has to be read from the client first, framed as announced."""
        while part := await self._incoming.body_part():
            yield self._framed(part)
        if self._chunked:
            yield LAST_CHUNK

    @property
    def _chunked(self) -> bool:
        return self._length is None and not self.whole and not self.bodiless

    def _framed(self, data: bytes) -> bytes:
        return chunk(data) if self._chunked else data


class Relay:
    """A request on its way over one link."""

    def __init__(self, link: Link, request: Outgoing, body: Body, *, read: float, write: float) -> None:
        self.link = link
        self._request = request
        self._body = body
        self._read_seconds = read
        self._write_seconds = write
        self._sending: asyncio.Task[None] | None = None
        self._parser = _parser(request)
        self.sent = False

    async def start(self) -> h11.Response | h11.InformationalResponse:
        """Send, and wait for the head of the answer (a 101 is one). Raises UpstreamFailed, TimeoutError, BadRequest."""
        head = self._request.rendered(self.link.peer.authority, self._body.framing)
        try:
            self.sent = True
            async with asyncio.timeout(self._write_seconds):
                await self.link.channel.write(head + self._body.prefix)
            if not self._body.whole:
                self._sending = asyncio.get_running_loop().create_task(self._send_rest())
            return await self._head()
        except (ConnectionError, h11.RemoteProtocolError) as error:
            raise UpstreamFailed from error

    async def _send_rest(self) -> None:
        async for part in self._body.rest():
            async with asyncio.timeout(self._write_seconds):
                await self.link.channel.write(part)

    async def _head(self) -> h11.Response | h11.InformationalResponse:
        while True:
            event = self._parser.next_event()
            if event is h11.NEED_DATA:
                await self._receive()
            elif isinstance(event, h11.Response):
                return event
            elif isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    return event
            else:
                raise UpstreamFailed

    async def _receive(self) -> None:
        if self._sending is not None and not self._sending.done():
            await self._receive_while_sending(self._sending)
            return
        async with asyncio.timeout(self._read_seconds):
            self._parser.receive_data(await self.link.channel.read())

    async def _receive_while_sending(self, sending: asyncio.Task[None]) -> None:
        """Take an early answer; the read time-out starts when the body has gone out, as in nginx."""
        reading = asyncio.get_running_loop().create_task(self.link.channel.read())
        try:
            await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                _raise_client_fault(sending)
                async with asyncio.timeout(self._read_seconds):
                    await asyncio.shield(reading)
            self._parser.receive_data(reading.result())
        finally:
            if not reading.done():
                reading.cancel()

    async def body_parts(self) -> AsyncIterator[bytes]:
        """The answer's body as it comes. Raises UpstreamDied."""
        try:
            while True:
                event = self._parser.next_event()
                if event is h11.NEED_DATA:
                    await self._receive()
                elif isinstance(event, h11.Data):
                    yield bytes(event.data)
                else:
                    return
        except (ConnectionError, h11.RemoteProtocolError, TimeoutError) as error:
            raise UpstreamDied from error

    @property
    def leftover(self) -> bytes:
        """What the upstream sent after its 101."""
        return self._parser.trailing_data[0]

    @property
    def reusable(self) -> bool:
        """Whether the link is between two requests now."""
        sent = self._sending is None or _ended_well(self._sending)
        states = (self._parser.our_state, self._parser.their_state)
        return sent and states == (h11.DONE, h11.DONE) and not self._parser.trailing_data[0]

    async def stop(self) -> None:
        """Stop sending what the upstream no longer wants."""
        if self._sending is not None:
            if self._sending.cancel():
                await asyncio.wait((self._sending,))
            _ended_well(self._sending)  # looks at its error, so that asyncio does not report it as unseen


def _ended_well(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _raise_client_fault(sending: asyncio.Task[None]) -> None:
    error = sending.exception() if sending.done() and not sending.cancelled() else None
    if isinstance(error, BadRequest):
        raise error
    if isinstance(error, TimeoutError):
        raise TimeoutError from error


def _parser(request: Outgoing) -> h11.Connection:
    """A parser for the answer; it is told only of the request what decides how the answer is framed."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
    headers = [("Host", "upstream")]
    if request.upgrades:
        headers += [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    parser.send(h11.Request(method=request.method, target="/", headers=headers))
    parser.send(h11.EndOfMessage())
    return parser
