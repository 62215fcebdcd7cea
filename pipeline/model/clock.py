"""Time as deciding code is given it: a port, so that a flow waits without touching the world itself."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Seconds. `now` is the wall clock (since 1970), `monotonic` never goes back, `sleep` may be interrupted."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class Deadline:
    """How long something may still take; made once, asked often."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds
        self.seconds = seconds

    @property
    def left(self) -> float:
        return max(0.0, self._end - self._clock.monotonic())

    @property
    def passed(self) -> bool:
        return self._clock.monotonic() >= self._end

    def pause(self, seconds: float) -> None:
        """Sleeps, and never past the end."""
        self._clock.sleep(min(seconds, self.left))
