"""Records and leases in this process, for tests of flows."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace

import msgspec

from pipeline.model.clock import Clock
from pipeline.model.record import Lease, Record, decode_record, encode_record


class MemoryRecords:
    """Append-only history in a list."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: list[Record] = []

    def append(self, record: Record) -> Record:
        kept = decode_record(encode_record(msgspec.structs.replace(record, at=self._clock.now())))
        self._records.append(kept)
        return kept

    def all(self) -> tuple[Record, ...]:
        return tuple(self._records)


class MemoryLeases:
    """Leases in a dictionary; the platform's clock is the one that it is given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leases: dict[str, Lease] = {}
        self._one_at_a_time = threading.Lock()

    def take(self, name: str, *, holder: str, seconds: float) -> Lease | None:
        with self._one_at_a_time:
            found = self.find(name)
            if found is not None and not found.expired:
                return None
            now = self._clock.now()
            lease = Lease(name=name, token=uuid.uuid4().hex, holder=holder, taken=now, expires=now + seconds, now=now)
            self._leases[name] = lease
            return lease

    def renew(self, lease: Lease, *, seconds: float) -> Lease | None:
        found = self.find(lease.name)
        if found is None or found.token != lease.token or found.expired:
            return None
        now = self._clock.now()
        self._leases[lease.name] = replace(found, expires=now + seconds, now=now)
        return self._leases[lease.name]

    def release(self, lease: Lease) -> None:
        found = self._leases.get(lease.name)
        if found is not None and found.token == lease.token:
            del self._leases[lease.name]

    def find(self, name: str) -> Lease | None:
        found = self._leases.get(name)
        return None if found is None else replace(found, now=self._clock.now())

    def all(self) -> tuple[Lease, ...]:
        return tuple(replace(lease, now=self._clock.now()) for lease in self._leases.values())

    def break_(self, name: str) -> Lease | None:
        return self._leases.pop(name, None)
