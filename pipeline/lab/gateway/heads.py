"""Reads request heads off a connection as strictly as h11 and as leniently as nginx where the two may differ."""

from __future__ import annotations

import re
from dataclasses import dataclass

import h11

from pipeline.lab.gateway.channel import Channel
from pipeline.lab.gateway.messages import Head

LINE_LIMIT = 8 * 1024
HEAD_LIMIT = 4 * LINE_LIMIT
"""nginx's large_client_header_buffers: a line has to fit in one buffer of 8 KB, a head in four."""

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([^\x00-\x1f\x7f]*[^\x00-\x20\x7f]) +HTTP/(\d\.\d)\r?\n")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class BadRequest(Exception):
    """What came is not a request that is served; `status` is nginx's, 494 being "header too large"."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request whose head has been read; its body is still to be read from `parser`."""

    head: Head
    parser: h11.Connection
    channel: Channel

    async def body_part(self) -> bytes:
        """The next piece of the body, empty at its end. Raises BadRequest on bad framing or a peer that leaves."""
        while True:
            try:
                event = self.parser.next_event()
                if event is h11.NEED_DATA:
                    if self.parser.they_are_waiting_for_100_continue:
                        self.parser.send(h11.InformationalResponse(status_code=100, headers=[]))
                        await self.channel.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    self.parser.receive_data(await self.channel.read())
                    continue
            except h11.RemoteProtocolError as error:
                raise BadRequest(400) from error
            if isinstance(event, h11.Data):
                return bytes(event.data)
            return b""

    @property
    def whole(self) -> bool:
        """The body, if there was one, has been read to its end."""
        return self.parser.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)

    @property
    def bodiless(self) -> bool:
        """No body was announced."""
        return not any(
            name.lower() == b"transfer-encoding" or (name.lower() == b"content-length" and value.strip(b"0"))
            for name, value in self.head.headers
        )

    def give_back(self) -> None:
        """Return what belongs to the next request to the connection."""
        self.channel.unread(self.parser.trailing_data[0])


async def next_request(channel: Channel, *, strict: bool) -> Incoming | None:
    """The next request of a connection, or None when the client has finished. Raises BadRequest.

    `strict`: no spaces in the target or the host (nginx since 1.21.1, see its CHANGES).
    """
    raw = b""
    while True:
        data = await channel.read()
        if not data:
            return None
        raw = (raw + data).lstrip(b"\r\n") if not raw else raw + data
        end = _END_OF_HEAD.search(raw)
        _check_limits(raw[: end.end()] if end else raw)
        if end:
            channel.unread(raw[end.end() :])
            return _parsed(raw[: end.end()], channel, strict=strict)


def _check_limits(raw: bytes) -> None:
    lines = raw.split(b"\n")
    if len(lines[0]) > LINE_LIMIT:
        raise BadRequest(414)
    if len(raw) > HEAD_LIMIT or any(len(line) > LINE_LIMIT for line in lines):
        raise BadRequest(494)


def _parsed(raw: bytes, channel: Channel, *, strict: bool) -> Incoming:
    line = _REQUEST_LINE.match(raw)
    if line is None:
        raise BadRequest(400)
    method, target, version = line.groups()
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT * 2)
    # h11 refuses targets with spaces or bytes above 0x7e; nginx passes them on: it gets a plain one to parse instead.
    parser.receive_data(b"%s / HTTP/%s\r\n" % (method, version) + raw[line.end() :])
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError as error:
        raise BadRequest(400) from error
    if not isinstance(event, h11.Request):
        raise BadRequest(400)
    headers = tuple((bytes(name), bytes(value)) for name, value in event.headers.raw_items())
    target, headers = _origin_form(target, headers)
    names = [name.lower() for name, _ in headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        raise BadRequest(400)
    host = dict(zip(names, (value for _, value in headers), strict=True)).get(b"host", b"-")
    if host == b"" or (strict and b" " in target + host):
        raise BadRequest(400)
    head = Head(method=method.decode(), target=target, version=version.decode(), headers=headers)
    return Incoming(head=head, parser=parser, channel=channel)


def _origin_form(
    target: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    if target.startswith(b"/"):
        return target, headers
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or not absolute[1]:
        raise BadRequest(400)
    # RFC 9112 3.2.2: the host of an absolute target replaces the Host header.
    others = tuple(pair for pair in headers if pair[0].lower() != b"host")
    rest = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    return rest, ((b"Host", absolute[1]), *others)
