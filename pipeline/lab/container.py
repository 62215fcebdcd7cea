"""What the labs have in common: a container of the toolkit's own image, on the network of its environment."""

from __future__ import annotations

from collections.abc import Mapping
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

STATE = "/state"
_COMPARED = ("PortBindings", "NetworkMode", "Dns")


class LabContainer:
    """One container of a lab. Its state is in a volume of its name, and outlives it."""

    def __init__(self, client: APIClient, address: EngineAddress, environment: str, *, kind: str, name: str) -> None:
        self._client = client
        self._address = address
        self._environment = environment
        self._kind = kind
        self.name = name

    def run(self, payload: Mapping[str, Any], *, taken: str) -> bool:
        """Runs what `payload` says; gives whether anything had to be done. Another image, command, port or network
        replaces the container. Raises Failed, with the hint `taken`, when it cannot be started."""
        found = self.inspect()
        if found is not None:
            self._refuse_foreign(found)
            same = _told(found, found["Image"]) == _told({"Config": payload, **payload}, payload["Image"])
            if same and found["State"]["Running"]:
                return False
            self._remove()
        with engine_errors(self._address, f"create {self.name}"):
            created = self._client.create_container_from_config(payload, self.name)  # type: ignore[no-untyped-call]
        try:
            with engine_errors(self._address, f"start {self.name}"):
                self._client.start(created["Id"])
        except PipelineError as error:
            self._remove()
            raise Failed(error.what, hint=taken) from error
        return True

    def down(self, *, state: bool) -> bool:
        """Removes the container, and its state when told to; gives whether there was one."""
        found = self.inspect()
        if found is not None:
            self._refuse_foreign(found)
            self._remove()
        if state:
            self._remove_state()
        return found is not None

    def last_words(self) -> str:
        """The end of its log, for a start that failed."""
        with engine_errors(self._address, f"read the log of {self.name}"):
            text: bytes = self._client.logs(self.name, tail=20)
        return text.decode(errors="replace")

    def labels(self) -> dict[str, str]:
        return {f"{LABEL}lab": self._kind, f"{LABEL}lab-environment": self._environment}

    def network(self) -> str:
        """The environment's network, made when it is missing."""
        return ensure_network(self._client, self._address, self._environment)

    def inspect(self) -> dict[str, Any] | None:
        try:
            with engine_errors(self._address, f"inspect {self.name}"):
                return self._client.inspect_container(self.name)  # type: ignore[no-any-return]
        except PipelineError as error:
            if is_missing(error):
                return None
            raise

    def _refuse_foreign(self, found: Mapping[str, Any]) -> None:
        if (found["Config"]["Labels"] or {}).get(f"{LABEL}lab") != self._kind:
            raise Refused(
                f"there is a container {self.name} that is not the lab's {self._kind}",
                hint="Rename or remove it first.",
            )

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


def name_of(environment: str, suffix: str = "") -> str:
    return f"pipeline-lab-{dashed(environment)}{suffix}"


def loopback_port(name: str, url: str, default: int) -> int:
    """The port of a URL on this machine. Raises BadInput for any other: the labs have no password."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost"):
        raise BadInput(
            f"{name} is {url!r}, and the lab only listens on this machine",
            hint=f"The lab is for environments like local: give it http://127.0.0.1:{default}, in invoke.yaml or its "
            "variable (KONG_ADMIN_URL, KONG_PROXY_URL, RANCHER_URL).",
        )
    return parts.port or 80


def host_address(client: APIClient, address: EngineAddress, network: str) -> str:
    """The address at which the engine's own machine is on a network. Raises Failed for a network without one."""
    with engine_errors(address, f"inspect the network {network}"):
        configs = client.inspect_network(network)["IPAM"]["Config"] or ()
    for config in configs:
        if config.get("Gateway"):
            return str(config["Gateway"])
    raise Failed(
        f"the network {network} has no gateway", hint=f"Remove it (`docker network rm {network}`): it is made anew."
    )


def _told(container: Mapping[str, Any], image: str) -> tuple[Any, ...]:
    """What makes two containers of a lab the same."""
    host = container["HostConfig"]
    return (image, container["Config"]["Cmd"], *(host.get(name) or None for name in _COMPARED))
