"""Spans of time as people read them."""

from __future__ import annotations

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def shown_span(seconds: float) -> str:
    """`45 s`, `12 min`, `5 h`, `3 d`; nothing is less than none."""
    for unit in ("d", "h", "min"):
        if seconds >= _UNITS[unit]:
            return f"{int(seconds // _UNITS[unit])} {unit}"
    return f"{max(0, int(seconds))} s"
