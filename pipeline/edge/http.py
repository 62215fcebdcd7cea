"""HTTP: sessions, one exchange and its failures, and an asker that opens a new connection each time.

Nothing from the environment takes part (`trust_env=False`): REQUESTS_CA_BUNDLE would override the CA that the settings
name, and a proxy variable would catch requests to loopback.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from pipeline.errors import BadInput, Unreachable
from pipeline.model.check import NO_ANSWER, Answer, Question
from pipeline.model.clock import Clock, Deadline
from pipeline.model.secret import Secret

if TYPE_CHECKING:
    import requests

_NO_TOKEN = Secret("")
_BODY_LIMIT = 1 << 20
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where an HTTP API answers and what opens it. Files are PEM; with a `ca_file` no other CA is trusted.

    A user and a password in the URL are sent as basic authentication and never shown. `variables` is how the names of
    the environment variables begin that name the files: for messages.
    """

    url: str
    variables: str = "KONG"
    token: Secret = _NO_TOKEN
    token_header: str = ""
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One request as it leaves; `url` has no user and no password."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str] | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long one exchange may take, in seconds until a connection and of silence, and until when at all; how many
    bytes of the body are read."""

    connect: float
    silence: float
    end: Deadline
    size: int | None = None


class Lost(Exception):
    """No whole answer came; whether the server acted is open."""

    def __init__(self, reason: str, *, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class NeverSent(Lost):
    """No connection was made: the server cannot have acted."""


class Silent(Lost):
    """A connection was made, and no answer came in time."""


class Untrusted(Lost):
    """The server's certificate is not one of the CA's: trying again does not help."""


class HttpFront:
    """A gateway's proxy (gateways.base.Front): one new connection for each question, so that every worker is met."""

    def __init__(self, access: Access, *, clock: Clock) -> None:
        self.url = shown_url(access.url).rstrip("/")
        self._access = access
        self._clock = clock

    def ask(self, question: Question, *, timeout: float) -> Answer:
        """As Front.ask. The first megabyte of the body is read."""
        headers = {**question.headers, "Connection": "close"}
        url = without_user(self._access.url).rstrip("/") + question.path
        outgoing = Outgoing(method=question.method, url=url, headers=headers)
        end = Deadline(self._clock, timeout)
        limits = Limits(connect=timeout, silence=timeout, end=end, size=_BODY_LIMIT)
        with open_session(self._access) as session:
            try:
                response, body = send(session, outgoing, limits)
            except Silent:
                return Answer(status=NO_ANSWER, headers={}, body=f"no answer within {timeout:.3g} s".encode())
            except Lost as lost:
                raise unreachable(self.url + question.path, lost) from lost
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status_code, headers=names, body=body)


def shown_url(url: str) -> str:
    """A URL without user, password, query and fragment, as it may be shown."""
    return without_user(url).partition("?")[0].partition("#")[0]


def without_user(url: str) -> str:
    """A URL without user and password; they are sent as a header."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def unreachable(url: str, lost: Lost) -> Unreachable:
    """The failure of an address that gives no usable answer."""
    hint = lost.hint or "Check the address, and that the server runs."
    return Unreachable(f"{url} does not answer: {lost.reason}", hint=hint)


def require_files(access: Access) -> None:
    """Raises BadInput for a file that cannot be read."""
    for file in (access.ca_file, access.client_cert, access.client_key):
        if file and not os.access(file, os.R_OK):
            raise BadInput(
                f"the file {file} cannot be read", hint="It is named as a CA, a certificate or a key: mend it."
            )


def open_session(access: Access) -> requests.Session:
    """A session that trusts and sends exactly what `access` says. Raises BadInput for a file that cannot be read and
    for a token that cannot be a header."""
    import requests

    require_files(access)
    session = requests.Session()
    session.trust_env = False
    session.headers["User-Agent"] = "invoke-pipeline"
    session.verify = access.ca_file or True
    if access.client_cert:
        session.cert = (access.client_cert, access.client_key) if access.client_key else access.client_cert
    if access.token and access.token_header:
        session.headers[access.token_header] = header_value(access)
    parts = urlsplit(access.url)
    if parts.username is not None:
        session.auth = (unquote(parts.username), unquote(parts.password or ""))
    return session


def send(session: requests.Session, outgoing: Outgoing, limits: Limits) -> tuple[requests.Response, bytes]:
    """One exchange, with the body read before its end however slowly it drips. Raises Lost, redirects are not
    followed."""
    from requests import exceptions

    try:
        with session.request(
            outgoing.method,
            outgoing.url,
            params=outgoing.query,
            data=outgoing.body,
            headers=dict(outgoing.headers),
            timeout=(limits.connect, limits.silence),
            allow_redirects=False,
            stream=True,
        ) as response:
            return response, _read(response, limits)
    except (exceptions.RequestException, OSError) as error:
        raise _lost(error, limits) from error


def _read(response: requests.Response, limits: Limits) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(_CHUNK):
        parts.append(part)
        size += len(part)
        if limits.size is not None and size >= limits.size:
            break
        if limits.end.passed:
            raise Silent(f"its answer was not whole after {limits.end.seconds:g} s")
    return b"".join(parts)[: limits.size]


def header_value(access: Access) -> str:
    """The token as a header has it. Checked here, because the library's own error shows the value. File variables end
    in a line end: it is cut."""
    value = access.token.reveal().strip()
    if not (value.isascii() and value.isprintable()):
        raise BadInput(
            f"the token for {access.token_header} holds characters that no header can",
            hint="Set it without line ends and with ASCII only.",
        )
    return value


def _lost(error: BaseException, limits: Limits) -> Lost:
    from requests.exceptions import ConnectTimeout
    from urllib3.exceptions import NewConnectionError, ReadTimeoutError

    causes = list(_causes(error))
    words = _words(causes[-1])
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Untrusted(words, hint="Name the CA of the server (KONG_CA_CERT); no other is trusted then.")
    if isinstance(error, ConnectTimeout):
        return NeverSent(f"no connection within {limits.connect:.3g} s")
    if any(isinstance(cause, NewConnectionError) for cause in causes):
        return NeverSent(words)
    if any(isinstance(cause, ReadTimeoutError | TimeoutError) for cause in causes):
        return Silent(f"silent for {limits.silence:.3g} s")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Lost(words, hint="The server may want a client certificate (KONG_CLIENT_CERT, KONG_CLIENT_KEY).")
    return Lost(words)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """From the library's wrappers, which repeat the URL, to the system's own error."""
    found: BaseException | None = error
    while found is not None:
        yield found
        nested = [one for one in (*found.args, getattr(found, "reason", None)) if isinstance(one, BaseException)]
        found = nested[0] if nested else found.__cause__ or found.__context__


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
