"""One exchange with a registry over HTTP: TLS as the docker command has it, redirects, and bounds on all of it.

As with the docker command, plain HTTP is only spoken to loopback and to registries that the engine names insecure, and
TLS trusts the system's CAs and those in /etc/docker/certs.d/<registry>/. Nothing from the environment takes part:
REQUESTS_CA_BUNDLE would win.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from pipeline.edge.http import Limits, Lost, NeverSent, Outgoing, send
from pipeline.errors import Unreachable
from pipeline.model.clock import Clock, Deadline

if TYPE_CHECKING:
    from requests import Session

CERTIFICATES = "/etc/docker/certs.d"
_BUSY = (429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)
_REDIRECTS = 5
_LIMIT = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: for a connection, for a silence of the registry, for a request with its repetitions, between these, and
    the longest that a registry may ask to wait."""

    connect: float = 5.0
    silence: float = 30.0
    total: float = 120.0
    pauses: tuple[float, ...] = (0.5, 1.0, 2.0)
    longest: float = 60.0


BRIEF = Patience(silence=10.0, total=15.0, pauses=())
"""For what can be done without: one try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Busy(Exception):
    """The registry, or its token server, cannot answer now; `wait` are the seconds that it asks for."""

    def __init__(self, status: int, wait: float) -> None:
        super().__init__(str(status))
        self.status = status
        self.wait = wait


class RegistryTransport:
    """For one thread: it keeps its connections. Its methods raise Busy, Lost, and Unreachable for what is too long."""

    def __init__(self, host: str, *, clock: Clock, insecure: bool, certificates: str, patience: Patience) -> None:
        self._host = host
        self._insecure = insecure or is_loopback(host)
        self._schemes = ("https", "http") if self._insecure else ("https",)
        self._session = _session(os.path.join(certificates, host))
        self._clock = clock
        self._patience = patience

    def close(self) -> None:
        self._session.close()

    def may_be_sent_a_password(self, url: str) -> bool:
        """Over TLS, or to the machine that is spoken to without TLS anyway."""
        parts = urlsplit(url)
        plain = is_loopback(parts.netloc) or (self._insecure and parts.netloc == self._host)
        return parts.scheme == "https" or (parts.scheme == "http" and plain)

    def ask(self, request: Outgoing, deadline: Deadline) -> Reply:
        """The registry's answer to a request whose `url` is a path of it; an insecure registry is asked with TLS
        first. Redirects are followed to where it keeps its blobs."""
        while True:
            asked = replace(request, url=f"{self._schemes[0]}://{self._host}{request.url}")
            try:
                reply = self.send(asked, deadline)
            except Lost as lost:
                # A port that takes no connection takes none without TLS either.
                if len(self._schemes) == 1 or (isinstance(lost, NeverSent) and urlsplit(f"//{self._host}").port):
                    raise
                self._schemes = self._schemes[1:]
            else:
                self._schemes = self._schemes[:1]
                return self._follow(asked, reply, deadline)

    def send(self, request: Outgoing, deadline: Deadline) -> Reply:
        """One exchange with wherever `url` is."""
        silence = max(0.001, min(self._patience.silence, deadline.left))
        limits = Limits(connect=self._patience.connect, silence=silence, end=deadline, size=_LIMIT + 1)
        response, body = send(self._session, request, limits)
        headers = {name.lower(): value for name, value in response.headers.items()}
        if len(body) > _LIMIT:
            raise Unreachable(
                f"the registry {self._host} answers with more than {_LIMIT >> 20} MiB where a few KiB were expected",
                hint="Is this the registry's own address?",
            )
        if response.status_code in _BUSY:
            raise Busy(response.status_code, _retry_after(headers.get("retry-after", ""), self._clock.now()))
        return Reply(status=response.status_code, headers=headers, body=body)

    def _follow(self, request: Outgoing, reply: Reply, deadline: Deadline) -> Reply:
        """What opens the registry is not sent to another host."""
        for _ in range(_REDIRECTS):
            if reply.status not in _MOVED or request.method not in ("GET", "HEAD"):
                return reply
            target = urljoin(request.url, reply.headers.get("location", ""))
            here, there = urlsplit(request.url), urlsplit(target)
            if there.scheme != "https" and here.scheme == "https":
                raise Lost("it sends us on to an address without TLS")
            same = (here.scheme, here.netloc) == (there.scheme, there.netloc)
            kept = {name: value for name, value in request.headers.items() if same or name != "Authorization"}
            request = replace(request, url=target, headers=kept)
            reply = self.send(request, deadline)
        raise Lost(f"it sends us on more than {_REDIRECTS} times")


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is this machine by its name or address."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _retry_after(value: str, now: float) -> float:
    """Seconds from either form of the header; 0 without one."""
    if value.isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, when.replace(tzinfo=when.tzinfo or UTC).timestamp() - now)


def _session(certificates: str) -> Session:
    import requests
    from requests.adapters import HTTPAdapter

    context = ssl.create_default_context()
    if os.path.isdir(certificates):
        for name in sorted(os.listdir(certificates)):
            if name.endswith(".crt"):
                context.load_verify_locations(os.path.join(certificates, name))

    class Trusting(HTTPAdapter):
        def init_poolmanager(self, *positional: Any, **named: Any) -> None:
            super().init_poolmanager(*positional, **named, ssl_context=context)

    session = requests.Session()
    session.trust_env = False
    session.headers.update({"User-Agent": "invoke-pipeline", "Accept-Encoding": "identity"})
    session.mount("https://", Trusting())
    return session
