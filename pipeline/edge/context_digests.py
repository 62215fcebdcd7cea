"""Digests of contexts that read only what has changed since the last time, and say which paths that is."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.edge.context import (
    DIGEST_VERSION,
    Context,
    Outline,
    arrivals,
    content_digest,
    digest_of,
    read_outline,
    walk_context,
)
from pipeline.edge.context import ContextPlace as ContextPlace
from pipeline.edge.context_entries import Entry
from pipeline.edge.context_memory import Body, Change, ContextMemory, Head, Item
from pipeline.edge.context_stamps import Listed, listings, newest

_OLDER = 7
_UNKNOWN = -1
_MOMENT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextContent:
    """What a context holds: `digest` as context.digest gives it, how many `files` and their `size` in bytes."""

    digest: str
    files: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A stamp that was just taken of a folder, and what was remembered when it was."""

    head: Head
    stamp: bytes
    when: float


class ContextDigests:
    """The digests of any number of contexts, remembered in `folder` (made for its owner alone when first written) or,
    if that is None, in the process.

    A context whose files, folders, Dockerfile and ignore file are as they were is not even walked. Else it is walked,
    and files are read whose size, times, inode or mode changed. Nothing is trusted that may still change without its
    times changing: what is younger than `settled` seconds when it is looked at (git calls it racy), or in the future.
    """

    def __init__(self, folder: str | None, *, settled: float = 2.0) -> None:
        self._memory = ContextMemory(folder)
        self._settled = int(settled * 10**9)
        self._seen: dict[str, _Seen] = {}

    def stamp(self, places: Sequence[ContextPlace]) -> None:
        """Looks at all folders at once, for the next `content` of each; what is missing there is told then."""
        heads: dict[str, Head] = {}
        folders = []
        for place in places:
            key, root = _key(place), os.path.realpath(place.root)
            head = self._memory.head(key)
            if head is not None and head.stamp and os.path.isdir(root):
                heads[key] = head
                folders.append(Listed(root=root, skipped=tuple(map(os.fsdecode, head.skipped)), files=head.files))
        for (key, head), listing in zip(heads.items(), listings(folders), strict=True):
            self._seen[key] = _Seen(head=head, stamp=_stamp(listing), when=time.monotonic())

    def content(self, place: ContextPlace) -> ContextContent:
        """What the context holds now, or held at the last `stamp` when that was a moment ago and this is the first time
        that it is asked for since. Raises what read_context raises."""
        key = _key(place)
        seen = self._seen.pop(key, None)
        if seen is None or time.monotonic() - seen.when > _MOMENT:
            self.stamp([place])
            seen = self._seen.pop(key, None)
        outline = read_outline(place)
        if seen and seen.stamp == seen.head.stamp and seen.head.outline == _mark(outline):
            return ContextContent(digest=seen.head.digest, files=seen.head.files, size=seen.head.size)
        return self._walk(key, outline)

    def differing(self, place: ContextPlace, older: str) -> tuple[str, ...] | None:
        """The paths that differ between the content now and the one with the digest `older`, in the order of their
        bytes; None when that one is not remembered."""
        now = self.content(place)
        if now.digest == older:
            return ()
        remembered = self._memory.both(_key(place))
        if remembered is None or remembered[0].digest != now.digest:
            return None
        body = remembered[1]
        current = {item.path: item.held for item in body.items or ()}
        before: dict[bytes, bytes] = {}
        for change in body.older:
            before.update(change.before)
            if change.digest == older:
                differ = sorted(path for path, held in before.items() if current.get(path, b"") != held)
                return tuple(map(os.fsdecode, differ))
        return None

    def _walk(self, key: str, outline: Outline) -> ContextContent:
        limit = time.time_ns() - self._settled
        remembered = self._memory.both(key)
        last, body = remembered if remembered else (None, Body())
        context = walk_context(outline)
        items = _items(context, {item.path: item for item in body.items or ()}, limit)
        found = ContextContent(
            digest=digest_of((item.path, item.held) for item in items),
            files=sum(entry.kind in b"01" for entry in context.entries),
            size=context.size,
        )
        older = body.older if body.items is not None else []
        if last is not None and last.digest != found.digest and body.items is not None:
            older = [Change(digest=last.digest, before=_before(body.items, items)), *older][:_OLDER]
        head = Head(
            outline=_mark(outline),
            stamp=_stamp_of(context, limit),
            skipped=tuple(map(os.fsencode, context.skipped)),
            digest=found.digest,
            files=found.files,
            size=found.size,
        )
        self._memory.keep(key, head, Body(items=items, older=older))
        return found


def _items(context: Context, known: Mapping[bytes, Item], limit: int) -> list[Item]:
    """Every path that arrives; a file that is as it was known is not read. One that is too young to be trusted the next
    time is given no time of change."""

    def content(entry: Entry) -> bytes:
        item = known.get(os.fsencode(entry.path))
        if item and (item.size, item.modified, item.changed, item.inode, item.mode) == _state(entry):
            return item.held.rpartition(b"\0")[2]
        return content_digest(context.root, entry)

    def item(entry: Entry, held: bytes) -> Item:
        size, modified, changed, inode, mode = _state(entry)
        settled = max(modified, changed) < limit and entry.kind == b"0"
        return Item(os.fsencode(entry.path), size, modified, changed if settled else _UNKNOWN, inode, mode, held)

    return [item(entry, held) for entry, held in arrivals(context, content)]


def _state(entry: Entry) -> tuple[int, int, int, int, int]:
    return entry.size, entry.modified, entry.changed, entry.inode, entry.mode


def _before(then: list[Item], now: list[Item]) -> dict[bytes, bytes]:
    """What the paths held that differ, by path."""
    old = {item.path: item.held for item in then}
    new = {item.path: item.held for item in now}
    return {path: old.get(path, b"") for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def _stamp_of(context: Context, limit: int) -> bytes:
    """The stamp of a folder that was just walked, and read before anything in it is too young to be trusted: what find
    lists is then what the walk found. Nothing where there can be none."""
    if any(max(entry.modified, entry.changed) >= limit for entry in context.entries):
        return b""
    (listing,) = listings([Listed(root=context.root, skipped=context.skipped)])
    return _stamp(listing) if listing is not None and newest(listing) < limit else b""


def _stamp(listing: bytes | None) -> bytes:
    return b"" if listing is None else hashlib.sha256(listing).digest()


def _mark(outline: Outline) -> bytes:
    """Stands for everything but the folder's files that a digest depends on."""
    parts = (outline.folder, outline.inside, outline.ignore_file, str(outline.apart))
    return hashlib.sha256(os.fsencode("\0".join(parts)) + b"\0" + outline.ignore_text).digest()


def _key(place: ContextPlace) -> str:
    dockerfile = os.path.abspath(place.dockerfile) if place.dockerfile else ""
    name = os.fsencode(f"{DIGEST_VERSION}\0{os.path.abspath(place.root)}\0{dockerfile}")
    return hashlib.blake2b(name, digest_size=16).hexdigest()
