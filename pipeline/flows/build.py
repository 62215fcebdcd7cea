"""build: decides per image whether it is there, is there under another name, or has to be made; then does so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pipeline.builders.base import Builder, Listener
from pipeline.model.artifact import Artifact
from pipeline.model.image import BuiltImage, Recipe
from pipeline.model.release import DIRTY, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for: `force` builds what is unchanged too, `no_cache` builds it without the engine's cache."""

    force: bool = False
    no_cache: bool = False
    push: bool = False


class Action(StrEnum):
    """What becomes of one image."""

    KEEP = "keep"
    RETAG = "retag"
    BUILD = "build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One image: what to do and why. `found` is the image that has the fingerprint; None for one that is built."""

    recipe: Recipe
    action: Action
    reason: str
    found: BuiltImage | None = None

    @property
    def changes(self) -> bool:
        return self.action is not Action.KEEP

    def __str__(self) -> str:
        return f"{self.action} {self.recipe.reference}: {self.reason}"


def plan(release: Release, recipes: tuple[Recipe, ...], builder: Builder, wanted: Wanted) -> tuple[Decision, ...]:
    """One decision per image, in the recipes' order. Changes nothing. Raises BadInput for an unreadable context."""
    return tuple(_decide(release, recipe, builder, wanted) for recipe in recipes)


def build(
    release: Release,
    recipes: tuple[Recipe, ...],
    builder: Builder,
    wanted: Wanted,
    *,
    tell: Callable[[str], None],
    log: Listener,
) -> Artifact:
    """The images of a release, made or found, and pushed when wanted. `tell` gets each reason, `log` the output.

    A second call with nothing changed writes nothing to engine and registry. All decisions are made before the first
    build, so that a missing Dockerfile of the last image does not cost a build of the first.
    """
    images = []
    for decision in plan(release, recipes, builder, wanted):
        tell(str(decision))
        image = _do(decision, builder, wanted, log)
        images.append(builder.push(image, log) if wanted.push else image)
    return Artifact(
        service=release.service,
        branch=release.branch,
        commit=release.commit,
        version=release.version,
        stack=release.stack,
        images=tuple(images),
    )


def _decide(release: Release, recipe: Recipe, builder: Builder, wanted: Wanted) -> Decision:
    fingerprint = builder.fingerprint(recipe)
    if wanted.no_cache or wanted.force:
        return Decision(recipe=recipe, action=Action.BUILD, reason="--no-cache" if wanted.no_cache else "--force")
    found = builder.find(recipe, fingerprint)
    if found is not None and found.built_for.endswith(DIRTY) and not release.dirty:
        return Decision(recipe=recipe, action=Action.BUILD, reason=f"{found.built_for} was not built from a commit")
    if found is None:
        return Decision(recipe=recipe, action=Action.BUILD, reason="no image has its fingerprint")
    action = Action.KEEP if found.reference == recipe.reference else Action.RETAG
    since = f"unchanged since {found.built_for}" if found.built_for != release.stack else "unchanged"
    return Decision(recipe=recipe, action=action, reason=since, found=found)


def _do(decision: Decision, builder: Builder, wanted: Wanted, log: Listener) -> BuiltImage:
    if decision.found is None:
        return builder.build(decision.recipe, no_cache=wanted.no_cache, log=log)
    if decision.action is Action.RETAG:
        return builder.tag(decision.found, decision.recipe)
    return decision.found
