"""build, deciding: which images are there, which are there under another name, which have to be made, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipeline.builders.base import Builder, Found, ImageStore, KeptImage, Sought
from pipeline.errors import BadInput, PipelineError
from pipeline.model.image import BuiltImage, Recipe
from pipeline.model.release import DIRTY, Release
from pipeline.model.secret import Secret
from pipeline.model.sources import Sources, in_order, sibling_of, what_changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for: `force` builds what is unchanged too, `no_cache` builds it without the engine's cache, `jobs`
    images at once, `fail_fast` stops the others after a failure."""

    force: bool = False
    no_cache: bool = False
    push: bool = False
    jobs: int = 1
    fail_fast: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The images of one release; `secrets` are the values of their build secrets, by name."""

    release: Release
    recipes: tuple[Recipe, ...]
    secrets: Mapping[str, Secret] = field(default_factory=dict)


class Action(StrEnum):
    """What becomes of one image."""

    KEEP = "keep"
    RETAG = "retag"
    BUILD = "build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One image: what to do and why. `found` is the image that has the fingerprint, None for one that is built;
    `siblings` are the images of the same run that it is made from: reference by the name that the Dockerfile has."""

    order: Order
    recipe: Recipe
    sources: Sources
    action: Action
    reason: str
    found: BuiltImage | None = None
    warm: bool = True
    siblings: Mapping[str, str] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        return self.action is not Action.KEEP

    def __str__(self) -> str:
        return f"{self.action} {self.recipe.reference}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """Decisions in the order in which they can be carried out; `failed` are services that nothing is done for, because
    an image of theirs cannot even be decided on."""

    decisions: tuple[Decision, ...]
    failed: Mapping[str, PipelineError]

    def of(self, service: str) -> tuple[Decision, ...]:
        return tuple(one for one in self.decisions if one.recipe.service == service)


def plan(orders: Sequence[Order], builder: Builder, images: ImageStore, wanted: Wanted) -> BuildPlan:
    """One decision per image. Changes nothing. A service with an unreadable context is in `failed`, the others go on.

    Raises BadInput when images are each other's base, or two have one name."""
    failed: dict[str, PipelineError] = {}
    recipes = _by_reference(orders)
    read: dict[str, Sources] = {}
    for recipe, sources in zip(recipes.values(), builder.sources(tuple(recipes.values())), strict=True):
        if isinstance(sources, PipelineError):
            failed.setdefault(recipe.service, sources)
        else:
            read[recipe.reference] = sources
    usable = {reference: recipe for reference, recipe in recipes.items() if recipe.service not in failed}
    siblings = {reference: _siblings(recipe, read[reference], usable) for reference, recipe in usable.items()}
    for reference in (sequence := in_order({name: needs.values() for name, needs in siblings.items()})):
        own = {name: read[needed].fingerprint for name, needed in siblings[reference].items()}
        read[reference] = read[reference].knowing(own)
    sought = [
        Sought(recipe=recipes[reference], fingerprint=read[reference].fingerprint, pushed=wanted.push)
        for reference in sequence
    ]
    of_reference = {recipe.reference: order for order in orders for recipe in order.recipes}
    decisions = tuple(
        _decide(of_reference[one.recipe.reference], one, read[one.recipe.reference], found, builder, wanted)
        for one, found in zip(sought, images.find(sought), strict=True)
    )
    return BuildPlan(decisions=_with_siblings(decisions, siblings), failed=failed)


def _by_reference(orders: Sequence[Order]) -> dict[str, Recipe]:
    found: dict[str, Recipe] = {}
    for recipe in (recipe for order in orders for recipe in order.recipes):
        other = found.setdefault(recipe.reference, recipe)
        if other is not recipe:
            raise BadInput(
                f"{recipe.reference} would be two images: {other.service}'s {other.compose_service} and "
                f"{recipe.service}'s {recipe.compose_service}",
                hint="Rename one service (pipeline.name) or one compose service.",
            )
    return found


def _siblings(recipe: Recipe, sources: Sources, recipes: Mapping[str, Recipe]) -> dict[str, str]:
    found = {base.name: sibling_of(base.name, recipe, recipes.values()) for base in sources.bases}
    return {name: other.reference for name, other in found.items() if other is not None}


def _with_siblings(decisions: tuple[Decision, ...], siblings: Mapping[str, dict[str, str]]) -> tuple[Decision, ...]:
    return tuple(replace(one, siblings=siblings[one.recipe.reference]) for one in decisions)


def _decide(order: Order, sought: Sought, sources: Sources, found: Found, builder: Builder, wanted: Wanted) -> Decision:
    action, reason = _action(order.release, sought, sources, found, builder, wanted)
    return Decision(
        order=order,
        recipe=sought.recipe,
        sources=sources,
        action=action,
        reason=reason,
        found=None if action is Action.BUILD else found.same,
        warm=found.warm,
    )


def _action(
    release: Release, sought: Sought, sources: Sources, found: Found, builder: Builder, wanted: Wanted
) -> tuple[Action, str]:
    if wanted.no_cache or wanted.force:
        return Action.BUILD, "--no-cache" if wanted.no_cache else "--force"
    same = found.same
    if same is not None and same.built_for.endswith(DIRTY) and not release.dirty:
        return Action.BUILD, f"{same.built_for} was not built from a commit"
    if same is None:
        return Action.BUILD, _why(sought.recipe, sources, found.newest, builder)
    since = f"unchanged since {same.built_for}" if same.built_for != release.stack else "unchanged"
    return Action.KEEP if same.reference == sought.recipe.reference else Action.RETAG, since


def _why(recipe: Recipe, sources: Sources, newest: KeptImage | None, builder: Builder) -> str:
    if unknown := sources.unknown_bases:
        return f"nobody here knows its base image {unknown[0]} yet"
    if newest is None:
        return "there is no image of it yet"
    differing = None
    if newest.parts and newest.parts.get("content") != sources.parts["content"]:
        differing = builder.differing(recipe, newest)
    changed = what_changed(sources, newest.parts, differing=differing, dockerfile=recipe.dockerfile_in_context)
    return f"{changed} (since {newest.image.built_for or newest.image.reference})"
