"""What runs an environment's stacks and keeps its ledgers: settings → the drivers of its platform."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.errors import BadInput
from pipeline.model.address import EngineAddress
from pipeline.model.clock import Clock
from pipeline.settings import LOCAL, Settings

if TYPE_CHECKING:
    from docker import APIClient

    from pipeline.edge.engine import EngineClients
    from pipeline.edge.rancher_client import RancherClient
    from pipeline.lab.gateway_container import LabGateway
    from pipeline.lab.rancher_container import LabRancher
    from pipeline.ledgers.base import Leases, Records
    from pipeline.platforms.base import Platform, Upkeep

_STEADY_SECONDS = 5.0


class PlatformDrivers:
    """The drivers of one environment's platform, each opened when it is first asked for."""

    def __init__(self, settings: Settings, engine: Callable[[EngineAddress], APIClient], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._engine = engine

    @property
    def steady(self) -> float:
        """Seconds for which a stack that is healthy has to stay so: a Rancher calls a service active that flaps."""
        return _STEADY_SECONDS if self._settings.rancher else 0.0

    @cached_property
    def platform(self) -> Platform:
        if self._settings.rancher:
            from pipeline.platforms.rancher import RancherPlatform

            settings = self._settings
            return RancherPlatform(self.rancher, settings.environment, settings.pulling, clock=self._clock)
        from pipeline.platforms.docker import DockerPlatform

        settings = self._settings
        return DockerPlatform(self._client, settings.platform_engine, settings.environment, settings.pulling)

    @cached_property
    def upkeep(self) -> Upkeep:
        """With a client for each thread: stacks are stopped and removed several at a time."""
        if self._settings.rancher:
            from pipeline.platforms.rancher_upkeep import RancherUpkeep

            return RancherUpkeep(self.rancher, clock=self._clock)
        from pipeline.platforms.docker_upkeep import DockerUpkeep

        return DockerUpkeep(self._clients, self._settings.environment)

    @cached_property
    def records(self) -> Records:
        return self.records_of(self._settings.environment)

    def records_of(self, environment: str) -> Records:
        """Those of another environment on the same platform, to be read."""
        if self._settings.rancher:
            from pipeline.ledgers.rancher import RancherRecords

            return RancherRecords(self.rancher, environment, self._clock)
        from pipeline.ledgers.docker import DockerRecords

        return DockerRecords(self._client, self._settings.platform_engine, environment)

    def end_upkeep(self) -> None:
        """Lets the connections go that its threads opened."""
        if not self._settings.rancher:
            self._clients.close()

    @cached_property
    def leases(self) -> Leases:
        """With a client of its own: a lease is renewed in the background, and one connection serves one thread."""
        if self._settings.rancher:
            from pipeline.ledgers.rancher import RancherLeases

            return RancherLeases(self.rancher, self._settings.environment, self._clock)
        from pipeline.edge.engine import open_engine
        from pipeline.ledgers.docker import DockerLeases

        address = self._settings.platform_engine
        return DockerLeases(open_engine(address), address, self._settings.environment)

    @cached_property
    def lab(self) -> LabGateway:
        from pipeline.lab.gateway_container import LabGateway

        settings = self._settings
        return LabGateway(
            self._client,
            settings.platform_engine,
            settings.environment,
            admin=settings.gateway.admin,
            proxy=settings.gateway.proxy,
            kong_version=settings.lab_version,
        )

    @cached_property
    def lab_rancher(self) -> LabRancher:
        from pipeline.lab.rancher_container import LabRancher

        settings = self._settings
        url = settings.rancher.url if settings.rancher is not None else ""
        return LabRancher(self._client, settings.platform_engine, settings.environment, url=url)

    @cached_property
    def rancher(self) -> RancherClient:
        """One for all of them: it has as many connections as threads ask at a time."""
        from pipeline.edge.rancher_project import open_rancher

        address = self._settings.rancher
        if address is None:
            raise BadInput("the environment's platform is no Rancher", hint="Set platform.driver: rancher.")
        return open_rancher(address, clock=self._clock)

    @cached_property
    def _clients(self) -> EngineClients:
        from pipeline.edge.engine import EngineClients

        return EngineClients(None, self._address)

    @cached_property
    def _client(self) -> APIClient:
        return self._engine(self._address)

    @cached_property
    def _address(self) -> EngineAddress:
        settings = self._settings
        if settings.in_ci and settings.environment != LOCAL and not settings.platform_engine.host:
            # The job's own engine is where images are built; it ends with the job, and its stacks with it.
            raise BadInput(
                f"the environment {settings.environment!r} has no platform",
                hint="Set PLATFORM_DOCKER_HOST, or platform.host of the environment in invoke.yaml.",
            )
        return settings.platform_engine
