"""Sizes in bytes, as people read and write them."""

from __future__ import annotations

import re

_UNITS = ("B", "kB", "MB", "GB", "TB")
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?")


def shown_size(count: float) -> str:
    """Three figures and a decimal unit: 71.1 MB."""
    for unit in _UNITS:
        if count < 999.5 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"


def parse_size(text: str) -> int | None:
    """Bytes of `500MB`, `1.5 GB`, `1000`; None for what is no size."""
    found = _WRITTEN.fullmatch(text.strip())
    return int(float(found[1]) * 1000 ** ("kMGT".index(found[2]) + 1 if found[2] else 0)) if found else None
