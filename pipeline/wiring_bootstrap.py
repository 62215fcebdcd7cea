"""Settings → the drivers that write an environment down and build a throw-away one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.errors import Unreachable
from pipeline.model.address import (
    LOOPBACK,
    EngineAddress,
    GatewayAddress,
    RancherAddress,
    RegistryAddress,
    published_at,
)
from pipeline.model.clock import Clock
from pipeline.model.image import is_docker_io, parse_reference
from pipeline.settings import Settings

if TYPE_CHECKING:
    from docker import APIClient

    from pipeline.builders.docker_registries import RegistryAccess
    from pipeline.edge.rancher_client import RancherClient
    from pipeline.edge.registry import RegistryClient
    from pipeline.gateways.base import Gateway
    from pipeline.lab.gateway_container import LabGateway
    from pipeline.lab.rancher_container import LabRancher
    from pipeline.platforms.base import Exporter, Platform, Stage


class BootstrapDrivers:
    """Opened when they are first asked for."""

    def __init__(
        self,
        settings: Settings,
        engine: Callable[[EngineAddress], APIClient],
        rancher: Callable[[], RancherClient],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._rancher = rancher
        self._clock = clock
        self._ranchers: dict[str, RancherClient] = {}

    @cached_property
    def exporter(self) -> Exporter:
        """Of the environment itself."""
        if self._settings.rancher:
            from pipeline.platforms.rancher_export import RancherExporter

            return RancherExporter(self._rancher(), self._settings.environment)
        return self._exporter(self._settings.platform_engine, self._settings.environment)

    def rehearsed(self, environment: str) -> Exporter:
        """Of a rehearsal: like all of it on the engine that builds here, which the scripts find as well."""
        return self._exporter(self._settings.build_engine, environment)

    def rehearsing(self, environment: str) -> Platform:
        from pipeline.platforms.docker import DockerPlatform

        address = self._settings.build_engine
        return DockerPlatform(self._engine(address), address, environment, self._settings.pulling)

    def rehearsed_at(self, rancher: RancherAddress, environment: str) -> Exporter:
        """As `rehearsed`, where it takes place on a lab Rancher."""
        from pipeline.platforms.rancher_export import RancherExporter

        return RancherExporter(self._opened(rancher), environment)

    def rehearsing_at(self, rancher: RancherAddress, environment: str) -> Platform:
        from pipeline.platforms.rancher import RancherPlatform

        return RancherPlatform(self._opened(rancher), environment, RegistryAddress(), clock=self._clock)

    def lab_rancher(self, rancher: RancherAddress, environment: str) -> LabRancher:
        """A rehearsal's Rancher as a container, which lets in nobody else."""
        from pipeline.lab.rancher_container import LabKey, LabRancher

        address = self._settings.build_engine
        key = LabKey(access=rancher.access_key, secret=rancher.secret_key)
        return LabRancher(self._engine(address), address, environment, url=rancher.url, key=key)

    def _opened(self, rancher: RancherAddress) -> RancherClient:
        from pipeline.edge.rancher_project import open_rancher

        if rancher.url not in self._ranchers:
            self._ranchers[rancher.url] = open_rancher(rancher, clock=self._clock)
        return self._ranchers[rancher.url]

    def stage(self, environment: str) -> Stage:
        from pipeline.platforms.docker_stage import DockerStage

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
        lost = []
        for host, digests in wanted.items():
            if is_docker_io(host):
                continue
            with self._registry(host) as registry:
                for one in digests:
                    path, _, digest = one.partition("@")
                    if not registry.digest(path, digest):
                        lost.append(f"{host}/{one}")
        return tuple(lost)

    def digests(self, references: Sequence[str]) -> Mapping[str, str]:
        """What registries tell of images that are called by a tag; those of docker.io are not asked for."""
        found = {}
        for text in references:
            reference = parse_reference(text)
            if is_docker_io(reference.registry):
                continue
            with self._registry(reference.registry) as registry:
                digest = registry.digest(reference.path, reference.tag)
            if digest:
                found[text] = f"{reference.registry}/{reference.path}@{digest}"
        return found

    def _registry(self, host: str) -> RegistryClient:
        """As the engine reaches it. A job that writes a Rancher's environment down need not have one: without it every
        registry but one of this machine is behind TLS."""
        from pipeline.edge.docker_config import Logins
        from pipeline.edge.registry import RegistryClient
        from pipeline.edge.registry_transport import is_loopback

        try:
            return self._access.open(host)
        except Unreachable:
            if not self._settings.rancher:
                raise
        login = Logins([self._settings.pulling]).of(host)
        return RegistryClient(host, login, insecure=is_loopback(host), clock=self._clock)

    @cached_property
    def _access(self) -> RegistryAccess:
        from pipeline.builders.docker_registries import RegistryAccess

        address = self._settings.build_engine if self._settings.rancher else self._settings.platform_engine
        return RegistryAccess(
            client=self._engine(address), address=address, login=self._settings.pulling, clock=self._clock
        )
