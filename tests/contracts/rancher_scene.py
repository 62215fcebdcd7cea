"""A lab Rancher with containers in memory, as the contracts need it: real time, and one project per environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import pytest

from pipeline.edge.clock import SystemClock
from pipeline.edge.rancher_client import RancherClient
from pipeline.edge.rancher_project import open_rancher
from pipeline.lab.rancher.lab_state import Key
from pipeline.lab.rancher.running import ENVIRONMENT_KEY, Lab, running_rancher
from pipeline.lab.rancher.scheduler import Timings
from pipeline.model.address import RancherAddress
from pipeline.model.clock import Clock
from pipeline.model.rancher import ServiceWhole
from pipeline.model.secret import Secret
from pipeline.model.stack import RancherHealth, RancherPart, Stack
from pipeline.platforms.rancher import RancherPlatform
from tests.contracts.platform_scenes import NOWHERE, fitted

FAST = Timings(step=0.02, tick=0.02, start=0.3, health=0.1, stop=0.05, retry=0.1, retry_limit=0.5)
OTHER_KEY = Key(access="E0000000000000000002", secret="environment-secret-0000000000000000000002")
_LACKS = ("exit codes", "refusals at the start", "ports of its choice", "volumes", "logs", "images")


def address_of(lab: Lab, key: Key = ENVIRONMENT_KEY, **fields: Any) -> RancherAddress:
    return RancherAddress(url=lab.url, access_key=key.access, secret_key=Secret(key.secret), **fields)


class RancherScene:
    """Containers of which the health check exits with 9 never get well."""

    def __init__(self, lab: Lab, clock: Clock) -> None:
        self.lab = lab
        self.clock = clock
        self.environment = "stage"
        self.open: list[RancherPlatform] = []
        self.clients: list[RancherClient] = []

    def need(self, what: str) -> None:
        if what in _LACKS:
            pytest.skip(f"a Rancher in memory has no {what}")

    def client(self, environment: str = "") -> RancherClient:
        key = OTHER_KEY if environment.endswith("-other") else ENVIRONMENT_KEY
        client = open_rancher(address_of(self.lab, key), clock=self.clock)
        self.clients.append(client)
        return client

    def platform(self, environment: str = "") -> RancherPlatform:
        client = self.client(environment)
        found = RancherPlatform(client, environment or self.environment, NOWHERE, clock=self.clock)
        self.open.append(found)
        return found

    def fitted(self, wanted: Stack) -> Stack:
        """With health that is asked over the network, as Rancher has it."""
        services = []
        for one in wanted.definition.services:
            words = " ".join(one.health.test) if one.health else ""
            if "exit 9" in words:
                self.lab.faults.unhealthy.add(one.name)
            health = RancherHealth(port=80, interval=500) if one.health else None
            part = msgspec.structs.replace(one.rancher or RancherPart(interval_millis=100), health=health)
            services.append(msgspec.structs.replace(one, health=None, rancher=part))
        definition = msgspec.structs.replace(wanted.definition, services=tuple(services))
        from dataclasses import replace

        return fitted(replace(wanted, definition=definition), wanted.environment or self.environment, "image:1")

    def environment_of(self, container: str) -> Mapping[str, str]:
        service = self.clients[0].find("services", container.partition("/")[0], ServiceWhole)
        assert service is not None
        return dict((service.launch_config or {})["environment"])

    def volumes(self) -> set[str]:
        return set()

    def occupy(self, wanted: Stack) -> str:
        self.client().create("stacks", {"name": wanted.name}, ServiceWhole)
        return f"there is a stack {wanted.name}"

    def occupy_port(self) -> int:
        return 0

    def interrupt(self, platform: Any, *, before_start: int) -> None:
        client = Breaking(address_of(self.lab), clock=self.clock)
        client.project, client.left = self.clients[0].project, before_start
        self.clients.append(client)
        platform.__init__(client, self.environment, NOWHERE, clock=self.clock)

    def destroy(self) -> None:
        for platform in self.open:
            platform.close()
        for client in self.clients:
            client.close()


class Breaking(RancherClient):
    """Ends the run, as Ctrl-C would, when so many services and one more were created."""

    left = 0

    def create(self, kind: str, body: Mapping[str, Any], row: type[Any]) -> Any:
        made = super().create(kind, body, row)
        self.left -= kind == "services"
        if self.left < 0:
            raise KeyboardInterrupt
        return made


MadeScene = TypeVar("MadeScene", bound=RancherScene)


@contextmanager
def rancher_scene(made: type[MadeScene] = RancherScene) -> Iterator[MadeScene]:  # type: ignore[assignment]  # its bound
    with running_rancher(timings=FAST, real_time=True) as lab:

        def second_project() -> None:
            project = lab.state.add_project("Other")
            lab.state.add_host(project, "host-of-other")
            lab.state.add_key(OTHER_KEY, project)

        lab.call(second_project)
        scene = made(lab, SystemClock())
        try:
            yield scene
        finally:
            scene.destroy()
