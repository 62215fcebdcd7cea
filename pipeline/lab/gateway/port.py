"""A listening port: accepts connections, hands one request after the other to its service, drains at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.utils import formatdate

from pipeline.lab.gateway.channel import Channel
from pipeline.lab.gateway.heads import BadRequest, Incoming, next_request
from pipeline.lab.gateway.messages import LAST_CHUNK, Answer, Header, chunk, header_block, status_line

_KEEP_ALIVE_SECONDS = 75.0
_LINGER_SECONDS = 2.0
_BODILESS_STATUS = frozenset({204, 304})


class Exchange:
    """One request and the answer to it, on a client's connection."""

    def __init__(self, incoming: Incoming, *, keep_alive: bool) -> None:
        self.incoming = incoming
        self.head = incoming.head
        self.channel = incoming.channel
        self.keep_alive = keep_alive and _wants_to_stay(incoming)
        self.began = False

    @property
    def connection(self) -> Header:
        """The Connection header of the answer."""
        return (b"Connection", b"keep-alive" if self.keep_alive else b"close")

    async def answer(self, answer: Answer) -> None:
        """Write a complete answer."""
        self.began = True
        is_head = self.head.method == "HEAD"
        bodiless = is_head or answer.status in _BODILESS_STATUS
        if answer.chunked and (bodiless or self.head.version != "1.1"):
            answer = replace(answer, chunked=False)
        head = _rendered(answer, self.connection, has_length=bool(answer.body) or not is_head)
        await self.channel.write(head + (b"" if bodiless else _body(answer)))


Service = Callable[[Exchange], Awaitable[None]]
Refusal = Callable[[int], Answer]


class Port:
    """Accepts on one address.

    `refusal` makes the answer to what is not a request (nginx status 400, 408, 414, 494); `strict` is about spaces.
    """

    def __init__(self, service: Service, refusal: Refusal, *, follows_client: bool, strict: bool) -> None:
        self._service = service
        self._refusal = refusal
        self._follows_client = follows_client
        self._strict = strict
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], Channel] = {}
        self._waiting: set[Channel] = set()
        self._open: set[Channel] = set()
        self._draining = False
        self.address = ("", 0)

    async def listen(self, host: str, port: int) -> None:
        """Start accepting; `address` is then the real one. OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Channel(self._accept, self._open.discard), host or None, port, backlog=1024
        )
        name = self._server.sockets[0].getsockname()
        self.address = (str(name[0]), int(name[1]))

    async def drain(self, seconds: float) -> None:
        """Stop accepting, let requests in flight finish within `seconds`, close what is left."""
        self._draining = True
        if self._server is not None:
            self._server.close()
        for channel in tuple(self._waiting):
            channel.close()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=seconds)
        for task, channel in tuple(self._tasks.items()):
            channel.abort()
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        # What a client has not taken by now, it does not get.
        for channel in tuple(self._open):
            channel.abort()

    def _accept(self, channel: Channel) -> None:
        self._open.add(channel)
        task = asyncio.get_running_loop().create_task(self._converse(channel))
        self._tasks[task] = channel
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            _report(task.exception())

    async def _converse(self, channel: Channel) -> None:
        try:
            while await self._one_request(channel):
                pass
        except (ConnectionError, TimeoutError):
            channel.abort()
        finally:
            channel.on_end = None
            self._waiting.discard(channel)
            channel.close()

    async def _one_request(self, channel: Channel) -> bool:
        self._waiting.add(channel)
        try:
            async with asyncio.timeout(_KEEP_ALIVE_SECONDS):
                incoming = await next_request(channel, strict=self._strict)
        except BadRequest as refused:
            await self._refuse(channel, refused.status)
            return False
        finally:
            self._waiting.discard(channel)
        if incoming is None:
            return False
        exchange = Exchange(incoming, keep_alive=not self._draining)
        await self._exchange(exchange)
        if not exchange.keep_alive:
            await linger(channel)
            return False
        if incoming.whole:
            incoming.give_back()
        return incoming.whole and not self._draining

    async def _exchange(self, exchange: Exchange) -> None:
        channel = exchange.channel
        task = asyncio.current_task()
        if self._follows_client and task is not None:
            channel.on_end = task.cancel
        try:
            await self._service(exchange)
        except BadRequest as refused:
            exchange.keep_alive = False
            if not exchange.began:
                await self._refuse(channel, refused.status)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001  a mistake of ours costs one request, not the gateway
            exchange.keep_alive = False
            _report(error)
            if not exchange.began:
                await self._refuse(channel, 500)
        finally:
            channel.on_end = None

    async def _refuse(self, channel: Channel, status: int) -> None:
        answer = self._refusal(status)
        await channel.write(_rendered(answer, (b"Connection", b"close")) + _body(answer))
        await linger(channel)


async def linger(channel: Channel) -> None:
    """Half-close and read what the client still sends, so that a reset does not take our answer from it."""
    channel.finish_writing()
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while await channel.read():
                pass
    except TimeoutError:
        return


def _report(error: BaseException | None) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": "a request failed", "exception": error})


def _rendered(answer: Answer, connection: Header, *, has_length: bool = True) -> bytes:
    headers = [(name.encode("latin-1"), value.encode("utf-8", "surrogateescape")) for name, value in answer.headers]
    leading = [pair for pair in headers if pair[0] == b"Content-Type"]
    trailing = [pair for pair in headers if pair[0] != b"Content-Type"]
    if answer.chunked:
        leading.append((b"Transfer-Encoding", b"chunked"))
    elif (
        has_length
        and answer.status not in _BODILESS_STATUS
        and not any(name == b"Content-Length" for name, _ in headers)
    ):
        leading.append((b"Content-Length", b"%d" % len(answer.body)))
    date = (b"Date", formatdate(usegmt=True).encode())
    return status_line(answer.status) + header_block([date, *leading, connection, *trailing])


def _body(answer: Answer) -> bytes:
    return chunk(answer.body) + LAST_CHUNK if answer.chunked else answer.body


def _wants_to_stay(incoming: Incoming) -> bool:
    tokens = incoming.head.tokens(b"connection")
    if incoming.head.version == "1.1":
        return b"close" not in tokens
    return b"keep-alive" in tokens
