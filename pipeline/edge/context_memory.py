"""What is remembered of contexts between runs: a small file for each, which may be lost at any time."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from pipeline.edge.files import write_file
from pipeline.errors import BadInput

_MAGIC = b"context1"
_FRAME = struct.Struct(">8sI16s")
_LARGEST = 32 << 20
_FIRST = 64 << 10
"""More than a head has; one that has more costs its context a walk."""
_DAY = 24 * 3600
_UNUSED_DAYS = 90
_ENDING = ".context"


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What a context was: `outline` stands for what decided about it, `stamp` for its folder without the `skipped` ones
    (both digests; no stamp when it could not be trusted)."""

    outline: bytes
    stamp: bytes
    skipped: tuple[bytes, ...]
    digest: str
    files: int
    size: int
    body: bytes = b""


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One path that arrives: what the file system said of it, and what it holds: all that a digest takes of it."""

    path: bytes
    size: int
    modified: int
    changed: int
    inode: int
    mode: int
    held: bytes


class Change(msgspec.Struct, frozen=True, array_like=True):
    """An older content of the context: its digest, and what the paths held that the next one changed (nothing: they
    were not there)."""

    digest: str
    before: dict[bytes, bytes]


class Body(msgspec.Struct, frozen=True, array_like=True):
    """The paths of a context (None: they were too many), and its older contents, the latest first."""

    items: list[Item] | None = None
    older: list[Change] = []


class ContextMemory:
    """A folder of heads and bodies by key. Without a folder, and where it cannot be written, they are kept in the
    process. What cannot be read, or is not what was written, is not there."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self._kept: dict[str, bytes] = {}
        self._cleaned = False

    def head(self, key: str) -> Head | None:
        return _decoded(self._read(key, _FIRST))[0]

    def both(self, key: str) -> tuple[Head, Body] | None:
        head, rest = _decoded(self._read(key))
        if head is None or _check(rest) != head.body:
            return None
        try:
            return head, msgspec.msgpack.decode(rest, type=Body)
        except msgspec.MsgspecError:
            return None

    def keep(self, key: str, head: Head, body: Body) -> None:
        """Writes both in one file, without older contents or paths where they are too many."""
        for one in (body, Body(items=body.items), Body()):
            rest = msgspec.msgpack.encode(one)
            if len(rest) <= _LARGEST:
                break
        start = msgspec.msgpack.encode(msgspec.structs.replace(head, body=_check(rest)))
        content = _FRAME.pack(_MAGIC, len(start), _check(start)) + start + rest
        if content != self._read(key):
            self._write(key, content)

    def _path(self, key: str) -> Path:
        return Path(self._folder or "", key + _ENDING)

    def _read(self, key: str, most: int = -1) -> bytes:
        if self._folder is None or key in self._kept:
            return self._kept.get(key, b"")
        try:
            with open(self._path(key), "rb", buffering=0) as file:
                if time.time() - os.fstat(file.fileno()).st_mtime > _DAY:
                    with suppress(OSError):
                        os.utime(file.fileno())
                return file.read(most) or b""
        except OSError:
            return b""

    def _write(self, key: str, content: bytes) -> None:
        if self._folder is not None:
            try:
                os.makedirs(self._folder, mode=0o700, exist_ok=True)
                write_file(self._path(key), content, mode=0o600)
                self._kept.pop(key, None)
                self._clean(self._folder)
            except (OSError, BadInput):
                self._kept[key] = content
        else:
            self._kept[key] = content

    def _clean(self, folder: str) -> None:
        """Removes what no run has used for long, once in a process."""
        if self._cleaned:
            return
        self._cleaned = True
        oldest = time.time() - _UNUSED_DAYS * _DAY
        with suppress(OSError), os.scandir(folder) as names:
            for name in names:
                if _ENDING in name.name and name.stat().st_mtime < oldest:
                    with suppress(OSError):
                        os.unlink(name.path)


def _decoded(content: bytes) -> tuple[Head | None, bytes]:
    """The head and what follows it; no head where they are not what was written."""
    start = content[_FRAME.size :]
    with suppress(struct.error, msgspec.MsgspecError):
        magic, length, check = _FRAME.unpack_from(content)
        if magic == _MAGIC and check == _check(start[:length]):
            return msgspec.msgpack.decode(start[:length], type=Head), start[length:]
    return None, b""


def _check(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
