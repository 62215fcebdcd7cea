"""The ports to what is kept on a platform beside its stacks: records of what was done, and leases."""

from __future__ import annotations

from typing import Protocol

from pipeline.model.record import Lease, Record


class Records(Protocol):
    """Append-only history of one environment."""

    def append(self, record: Record) -> Record:
        """Keeps the record, with `at` set by the platform's clock, and gives it back. A second call adds another."""

    def all(self) -> tuple[Record, ...]:
        """Every record of the environment, oldest first. Reads only."""


class Leases(Protocol):
    """Exclusion between runs, wherever they run: taking is a create that the platform refuses twice."""

    def take(self, name: str, *, holder: str, seconds: float) -> Lease | None:
        """The lease, or None when somebody has it. One that has run out is taken over. Not repeatable: a second call of
        the same holder is refused as well."""

    def renew(self, lease: Lease, *, seconds: float) -> Lease | None:
        """The lease with a later end, or None when it was lost: broken, or run out, whether taken over or not."""

    def release(self, lease: Lease) -> None:
        """Gives it up. A second call, or one for a lease that was lost, changes nothing."""

    def find(self, name: str) -> Lease | None:
        """Who has it, or None. Reads only."""

    def all(self) -> tuple[Lease, ...]:
        """Every lease of the environment, those that have run out as well. Reads only."""

    def break_(self, name: str) -> Lease | None:
        """Takes it from whoever has it; gives what was broken, or None when there was none."""
