"""A stand-in for a Kong's legacy /apis and the plugins on them, as far as the driver goes: held to the recordings."""

from __future__ import annotations

import base64
import itertools
import json
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Entity = dict[str, Any]
Reply = tuple[int, Any]
NOT_FOUND: Reply = (404, {"message": "Not found"})
NOT_ALLOWED: Reply = (405, {"message": "Method not allowed"})
_DEFAULTS = {
    "apis": {
        "retries": 5,
        "strip_uri": True,
        "preserve_host": False,
        "https_only": False,
        "http_if_terminated": False,
        "upstream_connect_timeout": 60000,
        "upstream_send_timeout": 60000,
        "upstream_read_timeout": 60000,
    },
    "plugins": {"enabled": True},
}
_CONFIGS: dict[str, Entity] = {
    "key-auth": {
        "hide_credentials": False,
        "run_on_preflight": True,
        "key_in_body": False,
        "anonymous": "",
        "key_names": ["apikey"],
    },
    "rate-limiting": {"policy": "cluster", "limit_by": "consumer", "fault_tolerant": True},
}
_MATCHERS = ("uris", "hosts", "methods")
_REQUIRED = {"apis": ("name", "upstream_url"), "plugins": ("name",)}


class LegacyKong(ThreadingHTTPServer):
    """`requests` are the methods and paths so far. The answer to one that is in `lost` never comes, though it acted."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.version = "0.14.1"
        self.database = "postgres"
        self.lost: set[str] = set()
        self.tables: dict[str, dict[str, Entity]] = {"apis": {}, "plugins": {}}
        self.requests: list[str] = []
        self._times = itertools.count(1_700_000_000_000)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, words: list[str], query: dict[str, str], body: Entity) -> Reply:
        if not words:
            return 200, {"version": self.version, "configuration": {"database": self.database}}
        if words[0] in ("services", "routes", "consumers") and len(words) == 1 and method == "GET":
            return 200, {"data": [], "next": None}
        if words[0] not in self.tables:
            return NOT_FOUND
        if len(words) == 1:
            return self._collection(words[0], method, query, body)
        found = self._find(words[0], words[1])
        if found is None:
            return NOT_ALLOWED if method == "PUT" else NOT_FOUND
        if len(words) == 3 and words[:1] == ["apis"] and words[2] == "plugins":
            if method == "GET":
                query = {**query, "api_id": found["id"]}
            return self._collection("plugins", method, query, {**body, "api_id": found["id"]})
        return self._entity(words[0], method, found, body)

    def forget(self, name: str) -> None:
        """Removes the apis of a name."""
        self.tables["apis"] = {key: one for key, one in self.tables["apis"].items() if one["name"] != name}

    def _collection(self, kind: str, method: str, query: dict[str, str], body: Entity) -> Reply:
        if method == "GET":
            return self._page(kind, query)
        if method == "PUT" and "id" in body:
            if "created_at" not in body:
                return 400, {"created_at": "created_at is required"}
            if body["id"] not in self.tables[kind]:
                return NOT_FOUND
            return self._refusal(kind, body, body["id"]) or self._keep(kind, body, 200)
        return self._refusal(kind, body, "") or self._keep(kind, body, 201)

    def _entity(self, kind: str, method: str, found: Entity, body: Entity) -> Reply:
        if method == "GET":
            return 200, found
        if method == "DELETE":
            del self.tables[kind][found["id"]]
            of_it = [one["id"] for one in self.tables["plugins"].values() if one.get("api_id") == found["id"]]
            for one in of_it:
                del self.tables["plugins"][one]
            return 204, None
        if method != "PATCH":
            return NOT_ALLOWED
        if not body:
            return 400, {"message": "empty body"}
        merged = {**found, **body}
        if kind == "plugins" and "config" in body:
            merged["config"] = {**found["config"], **body["config"]}
        return self._refusal(kind, merged, found["id"]) or self._keep(kind, merged, 200)

    def _refusal(self, kind: str, body: Entity, own: str) -> Reply | None:
        missing = {key: f"{key} is required" for key in _REQUIRED[kind] if not body.get(key)}
        if missing:
            return 400, missing
        if kind == "apis" and not any(body.get(key) for key in _MATCHERS):
            return 400, {"message": "at least one of 'hosts', 'uris' or 'methods' must be specified"}
        scope = ("name",) if kind == "apis" else ("name", "api_id", "consumer_id")
        for one in self.tables[kind].values():
            if one["id"] != own and all(one.get(key) == body.get(key) for key in scope):
                return 409, {"name": f"already exists with value '{body['name']}'"}
        return None

    def _keep(self, kind: str, body: Entity, status: int) -> Reply:
        made = {"id": str(uuid.uuid4()), "created_at": next(self._times)}
        entity = {**_DEFAULTS[kind], **made, **{key: value for key, value in body.items() if value is not None}}
        for key in _MATCHERS:
            if isinstance(entity.get(key), str):
                entity[key] = entity[key].split(",")
            if entity.get(key) == []:
                entity[key] = {}
        if kind == "apis" and entity.get("uris"):
            entity["uris"] = [uri.rstrip("/") or "/" for uri in entity["uris"]]
        if kind == "plugins":
            entity["config"] = {**_CONFIGS.get(entity["name"], {}), **entity.get("config", {})}
        self.tables[kind][entity["id"]] = entity
        return status, entity

    def _page(self, kind: str, query: dict[str, str]) -> Reply:
        size, number = int(query.get("size", "100")), 1
        if "offset" in query:
            number = int(base64.b64decode(query["offset"]))
        filters = {key: value for key, value in query.items() if key not in ("size", "offset")}
        found = [one for one in self.tables[kind].values() if all(one.get(k) == v for k, v in filters.items())]
        # No defined order: every other page is in another one, so pages overlap.
        ordered = sorted(found, key=lambda one: one["id"], reverse=number % 2 == 0)
        page = {"data": ordered[(number - 1) * size : number * size], "total": len(found)}
        if number * size < len(found):
            page["offset"] = base64.b64encode(str(number + 1).encode()).decode()
        return 200, page

    def _find(self, kind: str, key: str) -> Entity | None:
        return next((one for one in self.tables[kind].values() if key in (one["id"], _name(kind, one))), None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LegacyKong

    def reply(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        words = [unquote(word) for word in parts.path.split("/") if word]
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        status, body = self.server.answer(self.command, words, query, json.loads(content) if content else {})
        if self.server.requests[-1] in self.server.lost:
            self.server.lost.discard(self.server.requests[-1])
            self.close_connection = True
            return
        answer = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        if status != 204:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST = reply

    def log_message(self, format: str, *words: object) -> None:
        """Says nothing."""


@contextmanager
def legacy_kong(context: ssl.SSLContext | None = None) -> Iterator[LegacyKong]:
    """One that runs; with a context, over TLS (https and its port are the caller's to say)."""
    server = LegacyKong()
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _name(kind: str, one: Entity) -> str:
    return str(one["name"]) if kind == "apis" else ""
