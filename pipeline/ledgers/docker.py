"""Records and leases on a Docker engine, in things that the engine keeps and no stack needs.

A lease is a container that is never started: its name can be taken once, which makes taking atomic. Records are files
in a volume, reached through another such container; the volume outlives it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.edge.clock import SystemClock
from pipeline.edge.engine import is_conflict, is_missing
from pipeline.errors import PipelineError, Refused
from pipeline.ledgers.docker_keeper import Keeper
from pipeline.model.address import EngineAddress
from pipeline.model.clock import Deadline
from pipeline.model.image import LABEL
from pipeline.model.record import Lease, Record, decode_record, encode_record

if TYPE_CHECKING:
    from docker import APIClient

_FOLDER = "/ledger"
_KEEPER_SECONDS = 10.0
_KEEPER_POLL_SECONDS = 0.05
_LEASE = "/lease.json"


class DockerRecords:
    """The history of one environment: `pipeline-records-<environment>`, a volume with one file per record."""

    def __init__(self, client: APIClient, address: EngineAddress, environment: str) -> None:
        self._keeper = Keeper(client, address, environment)
        self._environment = environment
        self._name = f"pipeline-records-{environment.replace('/', '_')}"

    def append(self, record: Record) -> Record:
        kept = msgspec.structs.replace(record, at=self._keeper.moment())
        file = f"{kept.at:020.6f}-{uuid.uuid4().hex}.json"
        deadline = Deadline(SystemClock(), _KEEPER_SECONDS)
        while True:
            self._ensure()
            try:
                self._keeper.write(self._name, _FOLDER, file, encode_record(kept))
            except PipelineError as error:
                # The engine gives a name away before its container is there: another run is making it just now.
                if not is_missing(error) or deadline.passed:
                    raise
                deadline.pause(_KEEPER_POLL_SECONDS)
            else:
                return kept

    def all(self) -> tuple[Record, ...]:
        files = self._keeper.read(self._name, _FOLDER)
        if not files and self._keeper.volume_exists(self._name):
            self._ensure()
            files = self._keeper.read(self._name, _FOLDER)
        return tuple(self._decoded(name, files[name]) for name in sorted(files))

    def _decoded(self, name: str, text: bytes) -> Record:
        """One that cannot be read (an engine died while it wrote it) is shown as such: it must not end every verb."""
        try:
            return decode_record(text)
        except ValueError:
            return Record(verb="unreadable", service="", environment=self._environment, outcome=f"{self._name}: {name}")

    def _ensure(self) -> None:
        """The keeper of the volume; one that a clean-up of stopped containers took is made again."""
        self._keeper.create(self._name, labels={f"{LABEL}ledger": "records"}, volume=f"{self._name}:{_FOLDER}")


class DockerLeases:
    """Leases of one environment: containers `pipeline-lease-<name>` with the heartbeat in a file."""

    def __init__(self, client: APIClient, address: EngineAddress, environment: str) -> None:
        self._keeper = Keeper(client, address, environment)

    def take(self, name: str, *, holder: str, seconds: float) -> Lease | None:
        found = self.find(name)
        if found is not None and not found.expired:
            return None
        if found is not None:
            # By id: whoever else sees the same expired lease removes that one only, and just one create succeeds.
            self._keeper.remove(found.token)
        now = self._keeper.now()
        labels = {f"{LABEL}ledger": "lease", f"{LABEL}lease": name, f"{LABEL}holder": holder}
        labels |= {f"{LABEL}taken": str(now), f"{LABEL}seconds": str(seconds)}
        token = self._keeper.create(_container(name), labels=labels)
        if token is None:
            return None
        return Lease(name=name, token=token, holder=holder, taken=now, expires=now + seconds, now=now)

    def renew(self, lease: Lease, *, seconds: float) -> Lease | None:
        held = self._read(self._keeper.inspect(lease.token))
        if held is None or held.expired:
            return None
        expires = held.now + seconds
        try:
            self._keeper.write(lease.token, "/", _LEASE.lstrip("/"), json.dumps({"expires": expires}).encode())
        except PipelineError as error:
            # 404: it is gone; 409: it is going.
            if is_missing(error) or is_conflict(error):
                return None
            raise
        return replace(held, expires=expires)

    def release(self, lease: Lease) -> None:
        self._keeper.remove(lease.token)

    def find(self, name: str) -> Lease | None:
        return self._read(self._keeper.inspect(_container(name)))

    def all(self) -> tuple[Lease, ...]:
        found = (self._read(self._keeper.inspect(item["Id"])) for item in self._keeper.list("lease"))
        return tuple(lease for lease in found if lease is not None)

    def break_(self, name: str) -> Lease | None:
        found = self.find(name)
        if found is not None:
            self._keeper.remove(found.token)
        return found

    def _read(self, container: Mapping[str, Any] | None) -> Lease | None:
        if container is None:
            return None
        labels = container["Config"]["Labels"] or {}
        if labels.get(f"{LABEL}ledger") != "lease":
            raise Refused(
                f"there is a container {container['Name'].lstrip('/')} that is no lease of this toolkit",
                hint="Look at it with `docker inspect`; rename or remove it, then run this again.",
            )
        taken, seconds = float(labels[f"{LABEL}taken"]), float(labels[f"{LABEL}seconds"])
        beat = self._keeper.read(container["Id"], _LEASE)
        expires = json.loads(next(iter(beat.values())))["expires"] if beat else taken + seconds
        return Lease(
            name=labels[f"{LABEL}lease"],
            token=container["Id"],
            holder=labels[f"{LABEL}holder"],
            taken=taken,
            expires=float(expires),
            now=self._keeper.now(),
        )


def _container(name: str) -> str:
    return f"pipeline-lease-{name}"
