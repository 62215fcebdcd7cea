"""A JSON client for admin APIs: one connection that is kept, and repetitions where they do no harm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from pipeline.edge.answers import Answer
from pipeline.edge.connection import Connection
from pipeline.edge.http import Access, Limits, Lost, NeverSent, Untrusted, shown_url, unreachable
from pipeline.errors import GatewayAnswered
from pipeline.model.clock import Clock, Deadline
from pipeline.model.secret import Secret

_REPEATABLE = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
_BUSY = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: for a connection, for a silence of the server, for a request with its repetitions; and how many."""

    connect: float = 5.0
    read: float = 30.0
    total: float = 60.0
    tries: int = 5
    first_pause: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer whose body is JSON; None for an empty body."""

    status: int
    body: object


class JsonClient:
    """Requests to one API over connections that are kept, one for each thread that asks at a time.

    GET, PUT, DELETE are repeated after a lost connection and after 429, 502, 503, 504 (Retry-After honoured), PATCH and
    POST only where the server cannot have acted: connection not made, or 429. Redirects are not followed.
    """

    def __init__(self, access: Access, *, clock: Clock, patience: Patience | None = None) -> None:
        self.url = shown_url(access.url).rstrip("/")
        self._access = access
        self._clock = clock
        self._patience = patience or Patience()
        self._free: list[Connection] = []

    def request(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Reply:
        """One answer, whatever its status below 600 but a redirect. `path` begins with a slash and is escaped already.

        Raises Unreachable naming URL and reason: for PATCH and POST the server may have acted all the same.
        """
        deadline = Deadline(self._clock, self._patience.total)
        pause = self._patience.first_pause
        target = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else _encoded(body)
        for left in range(self._patience.tries - 1, -1, -1):
            try:
                received = self._once(method, target, content, deadline)
            except Lost as lost:
                repeatable = isinstance(lost, NeverSent) or method in _REPEATABLE
                if left == 0 or deadline.passed or not repeatable or isinstance(lost, Untrusted):
                    raise unreachable(self.url + path, lost) from lost
                wait = pause
            else:
                repeatable = method in _REPEATABLE or received.status == 429
                wait = _retry_after(received, pause)
                if received.status not in _BUSY or not repeatable or left == 0 or wait >= deadline.left:
                    return _reply(self.url + path, received)
            deadline.pause(wait)
            pause *= 2
        raise unreachable(self.url + path, Lost("it was not asked"))

    def close(self) -> None:
        """Lets the connections go; the next request opens one again."""
        while self._free:
            self._free.pop().close()

    def _once(self, method: str, target: str, content: bytes | None, deadline: Deadline) -> Answer:
        try:
            connection = self._free.pop()
        except IndexError:
            connection = Connection(self._access)
        silence = max(0.001, min(self._patience.read, deadline.left))
        limits = Limits(connect=self._patience.connect, silence=silence, end=deadline)
        try:
            return connection.exchange(method, target, content, limits)
        finally:
            self._free.append(connection)


def _encoded(body: object) -> bytes:
    """JSON, with its secrets in clear text: right before they leave."""
    try:
        return msgspec.json.encode(body, enc_hook=_revealed)
    except UnicodeEncodeError:
        # Half of a pair of surrogates: a server may have it, and only \ud800 can say it.
        return json.dumps(body, default=_revealed).encode()


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} is not sent")


def _decoded(content: bytes) -> object:
    """As JSON, also what is not strictly so: a server may have stored it."""
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return json.loads(content)


def _reply(url: str, received: Answer) -> Reply:
    status, content = received.status, received.content
    kind = received.headers.get("content-type", "no content type")
    if 300 <= status < 400:
        target = shown_url(received.headers.get("location", "nowhere"))
        raise GatewayAnswered(
            f"{url} answered {status}, a redirect to {target}", hint="Use the address that it leads to.", status=status
        )
    if not content:
        return Reply(status=status, body=None)
    try:
        return Reply(status=status, body=_decoded(content))
    except ValueError as error:
        text = content[:120].decode("utf-8", "replace")
        raise GatewayAnswered(
            f"{url} answered {status} with {kind} where JSON was expected: {text!r}",
            hint="Is this the address of the Admin API, and not of something in front of it?",
            status=status,
            body=text,
        ) from error


def _retry_after(received: Answer, otherwise: float) -> float:
    """Seconds; the form with a date is treated as absent."""
    value = received.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else otherwise
