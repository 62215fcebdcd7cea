"""Requests to a Kong's Admin API, with its answers turned into values and its refusals into errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar
from urllib.parse import quote

from pipeline.edge.http import Access
from pipeline.edge.json_api import JsonClient, Patience, Reply
from pipeline.errors import Failed, GatewayAnswered, Refused
from pipeline.model.address import GatewayAddress
from pipeline.model.clock import Clock

PAGE_SIZE = 1000
_INVALID_OFFSET = 7

Fields = Mapping[str, object]
Page = list[dict[str, object]]
T = TypeVar("T")


class AdminClient:
    """One Kong's Admin API. Paths are words, escaped here. Every method raises Unreachable and GatewayAnswered."""

    def __init__(self, address: GatewayAddress, *, clock: Clock, patience: Patience | None = None) -> None:
        access = Access(
            url=address.admin,
            token=address.token,
            token_header="Kong-Admin-Token",  # noqa: S106  (a header's name)
            ca_file=address.ca_cert,
            client_cert=address.client_cert,
            client_key=address.client_key,
        )
        self._http = JsonClient(access, clock=clock, patience=patience)
        self._root: Fields | None = None

    @property
    def url(self) -> str:
        return self._http.url

    def root(self) -> Fields:
        """`GET /`: version and configuration; asked once."""
        if self._root is None:
            found = self.find()
            if found is None or "version" not in found:
                raise Failed(
                    f"{self.url} is not the Admin API of a Kong: `GET /` gives no version",
                    hint="Set the gateway's admin address (KONG_ADMIN_URL) to where the Admin API answers.",
                )
            self._root = found
        return self._root

    def find(self, *words: str, size: int = 0, offset: str = "") -> Fields | None:
        """The entity or page (of `size`, from `offset`) at a path; None when there is none."""
        query = ({"size": str(size)} if size else {}) | ({"offset": offset} if offset else {})
        reply = self._http.request("GET", _path(words), query=query or None)
        return None if reply.status == 404 else self._fields(reply, "GET", words)

    def listing(self, *words: str, tags: str = "") -> tuple[Fields, ...] | None:
        """Every entity of a collection, each once, to its real end; None when the server has no such collection."""
        found = self.collect(_by_id, *words, tags=tags)
        return None if found is None else tuple(found.values())

    def collect(self, made: Callable[[Page], dict[str, T]], *words: str, tags: str = "") -> dict[str, T] | None:
        """As `listing`, with what `made` makes of each page, by id. A page's entities are its own to change.

        The next page's address is built from `offset`, because a real Kong's `next` forgets the size. An offset that
        the server no longer takes (its entity disappeared) begins the listing anew, once.
        """
        try:
            return self._collected(made, words, tags)
        except GatewayAnswered as error:
            code = error.body.get("code") if isinstance(error.body, Mapping) else None
            if error.status == 404:
                return None
            if code != _INVALID_OFFSET:
                raise
            return self._collected(made, words, tags)

    def write(self, method: str, words: tuple[str, ...], fields: Fields | None = None) -> Fields:
        """One write; the entity as it is then, empty after a DELETE."""
        return self._fields(self._http.request(method, _path(words), body=fields), method, words)

    def require_writable(self) -> None:
        """Refuses a Kong that is not written to: one without a database (Kong 2.8: `configuration.database` is "off"),
        and one whose routes have no names and tags (before 1.1)."""
        version = str(self.root()["version"])
        if version.startswith(("0.", "1.0")):
            raise Refused(
                f"the Kong at {self.url} is {version}: its routes have no names and no tags",
                hint="Services and routes are written to Kong 1.1 and later; /apis of 0.10 to 0.14: gateway.dialect.",
            )
        configuration = self.root().get("configuration")
        if isinstance(configuration, Mapping) and configuration.get("database") == "off":
            raise Refused(
                f"the Kong at {self.url} runs without a database and takes no changes through its Admin API",
                hint="Give it a database, or load the decK file of the artifacts as its declarative configuration.",
            )

    def require_uris(self) -> None:
        """Refuses a Kong that is not written to by /apis: before 0.10 an api was one `request_path` (its CHANGELOG)."""
        version = str(self.root()["version"])
        if re.match(r"0\.[0-9](\.|$)", version):
            raise Refused(
                f"the Kong at {self.url} is {version}: its apis have no uris",
                hint="/apis are written to Kong 0.10 to 0.14.",
            )

    def close(self) -> None:
        self._http.close()

    def _collected(self, made: Callable[[Page], dict[str, T]], words: tuple[str, ...], tags: str) -> dict[str, T]:
        found: dict[str, T] = {}
        for page in self._pages(words, tags):
            found |= made(page)
        return found

    def _pages(self, words: tuple[str, ...], tags: str) -> Iterator[Page]:
        query = {"size": str(PAGE_SIZE)} | ({"tags": tags} if tags else {})
        while True:
            page = self._fields(self._http.request("GET", _path(words), query=query), "GET", words)
            # The members of a group come under their own name (Kong Enterprise).
            entities = page.get("data", page.get("consumers"))
            # An empty list may come as {} (Kong 2.8: GET /tags/none).
            yield [entity for entity in entities if isinstance(entity, dict)] if isinstance(entities, list) else []
            offset = page.get("offset")
            if not isinstance(offset, str):
                return
            if offset == query.get("offset"):
                raise Failed(
                    f"{self.url}{_path(words)} gives the same page again and again",
                    hint="Something in front of the Admin API may drop the query: ask it directly.",
                )
            query["offset"] = offset

    def _fields(self, reply: Reply, method: str, words: tuple[str, ...]) -> Fields:
        if reply.status < 400 and (isinstance(reply.body, Mapping) or reply.body is None):
            return reply.body or {}
        raise _refusal(f"{method} {self.url}{_path(words)}", reply)


def _by_id(page: Page) -> dict[str, Fields]:
    return {str(entity.get("id")): entity for entity in page}


def _path(words: tuple[str, ...]) -> str:
    return "/" + "/".join(quote(word, safe="") for word in words)


def _refusal(request: str, reply: Reply) -> GatewayAnswered:
    """Kong's own words: its message names the fields (Kong 2.8: `{code, name, fields, message}`)."""
    hints = {
        401: "Is KONG_ADMIN_TOKEN set, and the right one? This Admin API may want a client certificate, too.",
        403: "The token or certificate may not do this: ask for the right on this workspace.",
        405: "The Kong may run without a database, or something in front of it lets only reads through.",
        409: "Another entity has this name or id already: look with a GET, and rename one of them.",
    }
    words = _words(reply.body)
    return GatewayAnswered(
        f"{request} answered {reply.status}: {words}",
        hint=hints.get(reply.status, "The gateway's own words say which field; mend it in the manifest or settings."),
        status=reply.status,
        body=reply.body,
    )


def _words(body: object) -> object:
    """The message, or what is said of each field: /apis answer flat (0.14.1)."""
    if isinstance(body, Mapping) and body.get("message"):
        return body["message"]
    if isinstance(body, Mapping) and body and all(isinstance(value, str) for value in body.values()):
        return "; ".join(f"{field}: {value}" for field, value in body.items())
    return body
