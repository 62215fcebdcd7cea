"""The request that goes upstream and the headers that come back: what is added, replaced and left out."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.lab.gateway.messages import Head, Header

_REPLACED = frozenset(
    {
        b"host",
        b"connection",
        b"upgrade",
        b"te",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"content-length",
        b"expect",
        b"trailer",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-real-ip",
    }
)
_TELLING = frozenset({b"x-forwarded-path", b"x-forwarded-prefix"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderStyle:
    """A version's habits: whether it tells the path as it was asked for, drops the headers that the client's
    Connection lists and passes on that trailers are welcome, and the Connection of an upgrade."""

    tells_path: bool
    drops_listed: bool
    passes_te: bool
    upgrade: bytes


MODERN_HEADERS = HeaderStyle(tells_path=True, drops_listed=True, passes_te=True, upgrade=b"keep-alive, Upgrade")
OLD_HEADERS = HeaderStyle(tells_path=False, drops_listed=False, passes_te=False, upgrade=b"upgrade")
_NOT_PASSED_BACK = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"content-length",
        b"content-type",
        b"upgrade",
        b"trailer",
        b"via",
    }
)
_FIRST = b"content-type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asked, and where: the client's address, and the host and port at which it found the gateway."""

    address: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request as it goes upstream, but for the Host header, which each try's peer decides."""

    method: str
    target: bytes
    upgrades: bool
    connection: bytes
    trailers: bool
    headers: tuple[Header, ...]
    preserved_host: bytes | None

    def rendered(self, authority: str, framing: tuple[Header, ...]) -> bytes:
        """Request line and headers for a peer; `framing` are the headers that announce the body."""
        host = self.preserved_host if self.preserved_host is not None else authority.encode()
        lines = [b"%s %s HTTP/1.1" % (self.method.encode(), self.target)]
        if self.trailers:
            lines.append(b"TE: trailers")
        lines.append(b"Host: " + host)
        if self.upgrades:
            lines.append(b"Upgrade: websocket")
        lines.append(b"Connection: " + self.connection)
        at = next((index for index, (name, _) in enumerate(self.headers) if name == b"X-Real-IP"), -1) + 1
        ordered = (*self.headers[:at], *framing, *self.headers[at:])
        return b"\r\n".join([*lines, *(b"%s: %s" % pair for pair in ordered), b"", b""])


def outgoing(
    head: Head, target: bytes, *, origin: Origin, prefix: bytes | None, preserve_host: bool, style: HeaderStyle
) -> Outgoing:
    """The request that a client's becomes."""
    dropped = _REPLACED | (head.tokens(b"connection") if style.drops_listed else frozenset())
    dropped |= _TELLING if style.tells_path else frozenset()
    upgrades = b"websocket" in head.tokens(b"upgrade")
    forwarded_for = [value for name, value in head.headers if name.lower() == b"x-forwarded-for"]
    ours: list[Header] = [
        (b"X-Forwarded-For", b", ".join([*forwarded_for, origin.address.encode()])),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", origin.host.encode("utf-8", "surrogateescape")),
        (b"X-Forwarded-Port", b"%d" % origin.port),
    ]
    if style.tells_path:
        ours.append((b"X-Forwarded-Path", head.path))
    if prefix is not None:
        ours.append((b"X-Forwarded-Prefix", prefix))
    ours.append((b"X-Real-IP", origin.address.encode()))
    theirs = [(name, value) for name, value in head.headers if name.lower() not in dropped]
    return Outgoing(
        method=head.method,
        target=target,
        upgrades=upgrades,
        connection=style.upgrade if upgrades else b"keep-alive",
        trailers=style.passes_te and b"trailers" in head.tokens(b"te"),
        headers=(*ours, *theirs),
        preserved_host=head.value(b"host") if preserve_host else None,
    )


def passed_back(headers: list[Header], framing: list[Header], added: list[Header]) -> list[Header]:
    """The headers of an upstream's answer as the client gets them: type and framing first, then theirs, then ours."""
    listed = {
        token.strip().lower() for name, value in headers if name.lower() == b"connection" for token in value.split(b",")
    }
    replaced = {name.lower() for name, _ in added}
    types = [(name, value) for name, value in headers if name.lower() == _FIRST]
    rest = [
        (name, value)
        for name, value in headers
        if name.lower() not in _NOT_PASSED_BACK and name.lower() not in listed and name.lower() not in replaced
    ]
    return [*types, *framing, *rest, *added]
