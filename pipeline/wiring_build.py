"""What makes and keeps images: settings → the builder, the images of its engine, the tags of its registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.model.address import EngineAddress
from pipeline.model.clock import Clock
from pipeline.settings import Settings

if TYPE_CHECKING:
    from docker import APIClient

    from pipeline.builders.base import Builder, RegistryTags
    from pipeline.builders.docker_images import DockerImages
    from pipeline.edge.engine import EngineClients


class BuildDrivers:
    """The drivers of the engine that builds, each opened when it is first asked for."""

    def __init__(
        self,
        settings: Settings,
        engine: Callable[[EngineAddress], APIClient],
        clock: Clock,
        variables: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._open = engine
        self._clock = clock
        self._variables = variables

    @cached_property
    def builder(self) -> Builder:
        from pipeline.builders.docker import DockerBuilder
        from pipeline.builders.docker_choice import BuilderSettings
        from pipeline.edge.context_digests import ContextDigests

        settings = self._settings
        return DockerBuilder(
            self._engine,
            self.images,
            digests=ContextDigests(_cache_folder(self._variables)),
            settings=BuilderSettings(
                builder=settings.builder,
                cache_to=settings.build_cache,
                attest=settings.build_attestations,
                environ=self._variables,
            ),
            context_limit=settings.context_limit,
        )

    @cached_property
    def images(self) -> DockerImages:
        from pipeline.builders.docker_images import DockerImages

        return DockerImages(self._engine, self._settings.registry, clock=self._clock)

    @cached_property
    def registry_tags(self) -> RegistryTags:
        from pipeline.builders.docker_tags import DockerTags

        return DockerTags(self.images.registries.access)

    def end_building(self) -> None:
        """Lets the connections go that a build's threads opened."""
        self._engine.close()

    @cached_property
    def _engine(self) -> EngineClients:
        from pipeline.edge.engine import EngineClients

        address = self._settings.build_engine
        return EngineClients(self._open(address), address)


def _cache_folder(variables: Mapping[str, str]) -> str | None:
    """What can be made anew is kept where the desktop's standard has it (XDG base directories)."""
    own = variables.get("XDG_CACHE_HOME") or (variables.get("HOME") and f"{variables['HOME']}/.cache")
    return f"{own}/invoke-pipeline" if own else None
