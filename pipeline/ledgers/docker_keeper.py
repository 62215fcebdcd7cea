"""Containers that are never started and files in them: what a Docker engine can keep without running anything."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pipeline.edge.engine import ENGINE_TIMEOUT, engine_errors, is_conflict, is_missing, seconds_of
from pipeline.errors import PipelineError
from pipeline.model.address import EngineAddress
from pipeline.model.image import LABEL

if TYPE_CHECKING:
    from docker import APIClient

_IMAGE = "pipeline-ledger"
_TAG = "1"


class Keeper:
    """Containers that are never started, and files in them."""

    def __init__(self, client: APIClient, address: EngineAddress, environment: str) -> None:
        self._client = client
        self._address = address
        self._environment = environment

    def now(self) -> float:
        """The engine's clock, from the Date of its answer (RFC 9110): whole seconds since 1970."""
        with engine_errors(self._address, "tell the time"):
            answer = self._client.get(f"{self._client.base_url}/_ping", timeout=ENGINE_TIMEOUT)
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()

    def moment(self) -> float:
        """The engine's clock to the microsecond, for what has to stay in order; it takes longer to ask for."""
        with engine_errors(self._address, "tell the time"):
            told = self._client.info()["SystemTime"]
        return seconds_of(told)

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


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
