"""Names → drivers, and the Session that a chain of verbs works with. Drivers open when they are first asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pipeline.edge.clock import SystemClock
from pipeline.edge.console import Console
from pipeline.edge.files import read_file
from pipeline.edge.git import Worktree, read_worktree
from pipeline.edge.repository import Folder, find_folders, find_root, read_settings_files
from pipeline.errors import BadInput, Refused
from pipeline.model.address import EngineAddress, GatewayAddress
from pipeline.model.ci import branch_of, secrets_in
from pipeline.model.clock import Clock
from pipeline.model.manifest import Manifest, check_together, parse_manifest
from pipeline.model.release import Release, make_release
from pipeline.model.settings_file import merge_files
from pipeline.settings import Settings, choose_environment, in_ci, make_settings
from pipeline.wiring_build import BuildDrivers
from pipeline.wiring_gateway import open_front, open_kong
from pipeline.wiring_platform import PlatformDrivers

if TYPE_CHECKING:
    from docker import APIClient

    from pipeline.builders.base import Builder, ImageStore, RegistryTags
    from pipeline.gateways.base import Custody, Front, Gateway, GatewayByUri, Restorer
    from pipeline.gateways.kong.any_kong import AnyKong
    from pipeline.hosts.base import Host
    from pipeline.lab.gateway_container import LabGateway
    from pipeline.lab.rancher_container import LabRancher
    from pipeline.ledgers.base import Leases, Records
    from pipeline.platforms.base import Platform, Upkeep
    from pipeline.wiring_bootstrap import BootstrapDrivers


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One selected service: its manifest, where it lies and the release that its checkout stands for."""

    manifest: Manifest
    folder: Path
    release: Release


@dataclass(kw_only=True)
class Choice:
    """What a chain's verbs share: the first to name services or an environment names them for those after it."""

    services: tuple[str, ...] = ()
    environment: str | None = None


@dataclass(kw_only=True)
class Session:
    """The drivers and values of one chain (`invoke build deploy register`), opened lazily and shared."""

    start: Path
    variables: Mapping[str, str]
    console: Console = field(default_factory=Console)
    choice: Choice = field(default_factory=Choice)
    deployed: dict[str, str] = field(default_factory=dict)
    clock: SystemClock = field(default_factory=SystemClock)
    engines: dict[EngineAddress, APIClient] = field(default_factory=dict)
    _kept: ClassVar[tuple[str, ...]] = ("root", "worktree")

    def choose(self, services: tuple[str, ...], environment: str | None) -> None:
        """Takes a verb's flags; what it leaves out stays as an earlier verb of the chain said."""
        self.choice.services = services or self.choice.services
        if services or (environment is not None and environment != self.choice.environment):
            self.choice.environment = environment if environment is not None else self.choice.environment
            for name in [name for name in vars(self) if name not in self._kept]:
                if isinstance(getattr(type(self), name, None), cached_property):
                    del self.__dict__[name]

    @cached_property
    def root(self) -> Path:
        return find_root(self.start)

    @cached_property
    def settings(self) -> Settings:
        file = merge_files(read_settings_files(self.root))
        branch = branch_of(self.variables)
        environment = choose_environment(file, flag=self.choice.environment, branch=branch, in_ci=in_ci(self.variables))
        settings = make_settings(file, root=str(self.root), environment=environment, variables=self.variables)
        secrets = [settings.registry.password, settings.pulling.password, settings.gateway.token]
        self.console.mask(secrets + ([settings.rancher.secret_key] if settings.rancher else []))
        self.console.mask(secrets_in(self.variables) if settings.in_ci else ())
        return settings

    @cached_property
    def manifests(self) -> tuple[tuple[Manifest, Folder], ...]:
        """Those of every service of the repository, selected or not."""
        folders = find_folders(self.root, self.settings.services, self.variables)
        manifests = tuple(_manifest(folder) for folder in folders)
        check_together(manifests)
        return tuple(zip(manifests, folders, strict=True))

    @cached_property
    def works(self) -> tuple[Work, ...]:
        """The selected services, in the order of their names. Raises BadInput for one that is not there."""
        chosen = self.choice.services
        known = {manifest.name for manifest, _ in self.manifests}
        for name in chosen:
            if name not in known:
                raise BadInput(
                    f"there is no service {name!r} in {self.root}", hint=f"Known: {', '.join(sorted(known)) or 'none'}."
                )
        works = [
            Work(manifest=manifest, folder=folder.path, release=self._release(manifest, folder))
            for manifest, folder in self.manifests
            if not chosen or manifest.name in chosen
        ]
        return tuple(sorted(works, key=lambda work: work.release.service))

    def require_environment(self) -> str:
        """The environment, for verbs that need one. Raises BadInput for a branch that is only built."""
        if not self.settings.environment:
            raise BadInput(
                f"the branch {self.variables.get('CI_COMMIT_REF_NAME', '')!r} is mapped to no environment",
                hint="Name one with -e, or map the branch under pipeline.branches in invoke.yaml.",
            )
        return self.settings.environment

    @cached_property
    def builder(self) -> Builder:
        return self._build.builder

    @cached_property
    def images(self) -> ImageStore:
        return self._build.images

    @cached_property
    def registry_tags(self) -> RegistryTags:
        return self._build.registry_tags

    def open_build_engine(self) -> None:
        """Raises what stands in the way, Unreachable above all."""
        self._engine(self.settings.build_engine)

    def end_building(self) -> None:
        """Lets the connections go that a build's threads opened."""
        self._build.end_building()

    @cached_property
    def _build(self) -> BuildDrivers:
        return BuildDrivers(self.settings, self._engine, self.clock, self.variables)

    def deployed_images(self, service: str) -> tuple[str, ...]:
        """The digests that the service's stacks run in this environment; none where a branch is only built."""
        if not self.settings.environment:
            return ()
        return tuple(
            container.image
            for stack in self.platform.stacks()
            if stack.service == service
            for container in stack.containers
        )

    @cached_property
    def platform(self) -> Platform:
        return self._platform.platform

    @property
    def steady(self) -> float:
        """Seconds for which a stack has to stay healthy before it counts as that."""
        return self._platform.steady

    @cached_property
    def upkeep(self) -> Upkeep:
        return self._platform.upkeep

    def end_upkeep(self) -> None:
        """Lets the connections go that stopping and removing opened."""
        self._platform.end_upkeep()

    @cached_property
    def records(self) -> Records:
        return self._platform.records

    def records_of(self, environment: str) -> Records:
        """Another environment's, on the same platform."""
        return self._platform.records_of(environment)

    @cached_property
    def leases(self) -> Leases:
        return self._platform.leases

    @cached_property
    def _platform(self) -> PlatformDrivers:
        self.require_environment()
        return PlatformDrivers(self.settings, self._engine, self.clock)

    @cached_property
    def bootstrap(self) -> BootstrapDrivers:
        """What writing an environment down, and rehearsing it, needs beyond the other drivers."""
        from pipeline.wiring_bootstrap import BootstrapDrivers

        self.require_environment()
        return BootstrapDrivers(self.settings, self._engine, lambda: self._platform.rancher, self.clock)

    @cached_property
    def gateway(self) -> Gateway:
        return self._kong

    @cached_property
    def custody(self) -> Custody:
        return self._kong.custody

    @cached_property
    def restorer(self) -> Restorer:
        return self._kong.restorer

    @cached_property
    def _kong(self) -> AnyKong:
        self.require_environment()
        return open_kong(self.settings, self.clock)

    @cached_property
    def front(self) -> Front | None:
        return open_front(self.settings, self.clock)

    @cached_property
    def lab(self) -> LabGateway:
        return self._platform.lab

    @property
    def lab_rancher(self) -> LabRancher:
        return self._platform.lab_rancher

    def _engine(self, address: EngineAddress) -> APIClient:
        """One client per engine: the one that builds is often the one that runs stacks."""
        from pipeline.edge.engine import open_engine

        if address not in self.engines:
            self.engines[address] = open_engine(address)
        return self.engines[address]

    def _release(self, manifest: Manifest, folder: Folder) -> Release:
        place = str(folder.path.relative_to(self.root))
        checkout = self.worktree.of(place)
        if checkout.dirty and self.settings.in_ci:
            changed = self.worktree.changed_in(place)
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            raise Refused(
                f"{manifest.name} has uncommitted changes in CI: {', '.join(changed[:3])}{more}",
                hint="An earlier step or an artifact wrote there: name another place, or ignore it in git.",
            )
        return make_release(manifest, checkout, self.settings.environment)

    @cached_property
    def worktree(self) -> Worktree:
        return read_worktree(self.root, self.variables)


def open_gateway(address: GatewayAddress, clock: Clock) -> GatewayByUri:
    """A gateway of no environment, by its address alone."""
    from pipeline.gateways.kong.any_kong import AnyKong

    return AnyKong(address, clock=clock, environment="")


def open_hosts(
    names: Sequence[str], *, environment: str, source: Path, pins: Mapping[str, tuple[str, ...]]
) -> tuple[Host, ...]:
    """Machines by the names that ssh has for them, for the generated folder `source`. Connected to when first used."""
    from pipeline.edge.ssh import Access
    from pipeline.hosts.ssh import SshHost

    return tuple(SshHost(Access(name=name, pins=pins), environment=environment, source=source) for name in names)


_session: Session | None = None


def open_session(services: tuple[str, ...] = (), environment: str | None = None) -> Session:
    """The process's Session, made by the first verb of a chain; each later one adds its flags."""
    global _session  # Invoke hands nothing from task to task: this is the one value that a chain shares
    if _session is None:
        _session = Session(start=Path.cwd(), variables=dict(os.environ))
    _session.choose(services, environment)
    return _session


def _manifest(folder: Folder) -> Manifest:
    text = read_file(folder.manifest, hint='It needs at least { "uri": "/ws/name" }.')
    return parse_manifest(text, file=folder.shown, default_name=folder.name)
