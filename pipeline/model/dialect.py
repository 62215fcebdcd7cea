"""The two ways in which a Kong says what it sends where."""

from __future__ import annotations

from enum import StrEnum


class Dialect(StrEnum):
    """Services and routes with names and tags (Kong ≥ 1.1), or the legacy /apis (Kong 0.10 – 0.14)."""

    SERVICES = "services"
    APIS = "apis"
