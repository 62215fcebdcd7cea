"""One HTTP/1.1 answer read from a connection: as little as an admin API's answers need, and no more.

http.client reads headers with the parser of e-mails, a quarter of the time of a small request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

_CHUNK = 1 << 16
_LONGEST_LINE = 1 << 16
_MOST_HEADERS = 200


class Garbled(Exception):
    """What came is no whole answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer; header names in lower case. `closes`: the server lets go of the connection after it."""

    status: int
    headers: dict[str, str]
    content: bytes
    closes: bool


def read_answer(stream: BinaryIO, method: str, go_on: Callable[[], None]) -> Answer:
    """Reads up to the end of the body; `go_on` is called after each part and may raise. Raises Garbled."""
    status, version, headers = _head(stream)
    while 100 <= status < 200:
        status, version, headers = _head(stream)
    length = headers.get("content-length", "")
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    if method == "HEAD" or status in (204, 304):
        parts: Iterator[bytes] = iter(())
    elif chunked:
        parts = _chunks(stream)
    elif length:
        parts = _counted(stream, _number(length, 10))
    else:
        parts = iter(lambda: stream.read(_CHUNK), b"")
    found = []
    for part in parts:
        found.append(part)
        go_on()
    bodiless = method == "HEAD" or status in (204, 304)
    connection = headers.get("connection", "").lower()
    closes = "close" in connection or not (chunked or length or bodiless)
    closes = closes or (version == b"HTTP/1.0" and "keep-alive" not in connection)
    return Answer(status=status, headers=headers, content=b"".join(found), closes=closes)


def _head(stream: BinaryIO) -> tuple[int, bytes, dict[str, str]]:
    words = _line(stream).split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
        raise Garbled("what came is no HTTP/1 answer")
    headers: dict[str, str] = {}
    while line := _line(stream).rstrip(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or len(headers) > _MOST_HEADERS:
            raise Garbled("what came has headers that are none")
        headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    return _number(words[1].decode("latin-1"), 10), words[0], headers


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise Garbled("the connection was closed without an answer" if not line else "the answer was cut off")
    return line


def _counted(stream: BinaryIO, length: int) -> Iterator[bytes]:
    while length:
        # What there is, that a body which drips meets its deadline.
        part = stream.read1(min(length, _CHUNK))  # type: ignore[attr-defined]  # a BufferedReader
        if not part:
            raise Garbled("the answer was cut off")
        length -= len(part)
        yield part


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while size := _number(_line(stream).partition(b";")[0].decode("latin-1"), 16):
        yield from _counted(stream, size)
        _line(stream)
    while _line(stream).strip():
        pass


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError as error:
        raise Garbled("what came has a length or a status that is no number") from error
    if number < 0:
        raise Garbled("what came has a length below nothing")
    return number
