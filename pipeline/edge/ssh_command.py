"""A command on another machine: fed in the background, heard line by line, and ended for sure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import Empty, Queue
from typing import TYPE_CHECKING

from pipeline.edge.process import plain
from pipeline.errors import Failed, PipelineError

if TYPE_CHECKING:
    from paramiko import Channel

_LOOK_UP = 0.2
_PIECE = 65536
_LONGEST = 1 << 20
_GRACE = 20.0
"""Seconds. Longer than the machine's own, which asks for five and then kills (shell/host.sh)."""


class Command:
    """A command that was started. `out` tells its lines from those of its standard error. Any thread may end its input;
    one hears it."""

    def __init__(
        self,
        channel: Channel,
        pieces: Iterable[bytes],
        watch: Callable[[], None],
        *,
        keep_input: bool,
        lost: PipelineError,
    ) -> None:
        self._channel = channel
        self._watch = watch
        self._lost = lost
        self._trouble: BaseException | None = None
        self._heard: Queue[tuple[bool, str] | None] = Queue(maxsize=10_000)
        self._open = 2
        for work in (
            lambda: self._feed(pieces, keep_input),
            lambda: self._listen(channel.recv, out=True),
            lambda: self._listen(channel.recv_stderr, out=False),
        ):
            threading.Thread(target=work, daemon=True).start()

    def lines(self) -> Iterator[tuple[bool, str]]:
        """Its lines as they come, with True for standard output, until it has ended."""
        while self._open:
            with suppress(Empty):
                heard = self._heard.get(timeout=_LOOK_UP)
                if heard is None:
                    self._open -= 1
                    continue
                yield heard
                continue
            self._watch()

    def code(self) -> int:
        """Its exit code, after `lines`. Raises what its input raised, or that the connection was lost."""
        while not self._channel.status_event.wait(_LOOK_UP):
            self._watch()
        if self._trouble is not None:
            raise self._trouble
        code = self._channel.recv_exit_status()
        if code >= 0:
            return code
        transport = self._channel.get_transport()
        if transport is not None and transport.is_active():
            raise Failed(f"{self._lost.what.partition(':')[0]}: the command was killed there", hint=self._lost.hint)
        raise self._lost

    def end_input(self) -> None:
        """Closes its standard input; what watches over it takes that for the order to end."""
        with suppress(OSError, EOFError):
            self._channel.shutdown_write()

    def end(self) -> None:
        """Ends its input and waits until it has ended, not for ever. A second call does nothing."""
        self.end_input()
        end = time.monotonic() + _GRACE
        for _ in self.lines():
            if time.monotonic() > end:
                break
        while not self._channel.status_event.wait(_LOOK_UP) and time.monotonic() < end:
            self._watch()
        self._channel.close()

    def _feed(self, pieces: Iterable[bytes], keep_input: bool) -> None:
        try:
            for piece in pieces:
                self._channel.sendall(piece)
        except (OSError, EOFError):
            return  # it does not read to the end, which is its affair; or it is lost, and the listener tells
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
            self._trouble = error
            self._channel.close()
        if not keep_input:
            self.end_input()

    def _listen(self, receive: Callable[[int], bytes], *, out: bool) -> None:
        rest = b""
        with suppress(OSError, EOFError):
            while piece := receive(_PIECE):
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    self._heard.put((out, plain(line)))
                if len(rest) > _LONGEST:
                    self._heard.put((out, plain(rest)))
                    rest = b""
        if rest:
            self._heard.put((out, plain(rest)))
        self._heard.put(None)
