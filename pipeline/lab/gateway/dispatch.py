"""From a resource and a method to the verb that answers it."""

from __future__ import annotations

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.bodies import check_type, legacy_parsed, parsed
from pipeline.lab.gateway.dialect import Dialect
from pipeline.lab.gateway.entity_api import EntityApi, Outcome
from pipeline.lab.gateway.inline import shown
from pipeline.lab.gateway.legacy_api import LegacyApi
from pipeline.lab.gateway.list_api import ListApi
from pipeline.lab.gateway.messages import Head
from pipeline.lab.gateway.node import Node
from pipeline.lab.gateway.resources import ItemOf, ListOf, Page, ParentOf, Resource, allowed
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.store import Store

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Dispatch:
    """The Admin API of one dialect over one store, without the port."""

    def __init__(self, store: Store, dialect: Dialect, node: Node) -> None:
        self._api = EntityApi(store, dialect.admin.entities)
        self._lists = ListApi(self._api, dialect.lists)
        self._legacy = LegacyApi(self._api, dialect.legacy)
        self._dialect = dialect
        self._node = node

    async def outcome(self, head: Head, resource: Resource, body: bytes) -> Outcome:
        """Status and content of the answer. Raises Fault, or Unsupported for a body of a type that is not read."""
        method = "GET" if head.method == "HEAD" else head.method
        content_type = head.value(b"content-type")
        if method in _WITH_BODY:
            check_type(content_type, has_body=bool(body))
        if method not in allowed(resource, self._dialect.pages):
            raise faults.method_not_allowed()
        if not isinstance(resource, Page) and _schema(resource) in self._dialect.legacy:
            given = legacy_parsed(content_type, body, head.query) if method in _WITH_BODY else {}
            return await self._old(method, resource, given, head)
        schema = None if isinstance(resource, Page) else resource.schema
        if content_type is not None and not self._dialect.admin.reads_multipart and b"multipart" in content_type:
            content_type = None
        given = parsed(content_type, body, schema) if method in _WITH_BODY else {}
        if isinstance(resource, Page):
            return self._node.page(resource, head, given)
        return self._shown(resource, await self._new(method, resource, given, head.query))

    async def _new(self, method: str, resource: ListOf | ItemOf | ParentOf, given: Entity, query: bytes) -> Outcome:
        if isinstance(resource, ListOf):
            return self._lists.get(resource, query) if method == "GET" else await self._api.post(resource, given)
        if isinstance(resource, ParentOf):
            return await self._parent(method, resource, given)
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

    async def _old(self, method: str, resource: ListOf | ItemOf | ParentOf, given: Entity, head: Head) -> Outcome:
        if isinstance(resource, ParentOf):
            return self._legacy.get_parent(resource)
        if isinstance(resource, ItemOf):
            if method == "GET":
                return self._legacy.get(resource)
            return await (self._legacy.patch(resource, given) if method == "PATCH" else self._legacy.delete(resource))
        if method == "POST":
            return await self._legacy.post(resource, given)
        if method == "PUT":
            return await self._legacy.put_list(resource, given)
        return self._legacy.page(resource, head)

    def _shown(self, resource: ListOf | ItemOf | ParentOf, outcome: Outcome) -> Outcome:
        status, content = outcome
        if content is None or resource.schema.inline is None:
            return outcome
        store = self._api.store
        if isinstance(resource, ListOf) and isinstance(content.get("data"), list):
            return status, {**content, "data": [shown(store, resource.schema, one) for one in content["data"]]}
        return status, shown(store, resource.schema, content)


def _schema(resource: ListOf | ItemOf | ParentOf) -> str:
    return resource.child.name if isinstance(resource, ParentOf) else resource.schema.name
