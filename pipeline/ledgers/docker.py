"""Records and leases on a Docker engine, in things that the engine keeps and no stack needs.

A lease is a container that is never started: its name can be taken once, which makes taking atomic. Records are files in
a volume, reached through another such container; the volume outlives it. Both are made from an image without content.
"""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.edge.engine import engine_errors, is_conflict, is_missing
from pipeline.errors import PipelineError
from pipeline.model.address import EngineAddress
from pipeline.model.image import LABEL
from pipeline.model.record import Lease, Record, decode_record, encode_record

if TYPE_CHECKING:
    from docker import APIClient

_IMAGE = "pipeline-ledger"
_TAG = "1"
_FOLDER = "/ledger"
_LEASE = "/lease.json"


class DockerRecords:
    """The history of one environment: `pipeline-records-<environment>`, a volume with one file per record."""

    def __init__(self, client: APIClient, address: EngineAddress, environment: str) -> None:
        self._keeper = _Keeper(client, address, environment)
        self._name = f"pipeline-records-{environment.replace('/', '-')}"

    def append(self, record: Record) -> Record:
        kept = msgspec.structs.replace(record, at=self._keeper.now())
        self._ensure()
        self._keeper.write(self._name, _FOLDER, f"{kept.at:017.3f}-{uuid.uuid4().hex}.json", encode_record(kept))
        return kept

    def all(self) -> tuple[Record, ...]:
        files = self._keeper.read(self._name, _FOLDER)
        if not files and self._keeper.volume_exists(self._name):
            self._ensure()
            files = self._keeper.read(self._name, _FOLDER)
        return tuple(decode_record(files[name]) for name in sorted(files))

    def _ensure(self) -> None:
        """The keeper of the volume; one that a clean-up of stopped containers took is made again."""
        self._keeper.create(self._name, labels={f"{LABEL}ledger": "records"}, volume=f"{self._name}:{_FOLDER}")


class DockerLeases:
    """Leases of one environment: containers `pipeline-lease-<name>` with the heartbeat in a file."""

    def __init__(self, client: APIClient, address: EngineAddress, environment: str) -> None:
        self._keeper = _Keeper(client, address, environment)

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
        expires = self._keeper.now() + seconds
        try:
            self._keeper.write(lease.token, "/", _LEASE.lstrip("/"), json.dumps({"expires": expires}).encode())
        except PipelineError as error:
            if is_missing(error):
                return None
            raise
        return self._read(self._keeper.inspect(lease.token))

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
        labels = container["Config"]["Labels"]
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


class _Keeper:
    """Containers that are never started, and files in them."""

    def __init__(self, client: APIClient, address: EngineAddress, environment: str) -> None:
        self._client = client
        self._address = address
        self._environment = environment

    def now(self) -> float:
        """The engine's clock, from the Date of its answer (RFC 9110): whole seconds since 1970."""
        with engine_errors(self._address, "tell the time"):
            answer = self._client.get(f"{self._client.base_url}/_ping")
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()

    def create(self, name: str, *, labels: Mapping[str, str], volume: str = "") -> str | None:
        """The new container's id, or None when the name is taken. The engine decides between two at once (409)."""
        body = {
            "Image": f"{_IMAGE}:{_TAG}",
            "Cmd": ["never-started"],
            "Labels": dict(labels) | {f"{LABEL}ledger-environment": self._environment},
            "HostConfig": {"Binds": [volume] if volume else [], "NetworkMode": "none"},
        }
        for attempt in (1, 2):
            try:
                with engine_errors(self._address, f"create {name}"):
                    created = self._client.create_container_from_config(body, name)  # type: ignore[no-untyped-call]
                return str(created["Id"])
            except PipelineError as error:
                if is_conflict(error):
                    return None
                if not is_missing(error) or attempt == 2:
                    raise
                self._import_image()
        return None

    def write(self, container: str, folder: str, name: str, content: bytes) -> None:
        with engine_errors(self._address, f"write to {container}"):
            self._client.put_archive(container, folder, _tar({name: content}))

    def read(self, container: str, path: str) -> dict[str, bytes]:
        """The files at `path`, name → content; none when container or path is missing."""
        try:
            with engine_errors(self._address, f"read from {container}"):
                chunks, _ = self._client.get_archive(container, path)
                archive = io.BytesIO(b"".join(chunks))
        except PipelineError as error:
            if is_missing(error):
                return {}
            raise
        with tarfile.open(fileobj=archive) as opened:
            members = [(member.name, opened.extractfile(member)) for member in opened if member.isfile()]
            return {name: file.read() for name, file in members if file is not None}

    def inspect(self, container: str) -> dict[str, Any] | None:
        try:
            with engine_errors(self._address, f"inspect {container}"):
                return self._client.inspect_container(container)  # type: ignore[no-any-return]
        except PipelineError as error:
            if is_missing(error):
                return None
            raise

    def list(self, kind: str) -> list[dict[str, Any]]:
        labels = [f"{LABEL}ledger={kind}", f"{LABEL}ledger-environment={self._environment}"]
        with engine_errors(self._address, f"list the containers of kind {kind}"):
            return self._client.containers(all=True, filters={"label": labels})  # type: ignore[no-any-return]

    def remove(self, container: str) -> None:
        try:
            with engine_errors(self._address, f"remove {container}"):
                self._client.remove_container(container, force=True)
        except PipelineError as error:
            if not (is_missing(error) or is_conflict(error)):
                raise

    def volume_exists(self, name: str) -> bool:
        try:
            with engine_errors(self._address, f"look for the volume {name}"):
                self._client.inspect_volume(name)
                return True
        except PipelineError as error:
            if is_missing(error):
                return False
            raise

    def _import_image(self) -> None:
        with engine_errors(self._address, f"make the image {_IMAGE}"):
            self._client.import_image_from_data(_tar({}), repository=_IMAGE, tag=_TAG)


def _container(name: str) -> str:
    return f"pipeline-lease-{name}"


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
