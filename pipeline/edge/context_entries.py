"""What lies in a context's folder: one walk finds what is sent of it, and files are read as long as they were found."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from pipeline.errors import BadInput
from pipeline.model.artifact import OWN_OUTPUTS
from pipeline.model.dockerignore import Ignore, Matched

CHUNK = 256 * 1024
_OWN = Ignore().but(*OWN_OUTPUTS)
_OWN_STARTS = tuple({path.partition("/")[0] + "/" for path in OWN_OUTPUTS})
_OWN_FOLDERS = frozenset(path.rpartition("/")[0] for path in OWN_OUTPUTS)
_FORMAT = 0o170000
_KINDS = {
    stat.S_IFREG: b"0", stat.S_IFLNK: b"2", stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4", stat.S_IFDIR: b"5", stat.S_IFIFO: b"6",
}  # fmt: skip


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What is sent of one path: `kind` is tar's letter, `link` where a symlink points or the first name of a hard link.
    Times are nanoseconds. Out of the garbage collector's sight, because a context has tens of thousands."""

    path: str
    kind: bytes
    mode: int
    size: int
    modified: int
    changed: int = 0
    inode: int = 0
    link: str = ""
    device: int = 0


class _Folder(NamedTuple):
    """A folder that is being walked: its names that are still to come, and what the patterns say of what is in it."""

    names: Iterator[os.DirEntry[str]]
    prefix: str
    above: Matched
    ignored: bool
    matched: Matched
    has_own: bool


class Walk:
    """One walk of a folder. `entries` is everything that is sent, each folder right before what is in it, its names in
    the order of their bytes; `skipped` the folders that were not entered.

    What the toolkit itself writes is left out whatever the patterns say, and so are folders that hold nothing else:
    they would make every second build a new one.
    """

    def __init__(self, root: str, ignore: Ignore) -> None:
        self.entries: list[Entry] = []
        self.skipped: list[str] = []
        self._root = root
        self._ignore = ignore
        self._suspects = ignore.suspects()
        self._seen: dict[tuple[int, int], str] = {}
        self._waiting: dict[str, Entry] = {}
        stack = [self._opened(root, "", ())]
        while stack:
            inner = self._advance(stack[-1])
            if inner is not None:
                stack.append(inner)
            else:
                self._waiting.pop(stack.pop().prefix[:-1], None)

    def _opened(self, folder: str, prefix: str, above: Matched) -> _Folder:
        ignored, matched = self._ignore.under(above)
        return _Folder(_names(folder), prefix, above, ignored, matched, prefix.startswith(_OWN_STARTS))

    def _advance(self, folder: _Folder) -> _Folder | None:
        """Takes names until one is a folder to enter, which is given; None when there is none left."""
        names, prefix, above, ignored_here, matched_here, has_own = folder
        suspects, take, waiting = self._suspects, self.entries.append, self._waiting
        for name in names:
            text = name.name
            path = prefix + text
            if not prefix or suspects(text, path):
                ignored, matched = self._ignore.match(path, above)
            else:
                ignored, matched = ignored_here, matched_here
            if has_own and not ignored:
                ignored = _OWN.ignores(path)
            if name.is_dir(follow_symlinks=False):
                if not ignored:
                    self._take_folder(self._entry(path, name))
                elif not self._ignore.enters(path):
                    self.skipped.append(path)
                    continue
                return self._opened(name.path, path + "/", matched)
            if not ignored and (entry := self._entry(path, name)) is not None:
                if waiting:
                    self._release(path)
                take(entry)
        return None

    def _entry(self, path: str, name: os.DirEntry[str]) -> Entry | None:
        """None for a socket, which no archive can hold."""
        try:
            found = name.stat(follow_symlinks=False)
            mode = found.st_mode
            if mode & _FORMAT == stat.S_IFREG and found.st_nlink == 1:  # nearly all of them
                times = found.st_mtime_ns, found.st_ctime_ns
                return Entry(path, b"0", mode & 0o7777, found.st_size, *times, found.st_ino)
            kind = _KINDS.get(mode & _FORMAT)
            link = os.readlink(name.path) if kind == b"2" else ""
        except OSError as error:
            raise unreadable(os.path.join(self._root, path), error) from error
        if kind is None:
            return None
        size, device = found.st_size if kind == b"0" else 0, 0
        if found.st_nlink > 1 and kind != b"5":
            first = self._seen.setdefault((found.st_dev, found.st_ino), path)
            if first != path:
                kind, link, size = b"1", first, 0
        if kind in b"34":
            device = found.st_rdev
        return Entry(path, kind, mode & 0o7777, size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, link, device)

    def _take_folder(self, entry: Entry | None) -> None:
        if entry is None:
            return
        if _is_own(entry.path):
            self._waiting[entry.path] = entry
        else:
            self._release(entry.path)
            self.entries.append(entry)

    def _release(self, path: str) -> None:
        """Takes the folders above `path` that were held back until something of another's turned up in them."""
        for folder in [folder for folder in self._waiting if path.startswith(f"{folder}/")]:
            self.entries.append(self._waiting.pop(folder))


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
                    raise shortened()
                left -= len(piece)
                yield piece
        finally:
            os.close(file)
    except OSError as error:
        raise unreadable(path, error) from error


def shortened() -> OSError:
    return OSError(errno.EIO, "it became shorter while it was read")


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


def _is_own(folder: str) -> bool:
    parent = folder.rpartition("/")[0]
    return folder in _OWN_FOLDERS or f"{parent}/*" in _OWN_FOLDERS or f"{folder}/*" in _OWN_FOLDERS


def _names(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            entries = {entry.name: entry for entry in found}
    except OSError as error:
        raise unreadable(folder, error) from error
    # Text sorts as its bytes do, but for the surrogates that stand for bytes which are not UTF-8.
    names = sorted(entries) if "".join(entries).isascii() else sorted(entries, key=os.fsencode)
    return iter([entries[name] for name in names])
