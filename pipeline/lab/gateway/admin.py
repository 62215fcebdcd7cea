"""The Admin API's port: from a request to an Outcome, and from that to Kong's answer with Kong's headers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.bodies import Unsupported, check_type, parsed
from pipeline.lab.gateway.dialect import Dialect
from pipeline.lab.gateway.entity_api import EntityApi, Outcome
from pipeline.lab.gateway.faults import Fault
from pipeline.lab.gateway.inline import shown
from pipeline.lab.gateway.list_api import ListApi
from pipeline.lab.gateway.messages import Answer
from pipeline.lab.gateway.node import Node
from pipeline.lab.gateway.port import Exchange
from pipeline.lab.gateway.resources import ItemOf, ListOf, Page, ParentOf, Resource, allowed, resolve
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.store import Store

_BODY_LIMIT = 10 * 1024 * 1024
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Admin:
    """Serves the Admin API of one dialect over one store."""

    def __init__(self, store: Store, dialect: Dialect, node: Node) -> None:
        self._api = EntityApi(store)
        self._lists = ListApi(self._api, dialect.lists)
        self._dialect = dialect
        self._style = dialect.admin
        self._node = node
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
        extra: tuple[tuple[str, str], ...] = ()
        try:
            resource = resolve(exchange.head.path, self._dialect.schemas, self._dialect.pages)
            if resource is None:
                raise faults.not_found()
            if exchange.head.method == "OPTIONS":
                methods = ", ".join(allowed(resource, self._dialect.pages))
                extra = (
                    ("Allow", methods),
                    ("Access-Control-Allow-Methods", methods),
                    ("Access-Control-Allow-Headers", "Content-Type"),
                )
                status, content = 204, None
            else:
                status, content = self._shown(resource, await self._outcome(exchange, resource, body))
        except Fault as fault:
            status, content = fault.status, self._style.fault_body(fault)
        return self._rendered(status, content, (self._cors(exchange), *extra), started)

    async def _outcome(self, exchange: Exchange, resource: Resource, body: bytes) -> Outcome:
        method = "GET" if exchange.head.method == "HEAD" else exchange.head.method
        content_type = exchange.head.value(b"content-type")
        if method in _WITH_BODY:
            check_type(content_type, has_body=bool(body))
        if method not in allowed(resource, self._dialect.pages):
            raise faults.method_not_allowed()
        given: Entity = {}
        if method in _WITH_BODY:
            schema = None if isinstance(resource, Page) else resource.schema
            given = parsed(content_type, body, schema)
        if isinstance(resource, Page):
            return self._node.page(resource, method, exchange.head.query, given)
        if isinstance(resource, ListOf):
            if method == "GET":
                return self._lists.get(resource, exchange.head.query)
            return await self._api.post(resource, given)
        if isinstance(resource, ItemOf):
            return await self._item(method, resource, given)
        return await self._parent(method, resource, given)

    async def _item(self, method: str, resource: ItemOf, given: Entity) -> Outcome:
        if method == "GET":
            return self._api.get(resource)
        if method == "PUT":
            return await self._api.put(resource, given)
        if method == "PATCH":
            return await self._api.patch(resource, given)
        return await self._api.delete(resource)

    async def _parent(self, method: str, resource: ParentOf, given: Entity) -> Outcome:
        if method == "GET":
            return self._api.get_parent(resource)
        if method == "PUT":
            return await self._api.put_parent(resource, given)
        if method == "PATCH":
            return await self._api.patch_parent(resource, given)
        return self._api.delete_parent(resource)

    def _shown(self, resource: Resource, outcome: Outcome) -> Outcome:
        status, content = outcome
        if isinstance(resource, Page) or content is None or resource.schema.inline is None:
            return outcome
        store = self._api.store
        if isinstance(resource, ListOf) and isinstance(content.get("data"), list):
            return status, {**content, "data": [shown(store, resource.schema, one) for one in content["data"]]}
        return status, shown(store, resource.schema, content)

    def _rendered(
        self, status: int, content: Entity | None, extra: tuple[tuple[str, str], ...], started: float
    ) -> Answer:
        latency = ("X-Kong-Admin-Latency", str(int((time.perf_counter() - started) * 1000)))
        if content is None:
            return Answer(status=status, headers=(*extra, latency, self._server))
        body = encoded(content)
        headers = (
            ("Content-Type", "application/json; charset=utf-8"),
            *extra,
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


def encoded(content: Mapping[str, object]) -> bytes:
    """An object as JSON in UTF-8; what came as other bytes leaves as those bytes."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")
