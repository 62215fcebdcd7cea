"""The lab gateway as a container of the toolkit's own image, on the network of its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.edge.engine import engine_errors, is_missing
from pipeline.errors import BadInput, Failed, PipelineError, Refused
from pipeline.model.address import EngineAddress
from pipeline.model.image import LABEL
from pipeline.platforms.docker_network import ensure_network
from pipeline.platforms.names import dashed

if TYPE_CHECKING:
    from docker import APIClient

_STATE = "/state"
_INSIDE = {"admin": 8001, "proxy": 8000}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabState:
    """Whether the lab gateway of an environment runs, and where."""

    environment: str
    running: bool
    container: str
    image: str
    admin: str
    proxy: str


class LabGateway:
    """The lab gateway of one environment. For practice and local work: its Admin API has no password."""

    def __init__(
        self,
        client: APIClient,
        address: EngineAddress,
        environment: str,
        *,
        admin: str,
        proxy: str,
        kong_version: str = "2.8",
    ) -> None:
        self._client = client
        self._kong_version = kong_version
        self._address = address
        self._environment = environment
        self._urls = {"admin": admin, "proxy": proxy}
        self.name = f"pipeline-lab-{dashed(environment)}"

    def up(self, image: str) -> bool:
        """Runs `image` (an id); gives whether anything had to be done. Another image, port or version of Kong replaces
        the container; its state is in a volume and stays. Raises Failed when a port is taken."""
        payload = self._payload(image)
        found = self._inspect()
        if found is not None:
            self._refuse_foreign(found)
            wanted = (image, payload["Cmd"], payload["HostConfig"]["PortBindings"])
            same = (found["Image"], found["Config"]["Cmd"], found["HostConfig"]["PortBindings"]) == wanted
            if same and found["State"]["Running"]:
                return False
            self._remove()
        ensure_network(self._client, self._address, self._environment)
        with engine_errors(self._address, f"create {self.name}"):
            created = self._client.create_container_from_config(payload, self.name)  # type: ignore[no-untyped-call]
        try:
            with engine_errors(self._address, f"start {self.name}"):
                self._client.start(created["Id"])
        except PipelineError as error:
            self._remove()
            ports = " and ".join(f"{url}" for url in self._urls.values())
            raise Failed(
                error.what, hint=f"Are {ports} free? `ss -ltnp` tells; gateway.admin and gateway.proxy choose others."
            ) from error
        return True

    def down(self, *, state: bool) -> bool:
        """Removes the container, and its state when told to; gives whether there was one."""
        found = self._inspect()
        if found is not None:
            self._refuse_foreign(found)
            self._remove()
        if state:
            self._remove_state()
        return found is not None

    def state(self) -> LabState:
        found = self._inspect()
        return LabState(
            environment=self._environment,
            running=bool(found and found["State"]["Running"]),
            container=self.name,
            image=str(found["Image"]) if found else "",
            admin=self._urls["admin"],
            proxy=self._urls["proxy"],
        )

    def last_words(self) -> str:
        """The end of its log, for a start that failed."""
        with engine_errors(self._address, f"read the log of {self.name}"):
            text: bytes = self._client.logs(self.name, tail=20)
        return text.decode(errors="replace")

    def _payload(self, image: str) -> Mapping[str, Any]:
        ports = {f"{inside}/tcp": [_binding(name, self._urls[name])] for name, inside in _INSIDE.items()}
        return {
            "Image": image,
            "Cmd": [
                *("python3", "-m", "pipeline.lab.gateway", "--environment", self._environment),
                *("--admin", f"0.0.0.0:{_INSIDE['admin']}", "--proxy", f"0.0.0.0:{_INSIDE['proxy']}"),
                *("--state", f"{_STATE}/gateway.sqlite3", "--kong-version", self._kong_version),
            ],
            "Labels": {f"{LABEL}lab": "gateway", f"{LABEL}lab-environment": self._environment},
            "ExposedPorts": {port: {} for port in ports},
            "HostConfig": {
                "PortBindings": ports,
                "Binds": [f"{self.name}:{_STATE}:rw"],
                "NetworkMode": f"pipeline-{dashed(self._environment)}",
                "RestartPolicy": {"Name": "unless-stopped"},
            },
        }

    def _refuse_foreign(self, found: Mapping[str, Any]) -> None:
        if (found["Config"]["Labels"] or {}).get(f"{LABEL}lab") != "gateway":
            raise Refused(
                f"there is a container {self.name} that is not the lab gateway", hint="Rename or remove it first."
            )

    def _inspect(self) -> dict[str, Any] | None:
        try:
            with engine_errors(self._address, f"inspect {self.name}"):
                return self._client.inspect_container(self.name)  # type: ignore[no-any-return]
        except PipelineError as error:
            if is_missing(error):
                return None
            raise

    def _remove(self) -> None:
        with engine_errors(self._address, f"remove {self.name}"):
            self._client.stop(self.name, timeout=10)
            self._client.remove_container(self.name, force=True)

    def _remove_state(self) -> None:
        try:
            with engine_errors(self._address, f"remove the volume {self.name}"):
                self._client.remove_volume(self.name)
        except PipelineError as error:
            if not is_missing(error):
                raise


def _binding(name: str, url: str) -> dict[str, str]:
    """Where on this machine a port is published: loopback only, because the Admin API has no password."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost"):
        raise BadInput(
            f"gateway.{name} is {url!r}, and the lab gateway only listens on this machine",
            hint=f"The lab is for environments like local: give it http://127.0.0.1:{_INSIDE[name]}.",
        )
    return {"HostIp": "127.0.0.1", "HostPort": str(parts.port or 80)}
