"""How well a service and a stack are, from what their containers and services say."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.lab.rancher.rows import Row

_ONCE = "io.rancher.container.start_once"


def is_well(row: Row) -> bool:
    """Running, and healthy where a health check says anything."""
    return row.state == "running" and row.data.get("healthState") in (None, "healthy")


def ended_well(row: Row) -> bool:
    """A container that was to run once and has."""
    once = (row.data.get("labels") or {}).get(_ONCE) == "true"
    return once and row.state == "stopped" and bool(row.data.get("startCount"))


def service_health(expected: int, rows: Iterable[Row]) -> str:
    """The health of a service that should have `expected` containers."""
    found = list(rows)
    well = sum(is_well(row) for row in found)
    ended = sum(ended_well(row) for row in found)
    if expected and ended >= expected:
        return "started-once"
    if well + ended >= expected:
        return "healthy"
    if any(_is_coming(row) for row in found):
        return "initializing"
    return "degraded" if well + ended else "unhealthy"


def stack_health(states: Iterable[str]) -> str:
    """The health of a stack from its services'."""
    found = set(states)
    if found <= {"healthy"}:
        return "healthy"
    if found <= {"healthy", "started-once"}:
        return "healthy" if "healthy" in found else "started-once"
    if "initializing" in found:
        return "initializing"
    return "unhealthy" if found == {"unhealthy"} else "degraded"


def _is_coming(row: Row) -> bool:
    return row.state in ("creating", "starting", "restarting") or (
        row.state == "running" and row.data.get("healthState") in ("initializing", "reinitializing")
    )
