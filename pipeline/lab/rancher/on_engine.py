"""A lab Rancher whose containers run on a Docker engine: its network, its name server, and what it finds again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.edge.engine import EngineClients, engine_errors, open_engine
from pipeline.errors import Failed
from pipeline.lab.container import host_address
from pipeline.lab.rancher.dns import NameServer, upstream_of
from pipeline.lab.rancher.lab_state import LabState, Seed
from pipeline.lab.rancher.resolving import Names
from pipeline.lab.rancher.runtime_docker import DockerRuntime
from pipeline.lab.rancher.runtime_memory import Faults
from pipeline.lab.rancher.scheduler import LoopScheduler, Timings
from pipeline.lab.rancher.server import Server
from pipeline.lab.rancher.state_file import StateFile
from pipeline.model.address import EngineAddress
from pipeline.model.image import LABEL
from pipeline.platforms.docker_network import ensure_network

TIMINGS = Timings(step=0.05, tick=0.05, retry=2.0)
_PROJECT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a lab on an engine listens, whose stacks it runs, and where it keeps its state."""

    listen: tuple[str, int]
    environment: str
    engine: EngineAddress
    state: Path | None = None


class RancherOnEngine:
    """`start` and `stop` run in an event loop. Stopping leaves the containers as they are."""

    def __init__(self, place: Place, seed: Seed) -> None:
        self._place = place
        self._seed = seed
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        """Raises OSError for an address that cannot be had, Unreachable for an engine that does not answer."""
        loop = asyncio.get_running_loop()
        engines, network, gateway = await loop.run_in_executor(None, self._engine)
        self.runtime = DockerRuntime(engines, network, gateway)
        self.state = LabState(LoopScheduler(), TIMINGS, self.runtime, Faults(), self._seed)
        self.runtime.reports = self.state.instances
        await self._found_again(engines, network)
        self._names = NameServer(Names(self.state.store, _PROJECT), upstream_of(Path("/etc/resolv.conf")))
        try:
            await self._names.listen(gateway)
        except OSError as error:
            raise Failed(
                f"the lab Rancher cannot be the name server of {network} at {gateway}:53: {error}",
                hint="`ss -lunp` tells who has port 53 (a dnsmasq?); without root it needs CAP_NET_BIND_SERVICE.",
            ) from error
        self._server = Server(self.state)
        await self._server.start(*self._place.listen)
        self._tasks.append(asyncio.ensure_future(self.runtime.watch()))

    async def stop(self, seconds: float) -> None:
        for task in self._tasks:
            task.cancel()
        await self._server.stop(seconds)
        self._names.close()
        await self.runtime.close()
        if self._file is not None:
            await self._file.close()

    @property
    def address(self) -> tuple[str, int]:
        return self._server.address

    def _engine(self) -> tuple[EngineClients, str, str]:
        """The engine's clients, the environment's network, and the address at which the host is on it."""
        address = self._place.engine
        client = open_engine(address)
        network = ensure_network(client, address, self._place.environment)
        return EngineClients(client, address), network, host_address(client, address, network)

    async def _found_again(self, engines: EngineClients, network: str) -> None:
        """What an earlier lab has left in the state file and on the engine."""
        self._file = StateFile(self.state.store, self._place.state) if self._place.state is not None else None
        if self._file is None:
            return
        known = self._file.load()
        loop = asyncio.get_running_loop()
        there = await loop.run_in_executor(None, lambda: _containers(engines, network))
        if known:
            self._adopt(there)
        # A lab that was killed may have started some that it never wrote down.
        kept = {row.data["uuid"] for row in self.state.store.rows("instance")}
        orphans = [one["Id"] for name, one in there.items() if name not in kept]
        await loop.run_in_executor(None, lambda: _remove(engines, orphans))
        if known:
            self.state.resume()
        self._file.follow()

    def _adopt(self, there: dict[str, dict[str, Any]]) -> None:
        store = self.state.store
        for row in list(store.rows("instance")):
            found = there.get(row.data["uuid"])
            if found is None:
                store.retire(row)
                continue
            running = found["State"] == "running"
            networks = found["NetworkSettings"]["Networks"].values()
            address = next((str(one["IPAddress"]) for one in networks if one["IPAddress"]), "")
            container = self.state.instances.container_of(row)
            self.runtime.adopt(container, found["Id"], address if running else "")
            leaving = row.state == "removing"
            store.put(row, state="running" if running else "stopped", primaryIpAddress=address, _then="")
            if leaving:
                self.state.instances.remove(row)


def remove_containers(engines: EngineClients, network: str) -> int:
    """Removes what a lab has left on its network; gives how many containers there were."""
    found = [str(one["Id"]) for one in _containers(engines, network).values()]
    _remove(engines, found)
    return len(found)


def _containers(engines: EngineClients, network: str) -> dict[str, dict[str, Any]]:
    """The containers of the lab of a network, by Rancher's uuid; those that share another's network are its, too."""
    with engine_errors(engines.address, "list the lab's containers"):
        found = engines.client.containers(all=True, filters={"label": [f"{LABEL}lab=rancher-container"]})
    return {
        one["Labels"].get("io.rancher.container.uuid", ""): one
        for one in found
        if one["Labels"].get(f"{LABEL}lab-network") == network
    }


def _remove(engines: EngineClients, containers: Sequence[str]) -> None:
    for one in containers:
        with suppress(Failed), engine_errors(engines.address, "remove a container of the lab"):
            engines.client.remove_container(one, v=True, force=True)
