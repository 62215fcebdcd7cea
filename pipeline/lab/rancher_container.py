"""The lab Rancher as a container: it has the engine's socket, and its stacks are its neighbours, not its children."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.edge.engine import EngineClients
from pipeline.lab.container import STATE, LabContainer, loopback_port, name_of
from pipeline.model.address import LOOPBACK, EngineAddress
from pipeline.model.secret import Secret
from pipeline.platforms.names import network_name

if TYPE_CHECKING:
    from docker import APIClient

DEFAULT_URL = "http://127.0.0.1:8080"
_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabKey:
    """What a lab Rancher asks for."""

    access: str
    secret: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class RancherState:
    """Whether the lab Rancher of an environment runs, and where."""

    running: bool
    container: str
    image: str
    url: str


class LabRancher:
    """The lab Rancher of one environment. Whoever reaches its port may run anything on the engine: loopback only, or
    with a key."""

    def __init__(
        self, client: APIClient, address: EngineAddress, environment: str, *, url: str, key: LabKey | None = None
    ) -> None:
        """With a `key` nobody else is let in, and an engine that is another host (a job's own) lets it be reached."""
        self._client = client
        self._key = key
        self._address = address
        self._environment = environment
        self.url = url or DEFAULT_URL
        self.name = name_of(environment, "-rancher")
        self._container = LabContainer(client, address, environment, kind="rancher", name=self.name)

    def up(self, image: str) -> bool:
        """Runs `image` (an id); gives whether anything had to be done. Its state is in a volume and stays.

        Raises Failed when it cannot be started.
        """
        self._container.network()
        return self._container.run(
            self._payload(image), taken=f"Is {self.url} free? `ss -ltnp` tells; RANCHER_URL chooses another."
        )

    def down(self, *, state: bool) -> bool:
        """Removes the container; its stacks run on. With `state`, what it remembers and they go as well."""
        there = self._container.down(state=state)
        if state:
            from pipeline.lab.rancher.on_engine import remove_containers

            remove_containers(EngineClients(self._client, self._address), network_name(self._environment))
        return there

    def state(self) -> RancherState:
        found = self._container.inspect()
        return RancherState(
            running=bool(found and found["State"]["Running"]),
            container=self.name,
            image=str(found["Image"]) if found else "",
            url=self.url,
        )

    def last_words(self) -> str:
        return self._container.last_words()

    def _payload(self, image: str) -> Mapping[str, Any]:
        """On the host's own network: from there it probes containers, and answers them as their name server."""
        key = self._key
        here = urlsplit(self.url).hostname in (LOOPBACK, "localhost")
        port = urlsplit(self.url).port if key and not here else loopback_port("RANCHER_URL", self.url, 8080)
        listen = f"{LOOPBACK if here else '0.0.0.0'}:{port}"  # noqa: S104  (see __init__)
        return {
            "Image": image,
            "Cmd": [
                *("python3", "-m", "pipeline.lab.rancher", "--listen", listen, "--runtime", "docker"),
                *("--environment", self._environment, "--state", f"{STATE}/rancher.json"),
                *(["--security"] if key else []),
            ],
            "Env": [f"RANCHER_ACCESS_KEY={key.access}", f"RANCHER_SECRET_KEY={key.secret.reveal()}"] if key else [],
            # The engine's socket is root's, and so is port 53.
            "User": "0:0",
            "Labels": self._container.labels(),
            "HostConfig": {
                "Binds": [f"{self.name}:{STATE}:rw", f"{_socket(self._address)}:{_SOCKET}:rw"],
                "NetworkMode": "host",
                "RestartPolicy": {"Name": "unless-stopped"},
            },
        }


def _socket(address: EngineAddress) -> str:
    """The engine's socket on its own machine: the one that it is reached by here, or the usual one."""
    host = address.host or os.environ.get("DOCKER_HOST", "")
    return host.removeprefix("unix://") if host.startswith("unix://") else _SOCKET
