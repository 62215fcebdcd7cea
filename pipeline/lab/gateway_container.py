"""The lab gateway as a container: a small Kong in front of an environment's containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.lab.container import STATE, LabContainer, host_address, loopback_port, name_of
from pipeline.model.address import LOOPBACK, EngineAddress

if TYPE_CHECKING:
    from docker import APIClient

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
        everywhere: bool = False,
    ) -> None:
        """`everywhere`: its ports are published on all addresses of the engine, a job's own, which is another host."""
        self._client = client
        self._address = address
        self._kong_version = kong_version
        self._everywhere = everywhere
        self._environment = environment
        self._urls = {"admin": admin, "proxy": proxy}
        self.name = name_of(environment)
        self._container = LabContainer(client, address, environment, kind="gateway", name=self.name)

    def up(self, image: str, *, with_rancher: bool = False) -> bool:
        """Runs `image` (an id); gives whether anything had to be done. Another image, port or version of Kong replaces
        the container; its state is in a volume and stays. `with_rancher`: it asks the lab Rancher for names too.

        Raises Failed when a port is taken.
        """
        network = self._container.network()
        resolvers = [host_address(self._client, self._address, network)] if with_rancher else []
        ports = " and ".join(f"{url}" for url in self._urls.values())
        return self._container.run(
            self._payload(image, network, resolvers),
            taken=f"Are {ports} free? `ss -ltnp` tells; gateway.admin and gateway.proxy choose others.",
        )

    def down(self, *, state: bool) -> bool:
        """Removes the container, and its state when told to; gives whether there was one."""
        return self._container.down(state=state)

    def state(self) -> LabState:
        found = self._container.inspect()
        return LabState(
            environment=self._environment,
            running=bool(found and found["State"]["Running"]),
            container=self.name,
            image=str(found["Image"]) if found else "",
            admin=self._urls["admin"],
            proxy=self._urls["proxy"],
        )

    def last_words(self) -> str:
        return self._container.last_words()

    def require_here(self) -> None:
        """Raises BadInput for addresses that are none of this machine's."""
        self._ports()

    def _ports(self) -> dict[str, list[dict[str, str]]]:
        return {
            f"{inside}/tcp": [
                {
                    "HostIp": "0.0.0.0" if self._everywhere else LOOPBACK,  # noqa: S104  (see __init__)
                    "HostPort": str(self._port(name, inside)),
                }
            ]
            for name, inside in _INSIDE.items()
        }

    def _port(self, name: str, inside: int) -> int:
        if self._everywhere:
            return urlsplit(self._urls[name]).port or inside
        return loopback_port(f"gateway.{name}", self._urls[name], inside)

    def _payload(self, image: str, network: str, resolvers: list[str]) -> Mapping[str, Any]:
        ports = self._ports()
        return {
            "Image": image,
            "Cmd": [
                *("python3", "-m", "pipeline.lab.gateway", "--environment", self._environment),
                *("--admin", f"0.0.0.0:{_INSIDE['admin']}", "--proxy", f"0.0.0.0:{_INSIDE['proxy']}"),
                *("--state", f"{STATE}/gateway.sqlite3", "--kong-version", self._kong_version),
            ],
            "Labels": self._container.labels(),
            "ExposedPorts": {port: {} for port in ports},
            "HostConfig": {
                "PortBindings": ports,
                "Binds": [f"{self.name}:{STATE}:rw"],
                "NetworkMode": network,
                "Dns": resolvers,
                "RestartPolicy": {"Name": "unless-stopped"},
            },
        }
