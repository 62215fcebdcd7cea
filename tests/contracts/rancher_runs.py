"""Whole deployments on a lab Rancher in memory, in its own time, as the verb makes them; and what there is afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from pipeline.edge.answers import Answer
from pipeline.edge.rancher_client import RancherClient
from pipeline.edge.rancher_project import open_rancher
from pipeline.flows import deploy as flow
from pipeline.flows.lease import holding
from pipeline.lab.rancher.running import Lab
from pipeline.ledgers.rancher import RancherLeases, RancherRecords
from pipeline.model.clock import Clock
from pipeline.model.record import Record
from pipeline.model.stack import RancherHealth, RancherPart, Stack
from pipeline.platforms.rancher import RancherPlatform
from tests.contracts.platform_scenes import NOWHERE, fitted, service, stack
from tests.contracts.rancher_scene import address_of

LEASE = "stage.cities"


class Killed(BaseException):
    """As by kill -9: nothing that the run does afterwards reaches anybody."""


class Mortal(RancherClient):
    """Dies with its request of the given number, before it is sent or right after the server has done it."""

    last = -1
    done = False
    made = 0

    def _ask(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Answer:
        self.made += 1
        if self.last < 0 or self.made < self.last:
            return super()._ask(method, path, query=query, body=body)
        if self.made == self.last and self.done:
            super()._ask(method, path, query=query, body=body)
        raise Killed(f"{method} {path}")


def release(version: str, *, scale: int = 1, name: str = "cities-master", **environment: str) -> Stack:
    """In place: one stack for all releases. `logs` is a sidekick of the proxy."""
    probe = RancherPart(health=RancherHealth(port=80), interval_millis=100)
    services = (
        service("app", environment={"version": version} | environment, rancher=probe),
        service("proxy", scale=scale, environment={"version": version}, rancher=RancherPart(interval_millis=100)),
        service("logs", scale=scale, rancher=RancherPart(sidekick_of="proxy")),
    )
    return versioned(stack(*services, name=name), version)


def versioned(wanted: Stack, version: str) -> Stack:
    """With an image, a version and a sameness of its own."""
    return fitted(replace(wanted, version=version, sameness=f"of {version}"), "stage", f"cities:{version}")


def run(
    lab: Lab,
    wanted: Stack,
    *,
    last: int = -1,
    done: bool = False,
    timeout: float = 60.0,
    tell: Callable[[str], None] = lambda _: None,
    clock: Clock | None = None,
) -> int:
    """A whole deployment as the verb does it, in the lab's time; how many requests it made."""
    time = clock or lab
    client = Mortal(address_of(lab), clock=time)
    client.project = "1a5"
    client.last, client.done = last, done
    platform = RancherPlatform(client, "stage", NOWHERE, clock=time)
    leases, records = RancherLeases(client, "stage", time), RancherRecords(client, "stage", time)
    try:
        with holding(leases, LEASE, holder="a test", clock=time, tell=tell, wait=90.0) as held:
            decided = flow.plan(wanted, platform.stacks(), force=False)
            if decided.changes:
                attempt = flow.Attempt(stack=wanted, decided=decided, secrets={}, timeout=timeout, steady=5.0)
                flow.deploy(attempt, platform, clock=time, tell=tell, go_on=held.check)
                records.append(Record(verb="deploy", service="cities", environment="stage", stack=wanted.name))
        return client.made
    finally:
        platform.close()
        client.close()


@dataclass(frozen=True)
class End:
    """What there is: services with state, scale and digest, containers with state and image, nothing half done."""

    services: tuple[tuple[str, str, int, str], ...]
    containers: tuple[tuple[str, str, str], ...]
    leases: int


def end_of(lab: Lab) -> End:
    lab.advance(5)
    client = open_rancher(address_of(lab), clock=lab)
    try:
        rows = client.every("services", Any_, kind="service")
        containers = client.every("containers", Any_)
        return End(
            services=tuple(sorted((row.name, row.state, row.scale or 0, row.digest) for row in rows)),
            containers=tuple(sorted((row.name, row.state, row.image_uuid or "") for row in containers)),
            leases=len(RancherLeases(client, "stage", lab).all()),
        )
    finally:
        client.close()


class Any_(msgspec.Struct, rename="camel"):
    name: str
    state: str
    scale: int | None = None
    image_uuid: str | None = None
    launch_config: dict[str, Any] | None = None

    @property
    def digest(self) -> str:
        return str((self.launch_config or {}).get("labels", {}).get("pipeline.definition", ""))
