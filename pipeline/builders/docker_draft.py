"""A recipe read from the disk: what will be sent, the args that are declared, the images that it is made from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.edge.context import ContextPlace, read_dockerfile
from pipeline.model.dockerfile import PREDEFINED_ARGS, Base, Dockerfile, parse_dockerfile
from pipeline.model.image import Recipe

_BUILDKIT_ARGS = frozenset(
    {
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
        "BUILDKIT_MULTI_PLATFORM",
        "BUILDKIT_SANDBOX_HOSTNAME",
        "BUILDKIT_SYNTAX",
        "SOURCE_DATE_EPOCH",
    }
)
"""Build args that BuildKit itself goes by, declared or not."""

_SECRET_NAME = re.compile(r"passw|secret|token|credential|private|api_?key|access_?key", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """`args` are the recipe's that the Dockerfile declares, without the release's facts; `bases` what has to be on the
    engine before the build."""

    place: ContextPlace
    dockerfile: Dockerfile
    text: bytes
    args: Mapping[str, str]
    bases: tuple[Base, ...]

    @property
    def text_digest(self) -> str:
        return hashlib.sha256(self.text).hexdigest()

    @property
    def counting_args(self) -> dict[str, str]:
        """Those that make another image: proxies do not."""
        return {name: value for name, value in self.args.items() if name not in PREDEFINED_ARGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOrder:
    """What to build: `args` with the values that the Dockerfile gets (without the facts), `labels` of the image,
    `cache` references whose layers may be taken."""

    recipe: Recipe
    draft: Draft
    args: Mapping[str, str]
    labels: Mapping[str, str]
    cache: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImage:
    """An image without a name on the engine, or (`digest`, with the repository) in its registry alone: `sent` bytes of
    context, `cached` of its `steps` from the cache."""

    id: str
    digest: str = ""
    sent: int
    steps: int
    cached: int
    attestations: str


def place_of(recipe: Recipe) -> ContextPlace:
    return ContextPlace(root=recipe.context, dockerfile=recipe.dockerfile, key=recipe.key)


def read_draft(recipe: Recipe) -> Draft:
    """Raises BadInput, with the recipe's key, for a Dockerfile that is missing or cannot be meant."""
    place = place_of(recipe)
    path, text = read_dockerfile(place)
    dockerfile = parse_dockerfile(text, file=path)
    args = declared({**recipe.machine_args, **recipe.args}, dockerfile)
    bases = dockerfile.bases(args, recipe.target)
    return Draft(place=place, dockerfile=dockerfile, text=text, args=args, bases=bases)


def declared(args: Mapping[str, str], dockerfile: Dockerfile) -> dict[str, str]:
    """The args that the Dockerfile has a place for: an engine complains about others."""
    known = dockerfile.declared | PREDEFINED_ARGS | _BUILDKIT_ARGS
    return {name: value for name, value in args.items() if name in known}


def warnings(recipe: Recipe, draft: Draft) -> Iterator[str]:
    for name in recipe.args:
        if name not in draft.args:
            yield f"{draft.dockerfile.file} declares no ARG {name}: it is left out ({recipe.key}.args)"
    for name in draft.args:
        if is_secret_name(name):
            yield f"the build arg {name} looks like a secret: its value can be read in the image's history"


def is_secret_name(name: str) -> bool:
    """Whether an arg is called as secrets are."""
    return _SECRET_NAME.search(name) is not None
