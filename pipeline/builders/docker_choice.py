"""Which builder makes an image, and why that one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.builders.docker_draft import Draft
from pipeline.errors import BadInput
from pipeline.model.address import EngineAddress
from pipeline.model.image import Recipe

if TYPE_CHECKING:
    from pipeline.edge.docker_command import DockerCommand

CLASSIC = "the engine's classic builder"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderSettings:
    """How images are built: `builder` auto takes BuildKit for what only that can, `cache_to` exports the cache with
    each image, `attest` are attestations that are wanted beside it; `environ` is the docker command's environment."""

    builder: Literal["auto", "classic", "buildkit"] = "auto"
    cache_to: Literal["", "inline", "registry"] = ""
    attest: tuple[Literal["provenance", "sbom"], ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A builder: BuildKit by `command`, or the classic one. `why` is for the log."""

    command: DockerCommand | None
    why: str

    def __str__(self) -> str:
        return f"BuildKit, by {self.command}" if self.command else CLASSIC


def choose_builder(recipe: Recipe, draft: Draft, settings: BuilderSettings, engine: EngineAddress) -> Chosen:
    """Raises BadInput for what the builder that can be had cannot do: it is never done in another way."""
    needs = tuple(_needs(recipe, draft, settings))
    if settings.builder == "classic":
        if needs:
            raise BadInput(
                f"{recipe.key}: {needs[0]} is BuildKit's, and invoke.yaml says builder: classic",
                hint="Set builder: auto, or take it out.",
            )
        return Chosen(command=None, why="builder: classic")
    if settings.builder == "auto" and not needs:
        return Chosen(command=None, why="nothing asks for BuildKit")
    from pipeline.edge.docker_command import NoBuildKit, find_buildkit

    found = find_buildkit(engine, settings.environ)
    why = needs[0] if needs else "builder: buildkit"
    if isinstance(found, NoBuildKit):
        raise BadInput(
            f"{recipe.key}: {why} needs BuildKit, and no docker command here can: {found}",
            hint="Install docker's buildx plugin (or a docker command before 23), or take it out.",
        )
    return Chosen(command=found, why=why)


def _needs(recipe: Recipe, draft: Draft, settings: BuilderSettings) -> Iterator[str]:
    if recipe.secrets:
        yield f"secrets: {', '.join(recipe.secrets)}"
    if recipe.ssh:
        yield f"ssh: {', '.join(recipe.ssh)}"
    if recipe.platforms:
        yield f"platforms: {', '.join(recipe.platforms)}"
    if settings.cache_to:
        yield f"build_cache: {settings.cache_to}"
    from pipeline.model.dockerfile_buildkit import buildkit_features

    yield from map(str, buildkit_features(draft.dockerfile, recipe.target))
