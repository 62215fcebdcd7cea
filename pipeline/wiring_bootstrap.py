"""Settings → the drivers that write an environment down and build a throw-away one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.errors import BadInput
from pipeline.model.address import LOOPBACK, EngineAddress, GatewayAddress, published_at
from pipeline.model.clock import Clock
from pipeline.model.image import is_docker_io
from pipeline.settings import Settings

if TYPE_CHECKING:
    from docker import APIClient

    from pipeline.gateways.base import Gateway
    from pipeline.lab.gateway_container import LabGateway
    from pipeline.platforms.base import Exporter, Platform, Stage


class BootstrapDrivers:
    """Opened when they are first asked for."""

    def __init__(self, settings: Settings, engine: Callable[[EngineAddress], APIClient], clock: Clock) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock

    @cached_property
    def exporter(self) -> Exporter:
        """Of the environment itself."""
        self._require_engine()
        return self._exporter(self._settings.platform_engine, self._settings.environment)

    def rehearsed(self, environment: str) -> Exporter:
        """Of a rehearsal: like all of it on the engine that builds here, which the scripts find as well."""
        return self._exporter(self._settings.build_engine, environment)

    def rehearsing(self, environment: str) -> Platform:
        from pipeline.platforms.docker import DockerPlatform

        address = self._settings.build_engine
        return DockerPlatform(self._engine(address), address, environment, self._settings.pulling)

    def stage(self, environment: str) -> Stage:
        from pipeline.platforms.docker_stage import DockerStage

        self._require_engine()
        address = self._settings.build_engine
        return DockerStage(self._engine(address), address, environment)

    def lab(self, environment: str, *, admin: str, proxy: str, kong_version: str) -> LabGateway:
        """A rehearsal's gateway as a container."""
        from pipeline.lab.gateway_container import LabGateway

        address = self._settings.build_engine
        engine, elsewhere = self._engine(address), self.host != LOOPBACK
        urls = {"admin": admin, "proxy": proxy}
        return LabGateway(engine, address, environment, **urls, kong_version=kong_version, everywhere=elsewhere)

    @property
    def host(self) -> str:
        """Where ports that the rehearsal's engine publishes are reached from here."""
        return published_at(self._settings.build_engine)

    def image(self, reference: str) -> str:
        """The id of an image on the rehearsal's engine, pulled where it is missing."""
        from pipeline.platforms.docker_image import ensure_image

        address = self._settings.build_engine
        return ensure_image(self._engine(address), address, self._settings.pulling, reference)

    def _exporter(self, address: EngineAddress, environment: str) -> Exporter:
        from pipeline.platforms.docker_export import DockerExporter

        return DockerExporter(self._engine(address), address, environment)

    def gateway(self, environment: str, admin: str) -> Gateway:
        """A rehearsal's gateway."""
        from pipeline.gateways.kong.any_kong import AnyKong

        return AnyKong(GatewayAddress(admin=admin), clock=self._clock, environment=environment)

    def lost(self, wanted: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Of digests by registry, those that it does not have. docker.io is the engine's affair: it is not asked."""
        from pipeline.builders.docker_registries import RegistryAccess

        address = self._settings.platform_engine
        access = RegistryAccess(
            client=self._engine(address), address=address, login=self._settings.pulling, clock=self._clock
        )
        lost = []
        for host, digests in wanted.items():
            if is_docker_io(host):
                continue
            with access.open(host) as registry:
                for one in digests:
                    path, _, digest = one.partition("@")
                    if not registry.digest(path, digest):
                        lost.append(f"{host}/{one}")
        return tuple(lost)

    def _require_engine(self) -> None:
        if self._settings.driver != "docker":
            raise BadInput(
                f"an environment on {self._settings.driver} is not written down yet",
                hint="invoke bootstrap knows environments on a Docker engine (docs/bootstrap.md).",
            )
