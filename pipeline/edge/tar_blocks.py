"""The blocks of GNU tar's format: what stands before a path's content, and how long the two are together."""

from __future__ import annotations

import os

from pipeline.edge.context_entries import Entry

BLOCK = 512
_LONGEST = 100


def header(entry: Entry) -> bytes:
    """The blocks before a path's content; names of more than 100 bytes have blocks of their own."""
    name = os.fsencode(entry.path) + (b"/" if entry.kind == b"5" else b"")
    link = os.fsencode(entry.link)
    long = _long(b"K", link) + _long(b"L", name)
    device = b""
    if entry.kind in b"34":
        device = _number(os.major(entry.device), 8) + _number(os.minor(entry.device), 8)
    return long + _block(name, entry.mode, entry.size, _number(entry.modified // 10**9, 12), entry.kind, link, device)


def packed_size(entry: Entry) -> int:
    """The bytes of the blocks before the content and of the filled-up content."""
    size = BLOCK + entry.size + -entry.size % BLOCK
    name, link = entry.path, entry.link
    if len(name) >= _LONGEST or len(link) > _LONGEST or not (name.isascii() and link.isascii()):
        size += len(_long(b"L", os.fsencode(name) + b"/" * (entry.kind == b"5"))) + len(_long(b"K", os.fsencode(link)))
    return size


def _long(kind: bytes, name: bytes) -> bytes:
    if len(name) <= _LONGEST:
        return b""
    block = _block(b"././@LongLink", 0o644, len(name) + 1, _number(0, 12), kind, b"", b"")
    return block + name + bytes(BLOCK - len(name) % BLOCK)


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
