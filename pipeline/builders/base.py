"""The ports of building: a Builder makes images, an ImageStore keeps them (an engine and the registry behind it).

Every method of both may be called by several threads at once, and may raise Unreachable, and Failed with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.errors import PipelineError
from pipeline.model.cancel import Cancellation
from pipeline.model.image import BuiltImage, Recipe
from pipeline.model.secret import Secret
from pipeline.model.sources import Sources

Listener = Callable[[str], None]
"""Is given each line of a log as it comes, without its line end; lines that belong together come as one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """An image that is looked for: of this recipe, with this fingerprint. `pushed`: the registry is asked as well."""

    recipe: Recipe
    fingerprint: str
    pushed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptImage:
    """An image that is there, and what its labels say of its making: the parts of its sources, the commit, the stack
    that it was made for. `branch` is the one that it was built on."""

    image: BuiltImage
    parts: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there is for a Sought: an image of that fingerprint, and the one that is compared with when there is none:
    the newest of the branch, else of any. `warm`: the engine itself has one of the branch, and so its cache."""

    same: BuiltImage | None = None
    newest: KeptImage | None = None
    warm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How one image is made. `sources` are those that were decided on. `cache`: references whose layers may be taken,
    best first. `siblings`: images of the same run by the names under which the Dockerfile wants them. `push`: it will
    be pushed, so that what can only be made in a registry (several platforms) may be."""

    sources: Sources
    no_cache: bool = False
    cache: tuple[str, ...] = ()
    siblings: Mapping[str, BuiltImage] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    push: bool = False
    cancellation: Cancellation = field(default_factory=Cancellation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that was made: by which `builder` and why by that one, how many of its steps came from the cache and
    from whose images, bytes of context that were sent, the image's `size` in bytes, and what there is of SBOM and
    provenance (or why not)."""

    image: BuiltImage
    builder: str
    steps: int
    cached: int
    context_bytes: int
    size: int = 0
    cache: tuple[str, ...] = ()
    attestations: str = ""


class Builder(Protocol):
    """Makes images."""

    def sources(self, recipes: Sequence[Recipe]) -> tuple[Sources | PipelineError, ...]:
        """What each image is made from, in one pass over the disk and the engine; never version, branch and stack.

        Reads only. BadInput in an image's place, with the recipe's key, when its context or Dockerfile are missing or
        cannot be read: the others are told all the same."""

    def differing(self, recipe: Recipe, older: KeptImage) -> tuple[str, ...] | None:
        """The paths of the context that are not what `older` was made from; None when it cannot be told here."""

    def build(self, recipe: Recipe, making: Making, log: Listener) -> Built:
        """Builds and tags; the log streams to `log`. The image carries the fingerprint of what was really sent. On
        failure raises Failed with the Dockerfile line and the last lines of the failing step, and the tag is as it was.
        A second call builds again, from the cache."""


class RegistryTags(Protocol):
    """What a registry keeps of releases that are gone. Every method may raise BadInput where it refuses the user."""

    def tags(self, repository: str) -> tuple[str, ...]:
        """All of them, to the real end. Reads only."""

    def remove(self, repository: str, tags: Mapping[str, str]) -> tuple[str, ...]:
        """Takes these tags (tag → the digest that it had) away and gives those that are gone now. One that means
        another digest by now stays, as does one whose manifest has other tags, where the registry knows no deletion of
        a tag alone. A second call changes nothing."""


class ImageStore(Protocol):
    """Keeps images."""

    def find(self, sought: Sequence[Sought]) -> tuple[Found, ...]:
        """What there is for each, in one listing. Of several with the fingerprint, the one of the recipe's own
        reference comes first, then the engine's, then the registry's (which has a digest and no id)."""

    def tag(self, image: BuiltImage, recipe: Recipe) -> BuiltImage:
        """Makes `recipe.reference` name an image that is already there; one that only the registry has is named there,
        nothing is pulled. A second call changes nothing."""

    def push(self, image: BuiltImage, recipe: Recipe, log: Listener) -> BuiltImage:
        """Pushes the reference, with retries, and gives the image with the digest that the registry answered; there it
        is found by its fingerprint and as its branch's newest from then on. A second call finds the tag at the registry
        and sends nothing."""

    def lookup(self, reference: str) -> BuiltImage | None:
        """The image of that reference on the engine, or its digest from the registry; None where neither has it."""
