"""HTTP: a JSON client for admin APIs that keeps its connection, and an asker that opens a new one each time.

Nothing from the environment takes part (`trust_env=False`): REQUESTS_CA_BUNDLE would override the CA that the settings
name, and a proxy variable would catch requests to loopback.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from pipeline.errors import GatewayAnswered, Unreachable
from pipeline.model.check import Answer, Question
from pipeline.model.clock import Clock, Deadline
from pipeline.model.secret import Secret

if TYPE_CHECKING:
    import requests

_NO_TOKEN = Secret("")
_BODY_LIMIT = 1 << 20
_CHUNK = 1 << 16
_REPEATABLE = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
_BUSY = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where an HTTP API answers and what opens it. Files are PEM; with a `ca_file` no other CA is trusted.

    A user and a password in the URL are sent as basic authentication and never shown.
    """

    url: str
    token: Secret = _NO_TOKEN
    token_header: str = ""
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""


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
    """Requests to one API over a connection that is kept.

    GET, PUT, DELETE are repeated after a lost connection and after 429, 502, 503, 504 (Retry-After honoured), PATCH and
    POST only where the server cannot have acted: connection not made, or 429. Redirects are not followed.
    """

    def __init__(self, access: Access, *, clock: Clock, patience: Patience | None = None) -> None:
        self.url = shown_url(access.url).rstrip("/")
        self._access = access
        self._clock = clock
        self._patience = patience or Patience()
        self._session: requests.Session | None = None

    def request(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Reply:
        """One answer, whatever its status below 600 but a redirect. `path` begins with a slash and is escaped already.

        Raises Unreachable naming URL and reason: for PATCH and POST the server may have acted all the same.
        """
        deadline = Deadline(self._clock, self._patience.total)
        pause = self._patience.first_pause
        for left in range(self._patience.tries - 1, -1, -1):
            try:
                response, content = self._once(method, path, query, body, deadline)
            except _Lost as lost:
                if left == 0 or deadline.passed or not (lost.never_sent or method in _REPEATABLE):
                    raise unreachable(self.url + path, lost.reason, hint=lost.hint) from lost
                wait = pause
            else:
                repeatable = method in _REPEATABLE or response.status_code == 429
                wait = _retry_after(response, pause)
                if response.status_code not in _BUSY or not repeatable or left == 0 or wait >= deadline.left:
                    return _reply(self.url + path, response, content)
            deadline.pause(wait)
            pause *= 2
        raise unreachable(self.url + path, "it was not asked", hint="Set tries to 1 or more.")

    def close(self) -> None:
        """Lets the connection go; the next request opens one again."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _once(
        self, method: str, path: str, query: Mapping[str, str] | None, body: object, deadline: Deadline
    ) -> tuple[requests.Response, bytes]:
        if self._session is None:
            self._session = open_session(self._access)
        headers = {"Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        url = _without_user(self._access.url).rstrip("/") + path
        timeout = (self._patience.connect, max(0.001, min(self._patience.read, deadline.left)))
        return send(
            self._session, method, url, query=query, headers=headers, body=content, timeout=timeout, end=deadline
        )


class HttpFront:
    """A gateway's proxy (gateways.base.Front): one new connection for each question, so that every worker is met."""

    def __init__(self, access: Access, *, clock: Clock) -> None:
        self.url = shown_url(access.url).rstrip("/")
        self._access = access
        self._clock = clock

    def ask(self, question: Question, *, timeout: float) -> Answer:
        """As Front.ask. The first megabyte of the body is read."""
        end = Deadline(self._clock, timeout)
        url = _without_user(self._access.url).rstrip("/") + question.path
        headers = {**question.headers, "Connection": "close"}
        with open_session(self._access) as session:
            try:
                response, body = send(
                    session,
                    question.method,
                    url,
                    headers=headers,
                    timeout=(timeout, timeout),
                    end=end,
                    limit=_BODY_LIMIT,
                )
            except _Lost as lost:
                raise unreachable(self.url + question.path, lost.reason, hint=lost.hint) from lost
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status_code, headers=names, body=body)


def shown_url(url: str) -> str:
    """A URL without user, password, query and fragment, as it may be shown."""
    return _without_user(url).partition("?")[0].partition("#")[0]


def unreachable(url: str, reason: str, *, hint: str = "") -> Unreachable:
    """The failure of an address that gives no usable answer."""
    return Unreachable(f"{url} does not answer: {reason}", hint=hint or "Check the address, and that the server runs.")


class _Lost(Exception):
    """No whole answer came. `never_sent`: the server cannot have acted."""

    def __init__(self, reason: str, *, never_sent: bool, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.never_sent = never_sent
        self.hint = hint


def open_session(access: Access) -> requests.Session:
    """A session that trusts and sends exactly what `access` says."""
    import requests

    session = requests.Session()
    session.trust_env = False
    session.headers["User-Agent"] = "invoke-pipeline"
    session.verify = access.ca_file or True
    if access.client_cert:
        session.cert = (access.client_cert, access.client_key) if access.client_key else access.client_cert
    if access.token and access.token_header:
        session.headers[access.token_header] = access.token.reveal()
    parts = urlsplit(access.url)
    if parts.username is not None:
        session.auth = (unquote(parts.username), unquote(parts.password or ""))
    return session


def send(
    session: requests.Session,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: tuple[float, float],
    end: Deadline,
    query: Mapping[str, str] | None = None,
    body: bytes | None = None,
    limit: int | None = None,
) -> tuple[requests.Response, bytes]:
    """One exchange, with the body read before `end` however slowly it drips. Raises _Lost."""
    from requests import exceptions

    try:
        with session.request(
            method,
            url,
            params=query,
            data=body,
            headers=dict(headers),
            timeout=timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            return response, _read(response, end, limit)
    except exceptions.SSLError as error:
        hint = "Name the server's CA (KONG_CA_CERT) and, where it wants one, the client certificate."
        raise _Lost(_reason(error), never_sent=False, hint=hint) from error
    except exceptions.ConnectTimeout as error:
        raise _Lost(f"no connection within {timeout[0]:g} s", never_sent=True) from error
    except exceptions.Timeout as error:
        raise _Lost(f"silent for {timeout[1]:.3g} s", never_sent=False) from error
    except (exceptions.RequestException, OSError) as error:
        raise _Lost(_reason(error), never_sent=_not_connected(error)) from error


def _read(response: requests.Response, end: Deadline, limit: int | None) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(_CHUNK):
        parts.append(part)
        size += len(part)
        if limit is not None and size >= limit:
            break
        if end.passed:
            raise _Lost(f"its answer was not whole after {end.seconds:g} s", never_sent=False)
    return b"".join(parts)[:limit]


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


def _reason(error: BaseException) -> str:
    """The innermost cause in the system's words, without the library's wrappers (they repeat the URL)."""
    found = error
    while True:
        nested = [one for one in (*found.args, getattr(found, "reason", None)) if isinstance(one, BaseException)]
        deeper = nested[0] if nested else found.__cause__ or found.__context__
        if deeper is None or (isinstance(found, OSError) and found.strerror):
            break
        found = deeper
    if isinstance(found, OSError) and found.strerror:
        return found.strerror.lower() if found.strerror[:1].isupper() else found.strerror
    return str(found) or type(found).__name__


def _not_connected(error: BaseException) -> bool:
    from urllib3.exceptions import NewConnectionError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
