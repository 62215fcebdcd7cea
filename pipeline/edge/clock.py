"""The machine's clock, as the port in model.clock wants it."""

from __future__ import annotations

import time


class SystemClock:
    """Waits for real."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
