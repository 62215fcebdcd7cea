"""The frames of RFC 6455, as far as a server needs them that sends text and listens for pings and the end."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pipeline.lab.gateway.channel import Channel

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    opcode: int
    payload: bytes


def accept_key(key: bytes) -> bytes:
    """What proves to the client that its handshake was understood."""
    return base64.b64encode(hashlib.sha1(key.strip() + _MAGIC, usedforsecurity=False).digest())


def packed(opcode: int, payload: bytes) -> bytes:
    """One whole frame of a server: final, not masked."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, size)
    return head + payload


async def frames(channel: Channel) -> AsyncIterator[Frame]:
    """What the client sends, until it leaves or says something that is not a frame."""
    data = b""
    while True:
        frame, data = _taken(data)
        if frame is not None:
            yield frame
            continue
        more = await channel.read()
        if not more or len(data) > _LIMIT:
            return
        data += more


def _taken(data: bytes) -> tuple[Frame | None, bytes]:
    if len(data) < 2:
        return None, data
    size, at = data[1] & 0x7F, 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(data) < at + width:
            return None, data
        size, at = int.from_bytes(data[at : at + width], "big"), at + width
    mask = b""
    if data[1] & 0x80:
        mask, at = data[at : at + 4], at + 4
    if len(data) < at + size:
        return None, data
    payload = data[at : at + size]
    if mask:
        payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return Frame(opcode=data[0] & 0x0F, payload=payload), data[at + size :]
