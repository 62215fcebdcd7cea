"""Whether a folder is as it was, without looking at it in Python: GNU find lists it in a third of the time."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from pipeline.edge.gnu import find_program, plain_environment, scratch_file

_FORMAT = r"%d %m %s %i %T@ %C@ %P\0"
_TIMES = slice(4, 6)
_OLDEST = (4, 4)
_START = b"\x000 "
"""What comes between two folders that were asked for: the depth in the second's own record is 0."""
_MOST_SKIPPED = 200
_PLAIN = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A folder to list (an absolute, real path) without the folders `skipped` in it; it has about `files`."""

    root: str
    skipped: tuple[str, ...] = ()
    files: int = 0

    @property
    def can_be_listed(self) -> bool:
        """Whether find can be told what to skip."""
        plain = all(_PLAIN.fullmatch(path) for path in (self.root, *self.skipped)) if self.skipped else True
        return self.root != "/" and plain and len(self.skipped) <= _MOST_SKIPPED


@functools.cache
def gnu_find() -> str:
    """The path of GNU find, looked for once; empty where there is none."""
    return find_program(("gfind", "find"), b"find (GNU findutils)", _OLDEST)


def listings(folders: Sequence[Listed]) -> list[bytes | None]:
    """One record for each path in each folder: depth, mode, size, inode, when content and inode changed, the path.

    A folder that nothing happened to gives the same bytes again. None where find is not GNU's or said that anything
    was wrong. Two finds share the folders, but for those that lie in each other: what is skipped of one is not of the
    other.
    """
    found: list[bytes | None] = [None] * len(folders)
    shares = _shares(folders)
    if not gnu_find() or not shares:
        return found
    with ExitStack() as started:
        running = [(share, *_start(started, [folders[number] for number in share])) for share in shares]
        for share, process, output in running:
            if process.wait() == 0:
                output.seek(0)
                for number, listing in zip(share, _apart(output.read(), len(share)), strict=True):
                    found[number] = listing
    return found


def newest(listing: bytes) -> int:
    """The latest of all times in a listing, in nanoseconds."""
    times = [time for record in listing.split(b"\0") for time in record.split(b" ", 6)[_TIMES]]
    return max(map(_nanoseconds, times), default=0)


def _nanoseconds(time: bytes) -> int:
    seconds, _, fraction = time.partition(b".")
    return int(seconds) * 10**9 + int(fraction[:9].ljust(9, b"0"))


def _shares(folders: Sequence[Listed]) -> list[list[int]]:
    """The folders' numbers, in one list for each find."""
    shares: list[list[int]] = [[] for _ in range(min(2, os.cpu_count() or 1))]
    for number in sorted(range(len(folders)), key=lambda number: -folders[number].files):
        if not folders[number].can_be_listed:
            continue
        free = [share for share in shares if not any(_overlap(folders[number], folders[other]) for other in share)]
        if not free:
            free = [[]]
            shares.extend(free)
        min(free, key=lambda share: sum(folders[other].files + 1 for other in share)).append(number)
    return [share for share in shares if share]


def _overlap(one: Listed, other: Listed) -> bool:
    return f"{one.root}/".startswith(f"{other.root}/") or f"{other.root}/".startswith(f"{one.root}/")


def _start(started: ExitStack, folders: list[Listed]) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    output = started.enter_context(scratch_file())
    process = started.enter_context(
        subprocess.Popen(
            [gnu_find(), *_words(folders)],
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
    )
    started.callback(process.kill)
    return process, output


def _words(folders: list[Listed]) -> list[str]:
    words = [folder.root for folder in folders]
    paths = [f"{_literal(folder.root)}/{_literal(path)}" for folder in folders for path in folder.skipped]
    if paths:
        either = [word for path in paths for word in ("-o", "-path", path)][1:]
        # Files first: find would compare them with every path before it looks at -type.
        words += ["!", "-type", "d", "-printf", _FORMAT, "-o", "(", *either, ")", "-prune", "-o"]
    return [*words, "-printf", _FORMAT]


def _literal(path: str) -> str:
    return re.sub(r"[\\*?\[]", r"\\\g<0>", path)


def _apart(output: bytes, count: int) -> Sequence[bytes | None]:
    first, *others = output.removesuffix(b"\0").split(_START)
    if len(others) != count - 1 or not first:
        return [None] * count
    return [first, *(_START[1:] + other for other in others)]
