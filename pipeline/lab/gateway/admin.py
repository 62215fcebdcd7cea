"""The Admin API's port: from a request to an Outcome, and from that to Kong's answer with Kong's headers."""

from __future__ import annotations

import time

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.bodies import Unsupported
from pipeline.lab.gateway.dialect import Dialect
from pipeline.lab.gateway.dispatch import Dispatch
from pipeline.lab.gateway.faults import Fault
from pipeline.lab.gateway.messages import Answer
from pipeline.lab.gateway.node import Node
from pipeline.lab.gateway.port import Exchange
from pipeline.lab.gateway.resources import allowed, resolve
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.store import Store

_BODY_LIMIT = 10 * 1024 * 1024


class Admin:
    """Serves the Admin API of one dialect over one store."""

    def __init__(self, store: Store, dialect: Dialect, node: Node) -> None:
        self._dispatch = Dispatch(store, dialect, node)
        self._dialect = dialect
        self._style = dialect.admin
        self._server = ("Server", dialect.server)

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        started = time.perf_counter()
        if exchange.head.method in ("TRACE", "CONNECT"):
            exchange.keep_alive = False
            await exchange.answer(self._style.nginx.page(405))
            return
        body = await self._body(exchange)
        if body is None:
            exchange.keep_alive = False
            await exchange.answer(self._style.nginx.page(413, self._server))
            return
        try:
            answer = await self._answer(exchange, body, started)
        except Unsupported:
            answer = self._style.nginx.page(415, self._cors(exchange), self._server)
        await exchange.answer(self._conditional(exchange, answer))

    async def _body(self, exchange: Exchange) -> bytes | None:
        announced = exchange.head.value(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > _BODY_LIMIT:
            return None
        body = bytearray()
        while part := await exchange.incoming.body_part():
            body += part
            if len(body) > _BODY_LIMIT:
                return None
        return bytes(body)

    async def _answer(self, exchange: Exchange, body: bytes, started: float) -> Answer:
        cors = self._cors(exchange)
        try:
            resource = resolve(exchange.head.path, self._dialect.schemas, self._dialect.pages)
            if resource is None:
                raise faults.not_found()
            quick = self._style.quick(exchange.head.method, allowed(resource, self._dialect.pages))
            if quick is not None:
                server = ("Server", quick.server) if quick.server is not None else self._server
                return Answer(status=quick.status, headers=(cors, *quick.headers, server))
            status, content = await self._dispatch.outcome(exchange.head, resource, body)
        except Fault as fault:
            status, content = fault.status, self._style.fault_body(fault)
        return self._rendered(status, content, cors, started)

    def _rendered(self, status: int, content: Entity | None, cors: tuple[str, str], started: float) -> Answer:
        latency = ("X-Kong-Admin-Latency", str(int((time.perf_counter() - started) * 1000)))
        if content is None:
            return Answer(status=status, headers=(cors, latency, self._server))
        body = self._style.encode(content)
        headers = (
            ("Content-Type", "application/json; charset=utf-8"),
            cors,
            ("Content-Length", str(len(body))),
            latency,
            self._server,
        )
        return Answer(status=status, headers=headers, body=body)

    def _cors(self, exchange: Exchange) -> tuple[str, str]:
        origin = exchange.head.value(b"origin") if self._style.echoes_origin else None
        return ("Access-Control-Allow-Origin", origin.decode("latin-1") if origin is not None else "*")

    def _conditional(self, exchange: Exchange, answer: Answer) -> Answer:
        """nginx's filter for conditional requests: no entity has an ETag, so only `*` ever matches one."""
        if answer.status != 200:
            return answer
        required = exchange.head.value(b"if-match")
        if required is not None and required.strip() != b"*":
            return self._style.nginx.page(412, self._server)
        if (exchange.head.value(b"if-none-match") or b"").strip() == b"*":
            return Answer(status=304, headers=(self._cors(exchange), self._server))
        return answer
