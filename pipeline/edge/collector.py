"""Python's collector of cycles, out of the way while very many small values are made that are in none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """It would look through everything that is there again and again: half of the time of a large dump. What was made
    counts as old afterwards (frozen and let go): else all of it would be looked through at the next occasion."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.unfreeze()
            gc.enable()
