"""What an image is made from, read before anything is built: it decides whether the image has to be made, and says why.

version, branch and stack are no part of it: a release that changes nothing else takes over the image that is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from pipeline.errors import BadInput
from pipeline.model.image import Recipe, parse_reference

_SHORT = 12
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """An image that a build starts from or copies out of. `identity` tells two images of one name apart: a digest of
    the registry's, an id of the engine's, the fingerprint of an image of the same run; empty when nobody here knows."""

    name: str
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that decides what an image is. `content` and `dockerfile` are digests; `args` are those that count, with
    their values; `options` is what else the recipe asks of the builder (names of secrets, platforms). `bases` come in
    the Dockerfile's order, the final stage's own last. `files` and `size` (bytes) are the context's, for people."""

    content: str
    dockerfile: str
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    bases: tuple[BaseImage, ...] = ()
    files: int = 0
    size: int = 0

    @property
    def fingerprint(self) -> str:
        """64 hex digits that change when the image would."""
        args = [f"{name}={value}" for name, value in sorted(self.args.items())]
        bases = [base.identity for base in self.bases]
        words = [self.content, self.dockerfile, self.target, *self.options, "args", *args, "bases", *bases]
        return _digest("pipeline fingerprint 2", *words)

    @property
    def parts(self) -> dict[str, str]:
        """The same in short digests, part by part, as an image's label keeps it: what a later build is compared with.
        Holds no value of an arg."""
        found = {
            "content": self.content[:_SHORT],
            "dockerfile": self.dockerfile[:_SHORT],
            "args": _digest(*(f"{name}={value}" for name, value in sorted(self.args.items())))[:_SHORT],
            "options": _digest(self.target, *self.options)[:_SHORT],
        }
        return found | {f"base {base.name}": _digest(base.identity)[:_SHORT] for base in self.bases}

    @property
    def unknown_bases(self) -> tuple[str, ...]:
        return tuple(base.name for base in self.bases if not base.identity)

    def knowing(self, identities: Mapping[str, str]) -> Sources:
        """The same with what `identities` says of bases, by name."""
        known = (replace(base, identity=identities.get(base.name, base.identity)) for base in self.bases)
        return replace(self, bases=tuple(known))


def encode_parts(parts: Mapping[str, str]) -> str:
    """The label's text."""
    return msgspec.json.encode(dict(sorted(parts.items()))).decode()


def decode_parts(label: str) -> Mapping[str, str]:
    """What an image's label says; nothing for an image without one, or with somebody else's."""
    try:
        return msgspec.json.decode(label, type=dict[str, str])
    except msgspec.MsgspecError:
        return {}


def what_changed(now: Sources, before: Mapping[str, str], *, differing: tuple[str, ...] | None, dockerfile: str) -> str:
    """Why `now` is not what an image with the parts `before` was made from, in a few words. `differing` are the paths
    that differ, None when nobody knows; `dockerfile` is the Dockerfile's path among them."""
    if not before:
        return "the image that is there does not say what it was made from"
    parts = now.parts
    changed = [name for name in sorted({*parts, *before}) if parts.get(name) != before.get(name)]
    words = []
    if "dockerfile" in changed:
        words.append("the Dockerfile changed")
    if "content" in changed:
        words += _files(differing, dockerfile if "dockerfile" in changed else "")
    if "args" in changed:
        words.append("the build args changed")
    if "options" in changed:
        words.append("its target, secrets or platforms changed")
    bases = [name.removeprefix("base ") for name in changed if name.startswith("base ")]
    moved = [name for name in bases if f"base {name}" in parts and f"base {name}" in before]
    words += [f"base image moved: {name}" for name in moved]
    words += [f"another base image: {name}" for name in bases if name not in moved and f"base {name}" in parts]
    return "; ".join(words) or "something of it changed"


def sibling_of(name: str, recipe: Recipe, recipes: Iterable[Recipe]) -> Recipe | None:
    """The image of the same run that a FROM or COPY --from means: one whose repository is `name`, with the registry's
    prefix or without it, and no tag (or `latest`). An image is no base of itself."""
    wanted = parse_reference(name)
    if wanted.tag != "latest" or wanted.digest:
        return None
    for other in recipes:
        repository = parse_reference(other.reference).repository
        if other.reference != recipe.reference and wanted.repository in (repository, repository.rpartition("/")[2]):
            return other
    return None


def in_order(needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The keys, each after those that it needs, otherwise in their order. Raises BadInput for a circle."""
    done: dict[str, None] = {}

    def visit(key: str, above: tuple[str, ...]) -> None:
        if key in above:
            circle = " → ".join([*above[above.index(key) :], key])
            raise BadInput(f"these images are each other's base: {circle}", hint="Break the circle: change one FROM.")
        for needed in needs[key]:
            if needed not in done:
                visit(needed, (*above, key))
        done[key] = None

    for key in needs:
        visit(key, ())
    return tuple(done)


def _files(differing: tuple[str, ...] | None, dockerfile: str) -> list[str]:
    """`dockerfile` is left out: that it changed has been said."""
    if differing is None:
        return ["files differ"]
    names = [name for name in differing if name != dockerfile]
    if not names:
        return [] if dockerfile else ["files differ"]
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    shown = ", ".join(name if name.isprintable() else repr(name) for name in names[:_NAMED])
    return [f"{len(names)} {'file differs' if len(names) == 1 else 'files differ'}: {shown}{more}"]


def _digest(*words: str) -> str:
    """Of words that may hold anything: each is told apart by its length."""
    total = hashlib.sha256()
    for word in words:
        text = word.encode(errors="surrogateescape")
        total.update(b"%d:" % len(text) + text)
    return total.hexdigest()
