"""Commands of this machine: one that answers at once, and one that is fed and listened to until it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pipeline.errors import BadInput

_GRACE = 3.0
"""Seconds. docker 20.10 takes a Ctrl-C and, one time in two, goes on all the same; its engine ends the build of a
client that is gone."""
_PIECE = 65536
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""A terminal's: colours, movements, titles (ECMA-48)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said. `code` is None when it could not be run or did not end in time; `err` then says why."""

    code: int | None
    out: str = ""
    err: str = ""


def answer_of(words: Sequence[str], environ: Mapping[str, str], *, seconds: float) -> Answer:
    """Runs a command that reads nothing; after `seconds` it is ended with all that it started. Raises nothing."""
    try:
        child = subprocess.Popen(
            words,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except (OSError, ValueError) as error:
        return Answer(code=None, err=f"cannot be run: {getattr(error, 'strerror', None) or error}")
    with child:
        try:
            out, err = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return Answer(code=None, err=f"does not answer within {seconds:g} s")
        finally:
            _signal(child, signal.SIGKILL)
    return Answer(code=child.returncode, out=out.decode(errors="replace"), err=err.decode(errors="replace"))


class Process:
    """A running command. Any thread may stop it."""

    def __init__(self, child: subprocess.Popen[bytes], grace: float) -> None:
        self.stopped = False
        self.trouble: BaseException | None = None
        self._child = child
        self._grace = grace

    @property
    def code(self) -> int:
        """As the shell has it: a signal is 128 and its number. Only after `lines` has ended."""
        code = self._child.wait()
        return code if code >= 0 else 128 - code

    def lines(self) -> Iterator[str]:
        """What it writes to stdout and stderr, line by line as it comes, without what only a terminal understands.
        Raises what its input raised: it was ended at once then, before it could take the half for the whole."""
        rest = b""
        while piece := os.read(self._out, _PIECE):
            *whole, rest = (rest + piece).split(b"\n")
            yield from (plain(line) for line in whole)
        if rest:
            yield plain(rest)
        self._child.wait()
        if self.trouble is not None:
            raise self.trouble

    def stop(self) -> None:
        """Asks it to end, as Ctrl-C does, and comes back at once; it is killed when it has not gone after its grace.
        A second call asks again."""
        self.stopped = True
        threading.Thread(target=self.end, daemon=True).start()

    def end(self) -> None:
        """`stop`, and waits until it has ended with all that it started."""
        try:
            if self._child.poll() is None:
                _signal(self._child, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    self._child.wait(timeout=self._grace)
        finally:  # also when whoever waits presses Ctrl-C again
            _signal(self._child, signal.SIGKILL)
            self._child.wait()

    def feed(self, pieces: Iterable[bytes]) -> None:
        """Writes its standard input and closes it; when the command does not read to the end, that is its affair."""
        sink = self._child.stdin
        if sink is None:
            return
        try:
            for piece in pieces:
                sink.write(piece)
            sink.close()
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self._break(error)
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that reads the lines
            self._break(error)
        with suppress(OSError):
            sink.close()

    def _break(self, error: BaseException) -> None:
        self.trouble = error
        _signal(self._child, signal.SIGKILL)
        self._child.wait()

    @property
    def _out(self) -> int:
        if self._child.stdout is None:
            raise ValueError("the command was started without a pipe")
        return self._child.stdout.fileno()


@contextmanager
def running(
    words: Sequence[str],
    environ: Mapping[str, str],
    pieces: Iterable[bytes] | None,
    *,
    grace: float = _GRACE,
    folder: str | os.PathLike[str] | None = None,
) -> Iterator[Process]:
    """A command, in `folder` or here, that is given `pieces` as its standard input (nothing when None). However the
    block ends, the command has ended after it, and all that it started: asked with SIGINT, and killed when it has not
    gone `grace` seconds later.

    Raises BadInput when it cannot be started, for an environment or a command line that is too long above all.
    """
    child = _started(words, environ, folder, fed=pieces is not None)
    process = Process(child, grace)
    feeder = threading.Thread(target=process.feed, args=(pieces or (),), daemon=True)
    feeder.start()
    try:
        yield process
    finally:
        try:
            process.end()
        finally:
            feeder.join(timeout=_GRACE)
            if child.stdout is not None:
                child.stdout.close()


def _started(
    words: Sequence[str], environ: Mapping[str, str], folder: str | os.PathLike[str] | None, *, fed: bool
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            env=dict(environ),
            cwd=folder,
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(
            f"{words[0]} cannot be run: {why}",
            hint="The command must be there; and no arg, label or secret may hold a NUL or be longer than 128 KiB.",
        ) from None  # the words and the environment are in the error's frames


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the command and all in its group: a plugin of docker's is a process of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def plain(line: bytes) -> str:
    """A line without what only a terminal understands."""
    return _ESCAPES.sub("", line.decode(errors="replace")).rstrip("\r")
