"""Small servers that answer as registries do: challenges, refusals, moods, tokens; and what lies on their shelf."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.edge.docker_config import Login
from pipeline.edge.registry import RegistryClient
from pipeline.model.secret import Secret

DIGEST = {"Docker-Content-Digest": "sha256:1"}
BASIC = "Basic " + base64.b64encode(b"ci:secret").decode()


@dataclass
class Asked:
    """A request as a server saw it."""

    method: str
    path: str
    authorization: str
    accept: str
    body: bytes = b""
    kind: str = ""


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass
class Sleepless:
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return 0.0

    monotonic = now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def always(answer: Answer) -> Callable[[Asked], Answer]:
    return lambda _: answer


@contextmanager
def serving(answer: Callable[[Asked], Answer], context: ssl.SSLContext | None = None) -> Iterator[str]:
    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = self.headers
            body = self.rfile.read(int(headers.get("Content-Length", "0")))
            asked = Asked(
                method=self.command,
                path=self.path,
                authorization=headers.get("Authorization", ""),
                accept=headers.get("Accept", ""),
                body=body,
                kind=headers.get("Content-Type", ""),
            )
            given = answer(asked)
            self.send_response_only(given.status)
            for name, value in {"Content-Length": str(len(given.body)), **given.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(given.body)

        do_HEAD = do_PUT = do_POST = do_GET

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that tries TLS first is no error."""

    with Quiet(("127.0.0.1", 0), Server) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


CI = Login(user="ci", password=Secret("secret"))
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def opened(host: str, *, clock: Any = None, certificates: str = "/nowhere", login: Login = CI) -> RegistryClient:
    return RegistryClient(host, login, certificates=certificates, clock=clock or Sleepless())


def digest(host: str, *, clock: Sleepless | None = None) -> str:
    with opened(host, clock=clock) as client:
        return client.digest("group/cities", "one")


class Shelf:
    """A registry's one repository, group/cities: manifests by tag and digest, and blobs. Keeps what it was asked."""

    def __init__(self, **tags: bytes) -> None:
        self.tags = dict(tags)
        self.blobs: dict[str, bytes] = {}
        self.seen: list[Asked] = []
        self.kinds: dict[bytes, str] = {}

    def __call__(self, asked: Asked) -> Answer:
        self.seen.append(asked)
        *_, what, name = asked.path.split("/")
        if what == "blobs":
            return Answer(body=self.blobs[name])
        if asked.method == "PUT":
            self.tags[name] = asked.body
            self.kinds[asked.body] = asked.kind
            return Answer(201, {"Docker-Content-Digest": sha256(asked.body)}, b"")
        by_digest = {sha256(content): content for content in (*self.tags.values(), *self.blobs.values())}
        content = self.tags.get(name) or by_digest.get(name)
        if content is None:
            return Answer(404)
        kind = self.kinds.get(content, MANIFEST)
        return Answer(headers={"Docker-Content-Digest": sha256(content), "Content-Type": kind}, body=content)

    @property
    def asked(self) -> list[str]:
        return [f"{one.method} {one.path.rpartition('/')[2]}" for one in self.seen]


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image_of(shelf: Shelf, **labels: str) -> bytes:
    """The manifest of an image on the shelf."""
    config = json.dumps({"config": {"Labels": labels}}).encode()
    shelf.blobs[sha256(config)] = config
    return json.dumps({"mediaType": MANIFEST, "config": {"digest": sha256(config)}}).encode()


def index_of(shelf: Shelf, **images: bytes) -> bytes:
    """An index of images by architecture."""
    for content in images.values():
        shelf.blobs[sha256(content)] = content
    entries = [
        {"digest": sha256(content), "platform": {"os": "linux", "architecture": name}}
        for name, content in images.items()
    ]
    content = json.dumps({"manifests": entries}).encode()
    shelf.kinds[content] = INDEX
    return content


class Tokens:
    """A registry that wants a token for each scope, and knows when one has run out."""

    def __init__(self, shelf: Shelf) -> None:
        self.host = ""
        self.shelf = shelf
        self.valid: dict[str, str] = {}
        self.given: list[str] = []
        self.forms: list[bytes] = []

    def __call__(self, asked: Asked) -> Answer:
        if asked.path.startswith("/token"):
            scope = asked.path.partition("scope=")[2].partition("&")[0]
            self.given.append(scope)
            self.forms.append(asked.body)
            token = f"t{len(self.given)}"
            self.valid[token] = scope
            return Answer(body=json.dumps({"token": token}).encode())
        repository = asked.path.removeprefix("/v2/").partition("/manifests/")[0].partition("/blobs/")[0]
        action = "pull%2Cpush" if asked.method == "PUT" else "pull"
        scope = f"repository%3A{repository.replace('/', '%2F')}%3A{action}"
        if self.valid.get(asked.authorization.removeprefix("Bearer ")) != scope:
            shown = scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",")
            realm = f'Bearer realm="http://{self.host}/token",service="s",scope="{shown}"'
            return Answer(401, {"WWW-Authenticate": realm})
        return self.shelf(asked)
