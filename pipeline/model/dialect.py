"""The two ways in which a Kong says what it sends where."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Dialect(StrEnum):
    """Services and routes with names and tags (Kong ≥ 1.1), or the legacy /apis (Kong 0.10 – 0.14)."""

    SERVICES = "services"
    APIS = "apis"


def dialect_of(kinds: Iterable[str]) -> Dialect:
    """The dialect that has entities of these kinds; plugins are in both."""
    return Dialect.APIS if "apis" in kinds else Dialect.SERVICES
