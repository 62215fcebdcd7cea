"""The way from an engine to registries: which login, over TLS or not, for which platform."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.edge.engine import engine_errors
from pipeline.errors import BadInput
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.clock import Clock
from pipeline.model.image import Reference, is_docker_io

if TYPE_CHECKING:
    from docker import APIClient

    from pipeline.edge.docker_config import Logins
    from pipeline.edge.registry import RegistryClient
    from pipeline.edge.registry_transport import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class _Engine:
    """What an engine says of itself: docker.io's key in the docker command's configuration, what it takes its own
    containers for, and the registries that it speaks to without TLS."""

    index: str
    platform: str
    insecure: frozenset[str]


class RegistryAccess:
    """Logins are found as `Logins` says; an engine is asked about itself once, by whoever is first."""

    def __init__(
        self,
        *,
        client: APIClient,
        address: EngineAddress,
        login: RegistryAddress,
        clock: Clock,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.client = client
        self.address = address
        self.clock = clock
        self._environ = environ
        self._own = login
        self._asked: _Engine | None = None
        self._lock = threading.Lock()

    @cached_property
    def logins(self) -> Logins:
        from pipeline.edge.docker_config import Logins

        return Logins([self._own], self._environ, index=lambda: self._engine().index)

    def credentials(self, registry: str) -> dict[str, str]:
        """For a request to the engine. Empty, which means nobody, and not None: with that, docker-py would look for
        itself, and fail in words of its own. Raises BadInput as Logins.of does."""
        return self.logins.of(registry).for_engine()

    def open(self, registry: str, *, patience: Patience | None = None) -> RegistryClient:
        """A client for one thread. Raises BadInput for docker.io, which only the engine speaks to: the host behind
        that name is the engine's knowledge."""
        from pipeline.edge.registry import RegistryClient
        from pipeline.edge.registry_transport import is_loopback

        if is_docker_io(registry):
            raise BadInput(
                f"{registry or 'docker.io'} is not asked directly",
                hint="Name a registry of your own: CI_REGISTRY_IMAGE, or registry in invoke.yaml.",
            )
        insecure = is_loopback(registry) or registry in self._engine().insecure
        return RegistryClient(
            registry, self.logins.of(registry), insecure=insecure, clock=self.clock, patience=patience
        )

    @property
    def platform(self) -> str:
        """`os/architecture` of the engine, as an index has it."""
        return self._engine().platform

    def docker_config(self, environ: Mapping[str, str]) -> AbstractContextManager[dict[str, str]]:
        """The environment for a docker command that logs in where this does: see docker_config_for."""
        from pipeline.edge.docker_config import docker_config_for

        return docker_config_for([self._own], environ, index=self._engine().index)

    def inspect(self, name: str, client: APIClient | None = None) -> Mapping[str, Any] | None:
        """The image of that name on the engine, or None."""
        from docker.errors import ImageNotFound

        with engine_errors(self.address, f"look for the image {name}"):
            try:
                found: Mapping[str, Any] = (client or self.client).inspect_image(name)  # type: ignore[no-untyped-call]  # stubs
            except ImageNotFound:
                return None
        return found

    def _engine(self) -> _Engine:
        with self._lock:
            if self._asked is None:
                with engine_errors(self.address, "tell about itself"):
                    told, version = self.client.info(), self.client.version()
                configured = told["RegistryConfig"]["IndexConfigs"] or {}
                self._asked = _Engine(
                    index=told["IndexServerAddress"],
                    platform=f"{version['Os']}/{version['Arch']}",
                    insecure=frozenset(name for name, one in configured.items() if not one["Secure"]),
                )
            return self._asked


class Silences:
    """The registries that did not answer, so that no one is waited for twice. For several threads."""

    def __init__(self) -> None:
        self._hosts: set[str] = set()

    def add(self, registry: str) -> None:
        self._hosts.add(registry)

    def __contains__(self, registry: str) -> bool:
        return registry in self._hosts


PROCESS_SILENCES = Silences()


def left_to_the_engine(reference: Reference) -> bool:
    """docker.io: see RegistryAccess.open."""
    return is_docker_io(reference.registry)
