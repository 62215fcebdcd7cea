"""Requests as they arrive and answers as they leave: what the ports, the Admin API and the proxy hand to each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

Header = tuple[bytes, bytes]
"""A header's name and value, in the bytes and the case of the wire."""

REASONS = {
    100: "Continue",
    101: "Switching Protocols",
    200: "OK",
    201: "Created",
    202: "Accepted",
    203: "Non-Authoritative Information",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Not Allowed",
    406: "Not Acceptable",
    408: "Request Time-out",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    414: "Request-URI Too Large",
    415: "Unsupported Media Type",
    416: "Requested Range Not Satisfiable",
    417: "Expectation Failed",
    426: "Upgrade Required",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
    505: "HTTP Version Not Supported",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The request line and headers of one request."""

    method: str
    target: bytes
    version: str
    headers: tuple[Header, ...]

    def value(self, name: bytes) -> bytes | None:
        """The last value of a header (name in lower case), or None."""
        found = None
        for key, value in self.headers:
            if key.lower() == name:
                found = value
        return found

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """The comma-separated, lower-cased members of all of a header's values."""
        joined = b",".join(value for key, value in self.headers if key.lower() == name)
        return frozenset(part.strip().lower() for part in joined.split(b",") if part.strip())

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.split(b"?", 1)[0]

    @property
    def query(self) -> bytes:
        """What follows the first `?`; empty when there is none."""
        return self.target.partition(b"?")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer that the gateway itself makes."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(default=())
    body: bytes = b""
    chunked: bool = False


def status_line(status: int, reason: bytes = b"") -> bytes:
    """`HTTP/1.1 200 OK` with its line end; nginx's own words when the reason is not given."""
    words = reason or REASONS.get(status, "").encode()
    return b"HTTP/1.1 %d %s\r\n" % (status, words)


def header_block(headers: tuple[Header, ...] | list[Header]) -> bytes:
    """Header lines and the empty line after them."""
    return b"".join(b"%s: %s\r\n" % pair for pair in headers) + b"\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; empty data would end the body and is left out."""
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


LAST_CHUNK = b"0\r\n\r\n"


def encoded(content: Mapping[str, object]) -> bytes:
    """An object as JSON in UTF-8; what came as other bytes leaves as those bytes."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")
