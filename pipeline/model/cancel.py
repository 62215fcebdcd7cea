"""Ending work from another thread: what several builds at once are stopped with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.errors import Interrupted


class Cancellation:
    """Cancelled once, for good. Threads that may wait for long say how they are woken up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._waking: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        """Wakes everyone up. A second call changes nothing."""
        with self._lock:
            self._cancelled = True
            waking, self._waking = self._waking, []
        for wake in waking:
            wake()

    def check(self) -> None:
        """Raises Interrupted when it was cancelled."""
        if self._cancelled:
            raise Interrupted("stopped, because another one failed", hint="Mend that one and run the same again.")

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """For the body, `wake` is called (by another thread) as soon as this is cancelled; at once if it was."""
        with self._lock:
            already = self._cancelled
            if not already:
                self._waking.append(wake)
        if already:
            wake()
        try:
            yield
        finally:
            with self._lock:
                if wake in self._waking:
                    self._waking.remove(wake)
