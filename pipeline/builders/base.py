"""The port to a builder: images are found by fingerprint, built from a recipe, tagged and pushed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pipeline.model.image import BuiltImage, Recipe

Listener = Callable[[str], None]
"""Is given each line of a log as it comes, without its line end."""


class Builder(Protocol):
    """An engine that builds. Every method may raise Unreachable, and Failed with the reason."""

    def fingerprint(self, recipe: Recipe) -> str:
        """What decides whether an image is built anew: effective context, Dockerfile, target, args, base images; never
        version, branch and stack. Reads the disk and the engine; the same inputs give the same 64 hex digits.

        Raises BadInput, with the recipe's key, when context or Dockerfile are missing or cannot be read."""

    def find(self, recipe: Recipe, fingerprint: str) -> BuiltImage | None:
        """An image with that fingerprint under the recipe's repository; the one of `recipe.reference` comes first."""

    def build(self, recipe: Recipe, *, no_cache: bool, log: Listener) -> BuiltImage:
        """Builds and tags; the log streams to `log`. The image carries the fingerprint of what was really sent. On
        failure raises Failed with the Dockerfile line and the last lines of the failing step, and the tag is as it was.
        A second call builds again, from the cache."""

    def tag(self, image: BuiltImage, recipe: Recipe) -> BuiltImage:
        """Makes `recipe.reference` name an image that is already there. A second call changes nothing."""

    def push(self, image: BuiltImage, log: Listener) -> BuiltImage:
        """Pushes the reference, with retries, and gives the image with the digest that the registry answered.
        A second call finds the tag at the registry and sends nothing."""

    def lookup(self, reference: str) -> BuiltImage | None:
        """The image of that reference on the engine, or its digest from the registry; None where neither has it."""
