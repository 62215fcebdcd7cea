"""A build's context as it is on disk: one walk decides what is sent, and the digest is made from its entries alone.

Facts: what the docker command sends (docker/cli build, moby/go-archive) and what the engine takes away again (moby's
remotecontext). The walk itself is in context_entries.py, the stream is made in tar.py.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from pipeline.edge.context_entries import Entry, Walk, read_file, read_pieces
from pipeline.errors import BadInput
from pipeline.model.dockerignore import Ignore, parse_dockerignore

IGNORE_FILE = ".dockerignore"
DIGEST_VERSION = 1
"""To be raised when the same files give another digest than before: other rules of what is sent, another format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextPlace:
    """Where a context is: the arguments of read_context."""

    root: str
    dockerfile: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What decides about a context before anything in it is looked at. `folder` is the real one, `inside` the
    Dockerfile's path from it; `ignore_file` is the one that applies, empty where there is none; with `apart` the
    Dockerfile is sent under another name."""

    folder: str
    dockerfile_path: str
    dockerfile_text: bytes
    inside: str
    ignore_file: str
    ignore_text: bytes
    apart: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What one build sends. `dockerfile` is its name in the stream, `dockerfile_text` its content; `hidden` are the
    paths that are sent and do not arrive, `made` the files that exist only in the stream, `skipped` the folders that
    were not entered."""

    root: str
    entries: tuple[Entry, ...]
    dockerfile: str
    dockerfile_path: str
    dockerfile_text: bytes
    hidden: frozenset[str] = frozenset()
    made: tuple[tuple[str, bytes], ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of its files, before they are packed; a file of several names counts once."""
        return sum(entry.size for entry in self.entries)


def read_context(root: str, dockerfile: str, *, key: str) -> Context:
    """The context in the folder `root`. An empty `dockerfile` is the context's own `Dockerfile`, else a path.

    Raises BadInput naming what is missing or unreadable; `key` says where a user wrote the path.
    """
    return walk_context(read_outline(ContextPlace(root=root, dockerfile=dockerfile, key=key)))


def read_dockerfile(place: ContextPlace) -> tuple[str, bytes]:
    """The path and the text of a context's Dockerfile, without a walk. Raises what read_context raises of it."""
    outline = read_outline(place)
    return outline.dockerfile_path, outline.dockerfile_text


def read_outline(place: ContextPlace) -> Outline:
    """What read_context decides by, without a walk."""
    root, key = place.root, place.key
    folder = os.path.realpath(root)
    if not os.path.isdir(folder):
        raise BadInput(f"{key}: the build context {root} is not a folder", hint="Mend the path, or make the folder.")
    path = _find_dockerfile(root, place.dockerfile, key)
    inside = os.path.relpath(os.path.realpath(path), folder)
    own = path + IGNORE_FILE
    has_own = os.path.isfile(own)
    ignore_file = own if has_own else os.path.join(folder, IGNORE_FILE)
    is_there = has_own or os.path.isfile(ignore_file)
    return Outline(
        folder=folder,
        dockerfile_path=path,
        dockerfile_text=read_file(path),
        inside=inside,
        ignore_file=ignore_file if is_there else "",
        ignore_text=read_file(ignore_file) if is_there else b"",
        apart=has_own or inside.startswith("../"),
    )


def walk_context(outline: Outline) -> Context:
    """The context of an outline that was just read. Raises BadInput naming what is unreadable."""
    ignore = Ignore()
    if outline.ignore_file:
        ignore = parse_dockerignore(outline.ignore_text, file=outline.ignore_file)
    if outline.apart:
        return _apart(outline, ignore)
    hidden = [name for name in (IGNORE_FILE, outline.inside) if ignore.takes_away(name)]
    walk = Walk(outline.folder, ignore.but(*(f"!{name}" for name in hidden)))
    if all(entry.path != outline.inside for entry in walk.entries):
        return _apart(outline, ignore)  # the docker command does not send it either, and fails
    return Context(
        root=outline.folder,
        entries=tuple(walk.entries),
        dockerfile=outline.inside,
        dockerfile_path=outline.dockerfile_path,
        dockerfile_text=outline.dockerfile_text,
        hidden=frozenset(hidden),
        skipped=tuple(walk.skipped),
    )


def made_context(name: str, text: bytes) -> Context:
    """A context of one file that is on no disk: a Dockerfile."""
    made = ((name, text),)
    return Context(root="", entries=(), dockerfile=name, dockerfile_path=name, dockerfile_text=text, made=made)


def _apart(outline: Outline, ignore: Ignore) -> Context:
    """A context whose Dockerfile lies outside of it, has an ignore file of its own or is ignored for good: it is sent
    under a name that the context does not have, with an ignore file that makes the engine take it away, as the docker
    command does it."""
    walk = Walk(outline.folder, ignore)
    names = {entry.path for entry in walk.entries}
    name = next(name for name in (f".dockerfile.{number}" for number in range(len(names) + 1)) if name not in names)
    if IGNORE_FILE in names:
        lines = read_file(os.path.join(outline.folder, IGNORE_FILE)) + f"\n!{IGNORE_FILE}\n{name}\n".encode()
    else:
        lines = f"{IGNORE_FILE}\n{name}\n".encode()
    return Context(
        root=outline.folder,
        entries=tuple(_unlinked(walk.entries)),
        dockerfile=name,
        dockerfile_path=outline.dockerfile_path,
        dockerfile_text=outline.dockerfile_text,
        made=((IGNORE_FILE, lines), (name, outline.dockerfile_text)),
        skipped=tuple(walk.skipped),
    )


def _unlinked(entries: list[Entry]) -> Iterator[Entry]:
    """The same with no name linked to the ignore file, in whose place another is sent: the next of its names is the
    file, for those after it."""
    file, first = None, ""
    for entry in entries:
        if entry.path == IGNORE_FILE:
            file = entry
        if file is None or entry.link != IGNORE_FILE or entry.kind != b"1":
            yield entry
        elif first:
            yield replace(entry, link=first)
        else:
            first = entry.path
            yield replace(file, path=first)


def largest(context: Context, count: int = 10) -> tuple[tuple[str, int], ...]:
    """What makes a context large: up to `count` paths with their bytes, the largest first, none inside of another.

    A folder, with a slash at its end, stands for what is in it, unless one thing in it is most of it: a large file is
    named itself, node_modules as a whole.
    """
    inner: dict[str, dict[str, int]] = {}
    for entry in context.entries:
        path = entry.path
        while entry.size and path:
            parent = path.rstrip("/").rpartition("/")[0]
            parent = f"{parent}/" if parent else ""
            names = inner.setdefault(parent, {})
            names[path] = names.get(path, 0) + entry.size
            path = parent
    found = dict(inner.get("", {}))
    for _ in range(len(inner)):
        top = heapq.nsmallest(count, found, key=lambda path: (-found[path], path))
        opened = next((path for path in top if 2 * max(inner.get(path, {"": 0}).values()) > found[path]), None)
        if opened is None:
            break
        del found[opened]
        found.update(inner[opened])
    return tuple((path, found[path]) for path in sorted(found, key=lambda path: (-found[path], path))[:count])


def digest(context: Context) -> str:
    """64 hex digits of what arrives: paths, kinds, modes, contents; never times, owners or which names are one file."""
    arrived = arrivals(context, lambda entry: content_digest(context.root, entry))
    return digest_of((os.fsencode(entry.path), held) for entry, held in arrived)


def arrivals(context: Context, content: Callable[[Entry], bytes]) -> Iterator[tuple[Entry, bytes]]:
    """Every entry that arrives, with what it is apart from its path; `content` gives the digest of a file."""
    contents: dict[str, bytes] = {}
    for entry in context.entries:
        if entry.kind == b"1":
            held = contents[entry.link]
        else:
            inner = content(entry) if entry.kind == b"0" else os.fsencode(entry.link)
            held = b"%s\0%d\0%s" % (entry.kind, entry.device, inner)
            contents[entry.path] = held
        if entry.path not in context.hidden:
            yield entry, b"%o\0%s" % (entry.mode, held)


def digest_of(arrived: Iterable[tuple[bytes, bytes]]) -> str:
    """The digest of paths with what they hold, as `arrivals` gives it, in its order."""
    total = hashlib.sha256()
    for path, held in arrived:
        total.update(b"%s\0%s\0\n" % (path, held))
    return total.hexdigest()


def content_digest(root: str, entry: Entry) -> bytes:
    """The SHA-256 of a file's content, in hex digits."""
    content = hashlib.sha256()
    for piece in read_pieces(root, entry):
        content.update(piece)
    return content.hexdigest().encode()


def _find_dockerfile(root: str, dockerfile: str, key: str) -> str:
    candidates = (dockerfile,) if dockerfile else (os.path.join(root, "Dockerfile"), os.path.join(root, "dockerfile"))
    for path in candidates:
        if os.path.isfile(path):
            return path
    raise BadInput(
        f"{key}: there is no Dockerfile at {candidates[0]}",
        hint="Add it, or name another with `dockerfile` (relative to the context).",
    )
