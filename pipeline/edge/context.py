"""A build's context as it is on disk: one walk decides what is sent, and the digest is made from its entries alone.

Facts: what the docker command sends (docker/cli build, moby/go-archive) and what the engine takes away again (moby's
remotecontext). The stream itself is made in tar.py.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.errors import BadInput
from pipeline.model.artifact import OWN_OUTPUTS
from pipeline.model.dockerignore import Ignore, Matched, parse_dockerignore

IGNORE_FILE = ".dockerignore"
CHUNK = 256 * 1024
_OWN = Ignore().but(*OWN_OUTPUTS)
_OWN_STARTS = tuple({path.partition("/")[0] + "/" for path in OWN_OUTPUTS})
_OWN_FOLDERS = frozenset(path.rpartition("/")[0] for path in OWN_OUTPUTS)
_KINDS = {
    stat.S_IFREG: b"0", stat.S_IFLNK: b"2", stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4", stat.S_IFDIR: b"5", stat.S_IFIFO: b"6",
}  # fmt: skip


class Entry(NamedTuple):
    """What is sent of one path: `kind` is tar's letter, `link` where a symlink points or the first name of a hard link.
    A named tuple, because a context has tens of thousands."""

    path: str
    kind: bytes
    mode: int
    size: int
    mtime: int
    link: str = ""
    device: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What one build sends. `dockerfile` is its name in the stream, `dockerfile_text` its content; `hidden` are the
    paths that are sent and do not arrive, `made` the files that exist only in the stream."""

    root: str
    entries: tuple[Entry, ...]
    dockerfile: str
    dockerfile_path: str
    dockerfile_text: bytes
    hidden: frozenset[str] = frozenset()
    made: tuple[tuple[str, bytes], ...] = ()


def read_context(root: str, dockerfile: str, *, key: str) -> Context:
    """The context in the folder `root`. An empty `dockerfile` is the context's own `Dockerfile`, else a path.

    Raises BadInput naming what is missing or unreadable; `key` says where a user wrote the path.
    """
    folder = os.path.realpath(root)
    if not os.path.isdir(folder):
        raise BadInput(f"{key}: the build context {root} is not a folder", hint="Mend the path, or make the folder.")
    path = _find_dockerfile(root, dockerfile, key)
    text = read_file(path)
    inside = os.path.relpath(os.path.realpath(path), folder)
    own_ignore_file = path + IGNORE_FILE
    if os.path.isfile(own_ignore_file) or inside.startswith("../"):
        file = own_ignore_file if os.path.isfile(own_ignore_file) else os.path.join(folder, IGNORE_FILE)
        return _apart(folder, path, text, _read_ignore(file))
    ignore = _read_ignore(os.path.join(folder, IGNORE_FILE))
    hidden = [name for name in (IGNORE_FILE, inside) if ignore.ignores(name)]
    entries = tuple(_walk(folder, ignore.but(*(f"!{name}" for name in hidden))))
    return Context(
        root=folder,
        entries=entries,
        dockerfile=inside,
        dockerfile_path=path,
        dockerfile_text=text,
        hidden=frozenset(hidden),
    )


def made_context(name: str, text: bytes) -> Context:
    """A context of one file that is on no disk: a Dockerfile."""
    made = ((name, text),)
    return Context(root="", entries=(), dockerfile=name, dockerfile_path=name, dockerfile_text=text, made=made)


def _apart(folder: str, path: str, text: bytes, ignore: Ignore) -> Context:
    """A context whose Dockerfile lies outside of it or has an ignore file of its own: the Dockerfile is sent under a
    name that the context does not have, with an ignore file that makes the engine take it away, as the docker command
    does it."""
    entries = tuple(_walk(folder, ignore))
    names = {entry.path for entry in entries}
    name = next(name for name in (f".dockerfile.{number}" for number in range(len(names) + 1)) if name not in names)
    if IGNORE_FILE in names:
        lines = read_file(os.path.join(folder, IGNORE_FILE)) + f"\n!{IGNORE_FILE}\n{name}\n".encode()
    else:
        lines = f"{IGNORE_FILE}\n{name}\n".encode()
    return Context(
        root=folder,
        entries=entries,
        dockerfile=name,
        dockerfile_path=path,
        dockerfile_text=text,
        made=((IGNORE_FILE, lines), (name, text)),
    )


def digest(context: Context) -> str:
    """64 hex digits of what arrives: paths, kinds, modes, contents; never times, owners or which names are one file."""
    total = hashlib.sha256()
    contents: dict[str, bytes] = {}
    for entry in context.entries:
        if entry.kind == b"1":
            content = contents[entry.link]
        else:
            held = _content_digest(context.root, entry) if entry.kind == b"0" else entry.link
            content = b"%s\0%d\0%s" % (entry.kind, entry.device, os.fsencode(held))
            contents[entry.path] = content
        if entry.path not in context.hidden:
            total.update(b"%s\0%o\0%s\0\n" % (os.fsencode(entry.path), entry.mode, content))
    return total.hexdigest()


def read_pieces(root: str, entry: Entry) -> Iterator[bytes]:
    """A file's bytes, as many as it had when it was found. Raises BadInput when it is gone, closed to us or shorter."""
    path = os.path.join(root, entry.path)
    left = entry.size
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while left:
                piece = os.read(file, min(left, CHUNK))
                if not piece:
                    raise OSError(errno.EIO, "it became shorter while it was read")
                left -= len(piece)
                yield piece
        finally:
            os.close(file)
    except OSError as error:
        raise unreadable(path, error) from error


def read_file(path: str) -> bytes:
    """The whole of a small file. Raises BadInput naming it."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: OSError) -> BadInput:
    """The refusal of a path that is there and cannot be packed."""
    return BadInput(
        f"{path!r} cannot be read into the build context: {error.strerror}",
        hint="Let it be readable and leave it alone during the build, or name it in .dockerignore.",
    )


def _content_digest(root: str, entry: Entry) -> str:
    content = hashlib.sha256()
    for piece in read_pieces(root, entry):
        content.update(piece)
    return content.hexdigest()


def _find_dockerfile(root: str, dockerfile: str, key: str) -> str:
    candidates = (dockerfile,) if dockerfile else (os.path.join(root, "Dockerfile"), os.path.join(root, "dockerfile"))
    for path in candidates:
        if os.path.isfile(path):
            return path
    raise BadInput(
        f"{key}: there is no Dockerfile at {candidates[0]}",
        hint="Add it, or name another with `dockerfile` (relative to the context).",
    )


def _read_ignore(file: str) -> Ignore:
    return parse_dockerignore(read_file(file), file=file) if os.path.isfile(file) else Ignore()


def _walk(root: str, ignore: Ignore) -> Iterator[Entry]:
    """Every entry that is sent, each folder right before what is in it, its names in the order of their bytes.

    What the toolkit itself writes is left out whatever the patterns say, and so are folders that hold nothing else:
    they would make every second build a new one.
    """
    seen: dict[tuple[int, int], str] = {}
    waiting: dict[str, Entry] = {}
    stack: list[tuple[Iterator[os.DirEntry[str]], str, Matched]] = [(_names(root), "", ())]
    while stack:
        names, prefix, above = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
            waiting.pop(prefix[:-1], None)
            continue
        path = prefix + name.name
        ignored, matched = ignore.match(path, above)
        ignored = ignored or (prefix.startswith(_OWN_STARTS) and _OWN.ignores(path))
        is_folder = name.is_dir(follow_symlinks=False)
        if not ignored and (entry := _entry(root, path, name, seen)) is not None:
            if is_folder and _is_own(path):
                waiting[path] = entry
            else:
                yield from _released(waiting, path)
                yield entry
        if is_folder and (not ignored or ignore.enters(path)):
            stack.append((_names(name.path), path + "/", matched))


def _is_own(folder: str) -> bool:
    parent = folder.rpartition("/")[0]
    return folder in _OWN_FOLDERS or f"{parent}/*" in _OWN_FOLDERS or f"{folder}/*" in _OWN_FOLDERS


def _released(waiting: dict[str, Entry], path: str) -> Iterator[Entry]:
    """The folders above `path` that were held back until something of another's turned up in them."""
    for folder in [folder for folder in waiting if path.startswith(f"{folder}/")]:
        yield waiting.pop(folder)


def _names(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return iter(sorted(found, key=lambda entry: os.fsencode(entry.name)))
    except OSError as error:
        raise unreadable(folder, error) from error


def _entry(root: str, path: str, name: os.DirEntry[str], seen: dict[tuple[int, int], str]) -> Entry | None:
    """None for a socket, which no archive can hold."""
    try:
        found = name.stat(follow_symlinks=False)
        link = os.readlink(name.path) if stat.S_ISLNK(found.st_mode) else ""
    except OSError as error:
        raise unreadable(os.path.join(root, path), error) from error
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        return None
    if found.st_nlink > 1 and kind != b"5":
        first = seen.setdefault((found.st_dev, found.st_ino), path)
        if first != path:
            kind, link = b"1", first
    size = found.st_size if kind == b"0" else 0
    device = found.st_rdev if kind in b"34" else 0
    return Entry(path, kind, found.st_mode & 0o7777, size, found.st_mtime_ns // 10**9, link, device)
