"""A JSON client for admin APIs: one connection that is kept, and repetitions where they do no harm."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.edge.http import (
    Access,
    Limits,
    Lost,
    NeverSent,
    Outgoing,
    Untrusted,
    open_session,
    send,
    shown_url,
    unreachable,
    without_user,
)
from pipeline.errors import GatewayAnswered
from pipeline.model.clock import Clock, Deadline

if TYPE_CHECKING:
    import requests

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
    """Requests to one API, each thread's over a connection that is kept.

    GET, PUT, DELETE are repeated after a lost connection and after 429, 502, 503, 504 (Retry-After honoured), PATCH and
    POST only where the server cannot have acted: connection not made, or 429. Redirects are not followed.
    """

    def __init__(self, access: Access, *, clock: Clock, patience: Patience | None = None) -> None:
        self.url = shown_url(access.url).rstrip("/")
        self._access = access
        self._clock = clock
        self._patience = patience or Patience()
        self._own = threading.local()
        self._sessions: list[requests.Session] = []

    def request(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Reply:
        """One answer, whatever its status below 600 but a redirect. `path` begins with a slash and is escaped already.

        Raises Unreachable naming URL and reason: for PATCH and POST the server may have acted all the same.
        """
        deadline = Deadline(self._clock, self._patience.total)
        pause = self._patience.first_pause
        for left in range(self._patience.tries - 1, -1, -1):
            try:
                response, content = self._once(method, path, query, body, deadline)
            except Lost as lost:
                repeatable = isinstance(lost, NeverSent) or method in _REPEATABLE
                if left == 0 or deadline.passed or not repeatable or isinstance(lost, Untrusted):
                    raise unreachable(self.url + path, lost) from lost
                wait = pause
            else:
                repeatable = method in _REPEATABLE or response.status_code == 429
                wait = _retry_after(response, pause)
                if response.status_code not in _BUSY or not repeatable or left == 0 or wait >= deadline.left:
                    return _reply(self.url + path, response, content)
            deadline.pause(wait)
            pause *= 2
        raise unreachable(self.url + path, Lost("it was not asked"))

    def close(self) -> None:
        """Lets the connections go; the next request opens one again."""
        while self._sessions:
            self._sessions.pop().close()
        self._own = threading.local()

    def _once(
        self, method: str, path: str, query: Mapping[str, str] | None, body: object, deadline: Deadline
    ) -> tuple[requests.Response, bytes]:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = open_session(self._access)
            self._sessions.append(session)
        headers = {"Accept": "application/json"} | ({} if body is None else {"Content-Type": "application/json"})
        outgoing = Outgoing(
            method=method,
            url=without_user(self._access.url).rstrip("/") + path,
            headers=headers,
            query=query,
            body=None if body is None else json.dumps(body).encode(),
        )
        silence = max(0.001, min(self._patience.read, deadline.left))
        limits = Limits(connect=self._patience.connect, silence=silence, end=deadline)
        return send(session, outgoing, limits)


def _reply(url: str, response: requests.Response, content: bytes) -> Reply:
    status = response.status_code
    kind = response.headers.get("Content-Type", "no content type")
    if 300 <= status < 400:
        target = shown_url(response.headers.get("Location", "nowhere"))
        raise GatewayAnswered(
            f"{url} answered {status}, a redirect to {target}", hint="Use the address that it leads to.", status=status
        )
    if not content:
        return Reply(status=status, body=None)
    try:
        return Reply(status=status, body=json.loads(content))
    except ValueError as error:
        text = content[:120].decode("utf-8", "replace")
        raise GatewayAnswered(
            f"{url} answered {status} with {kind} where JSON was expected: {text!r}",
            hint="Is this the address of the Admin API, and not of something in front of it?",
            status=status,
            body=text,
        ) from error


def _retry_after(response: requests.Response, otherwise: float) -> float:
    """Seconds; the form with a date is treated as absent."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else otherwise
