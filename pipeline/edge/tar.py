"""The stream that an engine reads: a context's entries as a tar, without a temporary copy.

The bytes are those that GNU tar makes of the same names:
`tar --format=gnu --numeric-owner --owner=0 --group=0 --no-recursion --null -T -`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from pipeline.edge.context import Context
from pipeline.edge.context_entries import CHUNK, Entry, read_pieces

_BLOCK = 512
_RECORD = 20 * _BLOCK


def pack(context: Context) -> Iterator[bytes]:
    """The context as a tar stream in pieces of up to about CHUNK bytes. Raises BadInput for a file that cannot be read
    any more or has shrunk: what was sent until then is no whole archive."""
    pieces: list[bytes] = []
    waiting = sent = 0
    for piece in _pieces(context):
        pieces.append(piece)
        waiting += len(piece)
        if waiting >= CHUNK:
            yield b"".join(pieces)
            sent += waiting
            pieces, waiting = [], 0
    waiting += 2 * _BLOCK
    yield b"".join(pieces) + bytes(2 * _BLOCK + -(sent + waiting) % _RECORD)


def _pieces(context: Context) -> Iterator[bytes]:
    made = dict(context.made)
    for entry in context.entries:
        if entry.path not in made:
            yield _header(entry)
            if entry.kind == b"0":
                yield from read_pieces(context.root, entry)
                yield bytes(-entry.size % _BLOCK)
    for name, content in made.items():
        yield _header(Entry(name, b"0", 0o600, len(content), 0)) + content + bytes(-len(content) % _BLOCK)


def _header(entry: Entry) -> bytes:
    """The blocks before a path's content; names of more than 100 bytes have blocks of their own."""
    name = os.fsencode(entry.path) + (b"/" if entry.kind == b"5" else b"")
    link = os.fsencode(entry.link)
    long = _long(b"K", link) + _long(b"L", name)
    device = b""
    if entry.kind in b"34":
        device = _number(os.major(entry.device), 8) + _number(os.minor(entry.device), 8)
    return long + _block(name, entry.mode, entry.size, _number(entry.modified // 10**9, 12), entry.kind, link, device)


def _long(kind: bytes, name: bytes) -> bytes:
    if len(name) <= 100:
        return b""
    block = _block(b"././@LongLink", 0o644, len(name) + 1, _number(0, 12), kind, b"", b"")
    return block + name + bytes(_BLOCK - len(name) % _BLOCK)


def _block(name: bytes, mode: int, size: int, mtime: bytes, kind: bytes, link: bytes, device: bytes) -> bytes:
    start = name[:100].ljust(100, b"\0") + b"%07o\0" % mode + b"0000000\0" * 2 + _number(size, 12) + mtime
    end = kind + link[:100].ljust(100, b"\0") + b"ustar  \0" + bytes(64) + device.ljust(16, b"\0") + bytes(167)
    return start + b"%06o\0 " % (sum(start) + sum(end) + 8 * 32) + end


def _number(value: int, width: int) -> bytes:
    """Octal while it fits, else GNU's base 256 (sizes from 8 GiB, times before 1970)."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    sign = b"\x80" if value >= 0 else b"\xff"
    return sign + value.to_bytes(width - 1, "big", signed=True)
