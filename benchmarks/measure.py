"""Timing of whole commands, in turn, so that a machine whose speed drifts is fair to both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_turn(runs: int, **sides: Callable[[], object]) -> dict[str, list[float]]:
    """Seconds of each side, A B A B …, after one warm-up of each."""
    for side in sides.values():
        side()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            taken[name].append(seconds(side))
    return taken


def show(taken: dict[str, list[float]]) -> None:
    for name, values in taken.items():
        print(
            f"  {name:32} median {statistics.median(values):7.3f} s   min {min(values):7.3f}   max {max(values):7.3f}"
        )


def show_ratio(what: str, ours: list[float], other: list[float], limit: float) -> None:
    """The median of the pairs' ratios, against the limit that we set ourselves."""
    ratio = statistics.median(one / two for one, two in zip(ours, other, strict=True))
    print(f"  {what}: {ratio:.2f} × (limit {limit} ×) {'ok' if ratio <= limit else 'OVER'}")
