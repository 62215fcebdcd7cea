"""The proxy port: finds the route of a request, sends it upstream, retries where that is safe, relays the answer."""

from __future__ import annotations

import time
from email.utils import formatdate

import h11

from pipeline.lab.gateway.balancer import NoPeer
from pipeline.lab.gateway.dialect import Dialect
from pipeline.lab.gateway.messages import LAST_CHUNK, Answer, Header, chunk, header_block, status_line
from pipeline.lab.gateway.outgoing import Origin, Outgoing, outgoing, passed_back
from pipeline.lab.gateway.port import Exchange
from pipeline.lab.gateway.relay import Body, Relay, UpstreamDied, UpstreamFailed
from pipeline.lab.gateway.routing import Match, Routes
from pipeline.lab.gateway.rule import split_port
from pipeline.lab.gateway.tunnel import tunnel
from pipeline.lab.gateway.upstream import Link, Unconnected, Unresolved, Upstreams

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_BODILESS = frozenset({204, 304})
_TIMEOUT = 60000


class Proxy:
    """Serves the proxy port. `port` is the one that clients are told in X-Forwarded-Port."""

    def __init__(self, routing: Routes, dialect: Dialect) -> None:
        self.routing = routing
        self.style = dialect.proxy
        self._server = dialect.server
        self._upstreams = Upstreams()
        self.port = 0

    def close(self) -> None:
        """Let go of the idle upstream connections."""
        self._upstreams.close()

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        started = time.perf_counter()
        match = self.routing.match(exchange.head)
        refusal = self.routing.refusal(match, exchange.head)
        if match is None or refusal is not None:
            status, message, headers = refusal or (404, self.style.no_route, ())
            await self._say(exchange, status, message, started, headers)
            return
        forward = _Forward(self, exchange, match, started)
        try:
            await forward.run()
        except NoPeer as error:
            await self._say(exchange, 503, str(error), started)
        except Unresolved:
            await self._say(exchange, 503, "name resolution failed", started)

    async def _say(
        self,
        exchange: Exchange,
        status: int,
        message: str | None,
        started: float,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Answer in Kong's own words."""
        if not exchange.incoming.whole and not exchange.incoming.bodiless:
            exchange.keep_alive = False
        elif not exchange.incoming.whole:
            await exchange.incoming.body_part()
        latency = ("X-Kong-Response-Latency", str(_milliseconds(started)))
        content_type, body = self.style.say(message, exchange.head) if message is not None else ("", b"")
        typed = (("Content-Type", content_type),) if message is not None else ()
        length = ("Content-Length", str(len(body)))
        await exchange.answer(
            Answer(status=status, headers=(*typed, *headers, length, latency, ("Server", self._server)), body=body)
        )

    def refuse(self, status: int) -> Answer:
        """The answer to what is not a request."""
        shown, content_type, body = self.style.errors.page(status, None)
        headers = (("Content-Type", content_type), ("Server", self._server))
        # A request line that is too long is no HTTP/1.1 yet.
        return Answer(status=shown, headers=headers, body=body, chunked=self.style.chunked and status != 414)

    def origin(self, exchange: Exchange) -> Origin:
        """Who asks."""
        host = (exchange.head.value(b"host") or b"").decode("utf-8", "surrogateescape")
        return Origin(address=exchange.channel.peer[0], host=split_port(host)[0].lower(), port=self.port)

    @property
    def upstreams(self) -> Upstreams:
        """The connections to upstreams."""
        return self._upstreams

    @property
    def server(self) -> str:
        """The word for the Via header."""
        return self._server


class _Forward:
    """One request on its way to the upstreams of its service."""

    def __init__(self, proxy: Proxy, exchange: Exchange, match: Match, started: float) -> None:
        self._proxy = proxy
        self._exchange = exchange
        self._match = match
        self._started = started
        self._sent_at = started
        service = match.service
        self._connect_seconds = (service["connect_timeout"] or _TIMEOUT) / 1000
        self._read_seconds = (service["read_timeout"] or _TIMEOUT) / 1000
        self._write_seconds = (service["write_timeout"] or _TIMEOUT) / 1000

    async def run(self) -> None:
        """Try upstreams until one answers; then relay, or say what went wrong."""
        match = self._match
        body = Body(self._exchange.incoming, buffers=match.buffers)
        await body.read_ahead()
        request = outgoing(
            self._exchange.head,
            match.target,
            origin=self._proxy.origin(self._exchange),
            prefix=match.prefix,
            preserve_host=match.preserve_host,
            style=self._proxy.style.headers,
        )
        failure = 502
        tries = (match.service["retries"] or 0) + 1
        peers = self._proxy.routing.balancer.peers(match.service)
        while tries > 0:
            peer = next(peers)
            link = self._proxy.upstreams.kept(peer) if _may_repeat(request, body) else None
            relay: Relay | None = None
            try:
                if link is None:
                    link = await self._proxy.upstreams.open(peer, self._connect_seconds)
                relay = Relay(link, request, body, read=self._read_seconds, write=self._write_seconds)
                self._sent_at = time.perf_counter()
                response = await relay.start()
            except (TimeoutError, Unconnected, UpstreamFailed) as error:
                failure = 504 if isinstance(error, TimeoutError) else 502
                stale = link is not None and not link.fresh and isinstance(error, UpstreamFailed)
                await _abandon(relay, link)
                if relay is not None and relay.sent and not _may_repeat(request, body):
                    break
                tries -= 0 if stale else 1
                continue
            except BaseException:
                await _abandon(relay, link)
                raise
            await self._relay(relay, response)
            return
        await self._fail(failure)

    async def _relay(self, relay: Relay, response: h11.Response | h11.InformationalResponse) -> None:
        try:
            if isinstance(response, h11.InformationalResponse):
                await self._switch(relay, response)
                return
            await self._pass_back(relay, response)
            await relay.stop()
        except BaseException:
            await _abandon(relay, relay.link)
            raise
        if relay.reusable:
            self._proxy.upstreams.keep(relay.link)
        else:
            # What was not sent would keep a closed connection open.
            relay.link.channel.abort()

    async def _pass_back(self, relay: Relay, response: h11.Response) -> None:
        exchange = self._exchange
        headers = _raw(response)
        bodiless = exchange.head.method == "HEAD" or response.status_code in _BODILESS
        length = next((value for name, value in headers if name.lower() == b"content-length"), None)
        chunked = length is None and not bodiless and exchange.head.version == "1.1"
        if not exchange.incoming.whole or (length is None and not bodiless and not chunked):
            exchange.keep_alive = False
        framing: list[Header] = [(b"Content-Length", length)] if length is not None else []
        if chunked:
            framing.append((b"Transfer-Encoding", b"chunked"))
        framing.append(exchange.connection)
        if not any(name.lower() == b"date" for name, _ in headers):
            framing.append((b"Date", formatdate(usegmt=True).encode()))
        block = header_block(passed_back(headers, framing, self._marks()))
        exchange.began = True
        pending = status_line(response.status_code, bytes(response.reason)) + block
        try:
            async for part in relay.body_parts():
                await exchange.channel.write(pending + (chunk(part) if chunked else part))
                pending = b""
        except UpstreamDied:
            # The client has to see that the body is not whole: what was promised does not come, the connection breaks.
            if pending:
                await exchange.channel.write(pending)
            exchange.keep_alive = False
            exchange.channel.close()
            raise ConnectionResetError("the upstream died in the middle of its answer") from None
        await exchange.channel.write(pending + (LAST_CHUNK if chunked else b""))

    async def _switch(self, relay: Relay, response: h11.InformationalResponse) -> None:
        exchange = self._exchange
        exchange.keep_alive = False
        exchange.began = True
        headers = _raw(response)
        upgrade: list[Header] = [(name, value) for name, value in headers if name.lower() == b"upgrade"]
        framing: list[Header] = [(b"Connection", b"upgrade"), *upgrade]
        await exchange.channel.write(status_line(101) + header_block(passed_back(headers, framing, self._marks())))
        exchange.channel.on_end = None
        relay.link.channel.unread(relay.leftover)
        exchange.incoming.give_back()
        await tunnel(exchange.channel, relay.link.channel, idle_seconds=self._read_seconds)

    def _marks(self) -> list[Header]:
        now = time.perf_counter()
        return [
            (b"X-Kong-Upstream-Latency", b"%d" % int((now - self._sent_at) * 1000)),
            (b"X-Kong-Proxy-Latency", b"%d" % int((self._sent_at - self._started) * 1000)),
            (b"Via", self._proxy.server.encode()),
        ]

    async def _fail(self, status: int) -> None:
        exchange = self._exchange
        if not exchange.incoming.whole:
            exchange.keep_alive = False
        status, content_type, body = self._proxy.style.errors.page(status, exchange.head)
        marks = tuple((name.decode(), value.decode()) for name, value in self._marks())
        server = (("Server", self._proxy.server),) if self._proxy.style.chunked else ()
        headers = (("Content-Type", content_type), *server, *marks)
        await exchange.answer(Answer(status=status, headers=headers, body=body, chunked=self._proxy.style.chunked))


def _may_repeat(request: Outgoing, body: Body) -> bool:
    """Whether a request may be sent again; only such goes over a kept connection, which may be closing right now."""
    return request.method in _IDEMPOTENT and body.whole


async def _abandon(relay: Relay | None, link: Link | None) -> None:
    if link is not None:
        link.channel.abort()
    if relay is not None:
        await relay.stop()


def _raw(response: h11.Response | h11.InformationalResponse) -> list[Header]:
    return [(bytes(name), bytes(value)) for name, value in response.headers.raw_items()]


def _milliseconds(started: float) -> int:
    return int((time.perf_counter() - started) * 1000)
