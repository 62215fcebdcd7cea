"""GNU tar as a packer: it is told the names that our own walk found, and its exit status decides what its stream is
worth."""

from __future__ import annotations

import fcntl
import functools
import os
import stat
import subprocess
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, suppress

from pipeline.edge.context_entries import CHUNK, Entry, shortened, unreadable
from pipeline.edge.gnu import find_program, plain_environment, scratch_file
from pipeline.edge.tar_blocks import BLOCK, packed_size
from pipeline.errors import BadInput, Failed

_OPTIONS = (
    *("--format=gnu", "--numeric-owner", "--owner=0", "--group=0", "--no-recursion", "--blocking-factor=128"),
    *("--create", "--file=-", "--null", "--no-unquote", "--files-from=-"),
)
_OLDEST = (1, 29)
"""The first that takes no name of a NUL-separated list for an option."""
_CHANGED = 1
_BROKEN = 2
_ROOT = b"./\0"
_PIPE = 1 << 20
_RUN = 256
_MANY = 4 * _RUN
_LAST_WORDS = 500


@functools.cache
def gnu_tar() -> str:
    """The path of GNU tar, looked for once; empty where there is none."""
    return find_gnu_tar()


def find_gnu_tar(search: str = "") -> str:
    """The first GNU tar that will do on a PATH, else the environment's; empty where there is none."""
    return find_program(("gtar", "tar"), b"tar (GNU tar)", _OLDEST, search)


def tar_pieces(program: str, root: str, entries: Sequence[Entry]) -> Generator[bytes, None, None]:
    """The entries as tar packs them, without the end of an archive. Closing the iterator ends what was started.

    Raises BadInput naming a file that vanished, is closed to us, or changed while it was read, at the latest after the
    last piece. Where no names are linked, two tars take turns: opening many small files is what takes the time.
    """
    lanes = _lanes(entries)
    runs = range(0, len(entries), _RUN)
    with ExitStack() as started:
        tars = [
            started.enter_context(_Tar(program, root, [entries[run : run + _RUN] for run in runs[lane::lanes]]))
            for lane in range(lanes)
        ]
        whole = True
        for number, run in enumerate(runs):
            whole = yield from tars[number % lanes].run(sum(map(packed_size, entries[run : run + _RUN])))
            if not whole:
                break
        worst = max(tar.end() for tar in tars) if whole else _BROKEN
        words = "; ".join(filter(None, (tar.words() for tar in tars)))
    if worst:
        _judge(root, entries, words or "it ended before its archive did", only_changed=worst == _CHANGED)


def _lanes(entries: Sequence[Entry]) -> int:
    if len(entries) < _MANY or any(entry.kind == b"1" for entry in entries):
        return 1
    return min(2, os.cpu_count() or 1)


class _Tar:
    """One tar at work. It is told runs of names, and after each the root: its block shows where a run ends."""

    def __init__(self, program: str, root: str, runs: Iterable[Sequence[Entry]]) -> None:
        self._command = [program, *_OPTIONS]
        self._root = root
        self._names = b"".join(os.fsencode("\0".join([*(entry.path for entry in run), ".", ""])) for run in runs)
        self._rest = b""

    def __enter__(self) -> _Tar:
        with scratch_file() as names:
            names.write(self._names)
            names.seek(0)
            self._words = scratch_file()
            try:
                self._process = subprocess.Popen(
                    self._command,
                    cwd=self._root,
                    env=plain_environment(),
                    stdin=names,
                    stdout=subprocess.PIPE,
                    stderr=self._words,
                    bufsize=0,
                )
            except OSError as error:
                self._words.close()
                raise unreadable(self._root, error) from error
        self._archive = self._process.stdout.fileno() if self._process.stdout else -1
        with suppress(OSError, AttributeError):  # where pipes have one size, or the user has no larger ones left
            fcntl.fcntl(self._archive, fcntl.F_SETPIPE_SZ, _PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        if self._process.stdout:
            self._process.stdout.close()
        self._process.wait()
        self._words.close()

    def run(self, size: int) -> Generator[bytes, None, bool]:
        """The next run, which should have `size` bytes; gives whether it had."""
        while size:
            piece = self._take(size)
            if not piece:
                return False
            size -= len(piece)
            yield piece
        mark = self._take(BLOCK)
        while 0 < len(mark) < BLOCK and (piece := self._take(BLOCK - len(mark))):
            mark += piece
        return mark.startswith(_ROOT)

    def end(self) -> int:
        """Its exit status; what is left of the archive is its end."""
        while self._take(CHUNK):
            pass
        status = self._process.wait()
        return status if status >= 0 else _BROKEN

    def words(self) -> str:
        """The end of what it has said."""
        self._words.seek(max(0, self._words.seek(0, os.SEEK_END) - _LAST_WORDS))
        return self._words.read().decode(errors="replace").strip()

    def _take(self, most: int) -> bytes:
        held = self._rest or os.read(self._archive, CHUNK)
        self._rest = held[most:]
        return held[:most]


def _judge(root: str, entries: Iterable[Entry], words: str, *, only_changed: bool) -> None:
    """Raises what is wrong with an archive, by looking at the files again. Where tar found no more than that something
    changed while it was read, it is good when no content did."""
    for entry in entries:
        path = os.path.join(root, entry.path)
        try:
            found = os.lstat(path)
            if entry.kind != b"0":
                continue
            if not stat.S_ISREG(found.st_mode) or found.st_size < entry.size:
                raise shortened()
            os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            raise unreadable(path, error) from error
        if (found.st_size, found.st_mtime_ns) != (entry.size, entry.modified):
            raise BadInput(
                f"{path!r} changed while it was read into the build context",
                hint="Leave it alone during the build, or name it in .dockerignore.",
            )
    if not only_changed:
        raise Failed(
            f"GNU tar could not pack {root}: {words}",
            hint="Build again when the files are at rest; look at the disk if it says the same.",
        )
