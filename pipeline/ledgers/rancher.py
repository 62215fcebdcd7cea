"""Records and leases on a Rancher server: entries of a stack in which nothing runs.

A lease is an entry whose name can be taken once, so that the server decides between two runs. Its end stands in its
description. A record is an entry of a name that nobody else has. Times are the server's.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import msgspec

from pipeline.edge.rancher_client import RancherClient
from pipeline.ledgers.rancher_keeper import Entry, RancherKeeper
from pipeline.model.clock import Clock
from pipeline.model.record import Lease, Record, decode_record, encode_record

_LEASE = "lease-"
_RECORD = "record-"


class RancherRecords:
    """The history of one environment, one entry for each record."""

    def __init__(self, client: RancherClient, environment: str, clock: Clock) -> None:
        self._keeper = RancherKeeper(client, environment, clock)
        self._environment = environment

    def append(self, record: Record) -> Record:
        # In ASCII: the server's database may hold no more than three bytes of a character.
        text = json.dumps(json.loads(encode_record(msgspec.structs.replace(record, at=0.0))))
        while (made := self._keeper.create(f"{_RECORD}{uuid.uuid4().hex}", {"record": text})) is None:
            continue
        return msgspec.structs.replace(decode_record(text.encode()), at=made.created)

    def all(self) -> tuple[Record, ...]:
        entries = self._keeper.entries(name_prefix=_RECORD)
        found = sorted(entries, key=lambda entry: (entry.created, entry.age))
        return tuple(self._decoded(entry) for entry in found if entry.name.startswith(_RECORD))

    def _decoded(self, entry: Entry) -> Record:
        """One that cannot be read is shown as such: it must not end every verb."""
        try:
            record = decode_record(str((entry.metadata or {}).get("record", "")).encode())
        except ValueError:
            record = Record(verb="unreadable", service="", environment=self._environment, outcome=entry.name)
        return msgspec.structs.replace(record, at=entry.created)


class RancherLeases:
    """Leases of one environment: who took it and for how long stands in what never changes, its end beside that."""

    def __init__(self, client: RancherClient, environment: str, clock: Clock) -> None:
        self._client = client
        self._keeper = RancherKeeper(client, environment, clock)

    def take(self, name: str, *, holder: str, seconds: float) -> Lease | None:
        found = self.find(name)
        if found is not None and not found.expired:
            return None
        if found is not None:
            # By id: whoever else sees the same expired lease removes that one only, and just one create succeeds.
            self._keeper.remove(found.token)
        metadata = {"lease": name, "holder": _ascii(holder), "seconds": str(seconds), "token": uuid.uuid4().hex}
        made = self._keeper.create(self._name(name), metadata)
        return None if made is None else self._lease(made)

    def renew(self, lease: Lease, *, seconds: float) -> Lease | None:
        entry = self._keeper.find(lease.token)
        held = None if entry is None else self._lease(entry)
        if held is None or held.expired:
            return None
        expires = held.now + seconds
        return None if self._keeper.update(lease.token, str(expires)) is None else replace(held, expires=expires)

    def release(self, lease: Lease) -> None:
        self._keeper.remove(lease.token)

    def find(self, name: str) -> Lease | None:
        wanted = self._name(name)
        entry = next((one for one in self._keeper.entries(name=wanted) if one.name == wanted), None)
        return None if entry is None else self._lease(entry)

    def all(self) -> tuple[Lease, ...]:
        entries = self._keeper.entries(name_prefix=_LEASE)
        return tuple(self._lease(entry) for entry in entries if entry.name.startswith(_LEASE))

    def break_(self, name: str) -> Lease | None:
        found = self.find(name)
        if found is not None:
            self._keeper.remove(found.token)
        return found

    def _lease(self, entry: Entry) -> Lease:
        facts = entry.metadata or {}
        seconds = float(facts.get("seconds", 0.0))
        return Lease(
            name=str(facts.get("lease", entry.name)),
            token=entry.id,
            holder=str(json.loads(facts["holder"])) if "holder" in facts else "somebody",
            taken=entry.created,
            expires=float(entry.description) if entry.description else entry.created + seconds,
            now=self._client.now(),
        )

    def _name(self, name: str) -> str:
        return self._keeper.readable(f"{_LEASE}{name}")


def _ascii(text: str) -> str:
    return json.dumps(text)
