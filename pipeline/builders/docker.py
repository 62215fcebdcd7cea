"""The builder on a Docker engine: what images are made from, and how they are made of a context stream of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.builders.base import Built, KeptImage, Listener, Making
from pipeline.builders.docker_choice import BuilderSettings, Chosen, choose_builder
from pipeline.builders.docker_draft import BuildOrder, Draft, place_of, read_draft, warnings
from pipeline.builders.docker_images import DockerImages
from pipeline.edge.context import largest, read_context, read_outline
from pipeline.edge.context_digests import ContextDigests
from pipeline.edge.engine import EngineClients
from pipeline.edge.git import changed_since
from pipeline.errors import BadInput, Failed, PipelineError
from pipeline.model import image as labels
from pipeline.model.dockerignore import parse_dockerignore
from pipeline.model.image import BuiltImage, Recipe
from pipeline.model.size import shown_size
from pipeline.model.sources import BaseImage, Sources, encode_parts

if TYPE_CHECKING:
    from pipeline.builders.docker_buildkit import BuildKitBuilder
    from pipeline.builders.docker_classic import ClassicBuilder

_USUAL = BuilderSettings()


class DockerBuilder:
    """Makes images on one engine, and knows from `images` what that has. `digests` remembers what contexts hold;
    `context_limit` is the size in bytes from which on a context's largest paths are told."""

    def __init__(
        self,
        engine: EngineClients,
        images: DockerImages,
        *,
        digests: ContextDigests | None = None,
        settings: BuilderSettings = _USUAL,
        context_limit: int = 0,
    ) -> None:
        self._engine = engine
        self._images = images
        self._digests = digests or ContextDigests(None)
        self._settings = settings
        self._context_limit = context_limit

    def sources(self, recipes: Sequence[Recipe]) -> tuple[Sources | PipelineError, ...]:
        self._digests.stamp([place_of(recipe) for recipe in recipes])
        identities: dict[str, str] = {}
        return tuple(self._sources(recipe, identities) for recipe in recipes)

    def differing(self, recipe: Recipe, older: KeptImage) -> tuple[str, ...] | None:
        remembered = self._digests.differing(place_of(recipe), older.parts.get("content", ""))
        if remembered is not None or older.image.built_for.endswith("-dirty"):
            return remembered
        changed = changed_since(recipe.context, older.commit)
        if changed is None:
            return None
        outline = read_outline(place_of(recipe))
        ignore = parse_dockerignore(outline.ignore_text, file=outline.ignore_file)
        return tuple(path for path in changed if not ignore.ignores(path))

    def build(self, recipe: Recipe, making: Making, log: Listener) -> Built:
        draft = read_draft(recipe)
        for warning in (*warnings(recipe, draft), *_git_warning(draft)):
            log(f"warning: {warning}")
        chosen = choose_builder(recipe, draft, self._settings, self._engine.address)
        if chosen.command is not None:
            log(f"{chosen}: {chosen.why}")
        self._tell_large(recipe, making.sources, log)
        args = self._with_siblings(draft, making)
        self._pull_bases(recipe, draft, making, chosen, log)
        own = {base.name for base in making.sources.bases if base.name not in making.siblings}
        sources = making.sources.knowing({name: self._images.identity(name) for name in own})
        cache = self._images.gather(making.cache, log) if chosen.command is None else making.cache
        order = BuildOrder(
            recipe=recipe, draft=draft, args=args, labels=self._labels(recipe, making, sources), cache=cache
        )
        made = self._by(chosen).build(order, making, log)
        self._refuse_moved(recipe, sources, making)
        image = BuiltImage(
            compose_service=recipe.compose_service,
            reference=recipe.reference,
            id=made.id,
            digest=made.digest,
            fingerprint=sources.fingerprint,
            built_for=recipe.labels.get(labels.STACK_LABEL, ""),
        )
        return Built(
            image=self._images.tag(image, recipe),
            builder=str(chosen),
            steps=made.steps,
            cached=made.cached,
            context_bytes=made.sent,
            size=self._images.size(made.id) if made.id else 0,
            cache=cache,
            attestations=made.attestations,
        )

    def _by(self, chosen: Chosen) -> ClassicBuilder | BuildKitBuilder:
        if chosen.command is None:
            from pipeline.builders.docker_classic import ClassicBuilder

            return ClassicBuilder(self._engine)
        from pipeline.builders.docker_buildkit import BuildKitBuilder

        return BuildKitBuilder(chosen.command, self._settings, self._engine.address, self._images)

    def _pull_bases(self, recipe: Recipe, draft: Draft, making: Making, chosen: Chosen, log: Listener) -> None:
        """Those that the engine does not have, so that it is known what they are; BuildKit makes no stage in vain."""
        needed = draft.bases if chosen.command is None else draft.dockerfile.needed_bases(draft.args, recipe.target)
        for base in needed:
            if base.name not in making.siblings and not self._images.has(base.name):
                self._images.pull_base(base, recipe, log)

    def _sources(self, recipe: Recipe, identities: dict[str, str]) -> Sources | PipelineError:
        try:
            draft = read_draft(recipe)
            content = self._digests.content(draft.place)
        except BadInput as error:
            return error
        for base in draft.bases:
            if base.name not in identities:
                identities[base.name] = self._images.identity(base.name)
        return Sources(
            content=content.digest,
            dockerfile=draft.text_digest,
            target=recipe.target,
            args=draft.counting_args,
            options=recipe.options,
            bases=tuple(BaseImage(name=base.name, identity=identities[base.name]) for base in draft.bases),
            files=content.files,
            size=content.size,
        )

    def _with_siblings(self, draft: Draft, making: Making) -> Mapping[str, str]:
        """The args, with those that chose an image of the same run naming exactly that one. Where a name stands in the
        Dockerfile itself, the image gets that name on the engine: there is no other way to say it."""
        args = dict(draft.args)
        for name, image in making.siblings.items():
            exact = self._images.on_the_engine(image)
            chosen = {base.variable: exact for base in draft.bases if base.name == name and base.variable}
            if chosen and exact in {base.name for base in draft.dockerfile.bases({**args, **chosen}, "")}:
                args |= chosen
            else:
                self._images.name(image, name)
        return args

    def _tell_large(self, recipe: Recipe, sources: Sources, log: Listener) -> None:
        """A context that is larger than was meant shows what is in it: a video, a folder of modules."""
        if not self._context_limit or sources.size <= self._context_limit:
            return
        context = read_context(recipe.context, recipe.dockerfile, key=recipe.key)
        paths = "".join(f"\n  {shown_size(size):>8}  {path}" for path, size in largest(context))
        log(
            f"warning: the context {recipe.context} holds {shown_size(sources.size)}, more than "
            f"{shown_size(self._context_limit)} (context_limit); name what is not needed in .dockerignore:{paths}"
        )

    def _refuse_moved(self, recipe: Recipe, sources: Sources, making: Making) -> None:
        """What was sent is what was decided on: a file or a base that moved meanwhile would be under a false name."""
        after = self.sources([recipe])[0]
        same = isinstance(after, Sources) and after.knowing(
            {base.name: base.identity for base in sources.bases if base.name in making.siblings}
        )
        if not same or same.fingerprint != sources.fingerprint:
            raise Failed(
                f"{recipe.context} or a base image changed while {recipe.reference} was built; nothing was tagged",
                hint="Build again when the files are at rest.",
            )

    def _labels(self, recipe: Recipe, making: Making, sources: Sources) -> dict[str, str]:
        found = {
            **recipe.labels,
            labels.FINGERPRINT_LABEL: sources.fingerprint,
            labels.SOURCES_LABEL: encode_parts(sources.parts),
        }
        if sources.bases:
            name = sources.bases[-1].name
            image = making.siblings.get(name) or self._images.lookup(name)
            found[labels.OCI_LABEL + "base.name"] = name
            if image is not None and image.digest:
                found[labels.OCI_LABEL + "base.digest"] = image.digest.partition("@")[2]
        return found


def _git_warning(draft: Draft) -> Iterator[str]:
    outline = read_outline(draft.place)
    ignore = parse_dockerignore(outline.ignore_text, file=outline.ignore_file)
    if os.path.exists(os.path.join(outline.folder, ".git")) and not ignore.ignores(".git"):
        yield (
            f"the context {outline.folder} holds git's own folder, which every commit changes, so that nothing is ever "
            "unchanged: name .git in .dockerignore"
        )
