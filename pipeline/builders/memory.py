"""A builder that keeps its images in memory: what flows are tested with. It reads real contexts and runs no step."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from pipeline.builders.base import Built, Found, KeptImage, Listener, Making, Sought
from pipeline.edge.context import digest, read_context
from pipeline.edge.context_entries import Entry, read_pieces
from pipeline.errors import BadInput, Failed, PipelineError
from pipeline.model.dockerfile import parse_dockerfile
from pipeline.model.image import BRANCH_LABEL, COMMIT_LABEL, STACK_LABEL, BuiltImage, Recipe, parse_reference
from pipeline.model.sources import BaseImage, Sources


class MemoryBuilder:
    """A Builder and an ImageStore. `writes` lists what an engine and a registry would have been told to do, in order;
    `begun` is called with each image's reference when its build begins. A Dockerfile with the line `RUN false` does not
    build. `bases` are the ids of base images by name; any other is its own id. `newest` is what a registry would have
    under the tags of branches."""

    def __init__(
        self, *, bases: Mapping[str, str] | None = None, begun: Callable[[str], None] = lambda _: None
    ) -> None:
        self.images: dict[str, BuiltImage] = {}
        self.writes: list[str] = []
        self.bases = dict(bases or {})
        self.newest: dict[str, BuiltImage] = {}
        self.makings: dict[str, Making] = {}
        self._begun = begun
        self._kept: dict[str, KeptImage] = {}
        self._files: dict[str, Mapping[str, str]] = {}
        self._contents: dict[str, str] = {}
        self._pushed: dict[str, str] = {}
        self._lock = threading.RLock()

    def sources(self, recipes: Sequence[Recipe]) -> tuple[Sources | PipelineError, ...]:
        return tuple(self._sources(recipe) for recipe in recipes)

    def differing(self, recipe: Recipe, older: KeptImage) -> tuple[str, ...] | None:
        before = self._files.get(older.parts.get("content", ""))
        now = self._files[self._contents[recipe.reference]]
        if before is None:
            return None
        return tuple(sorted(name for name in {*before, *now} if before.get(name) != now.get(name)))

    def build(self, recipe: Recipe, making: Making, log: Listener) -> Built:
        with self._lock:
            self.makings[recipe.reference] = making
        self._begun(recipe.reference)
        making.cancellation.check()
        with self._lock:
            self.writes.append(f"build {recipe.reference}" + (" without cache" if making.no_cache else ""))
        context = read_context(recipe.context, recipe.dockerfile, key=recipe.key)
        steps = parse_dockerfile(context.dockerfile_text, file=context.dockerfile_path).instructions
        for number, step in enumerate(steps, 1):
            log(f"Step {number}/{len(steps)} : {step.text}")
            if (step.keyword, step.arguments) == ("RUN", "false"):
                raise Failed(
                    f"{context.dockerfile_path}:{step.line}: step {number} of {len(steps)} failed: {step.text!r}",
                    hint="Mend it and build again.",
                )
        fingerprint = making.sources.fingerprint
        labels = hashlib.sha256(repr((fingerprint, sorted(recipe.labels.items()))).encode()).hexdigest()
        image = BuiltImage(
            compose_service=recipe.compose_service,
            reference=recipe.reference,
            id=f"sha256:{labels}",
            fingerprint=fingerprint,
            built_for=recipe.labels.get(STACK_LABEL, ""),
        )
        with self._lock:
            self._keep(image, recipe, making.sources)
        sent = sum(entry.size for entry in context.entries)
        return Built(image=image, builder="memory", steps=len(steps), cached=0, context_bytes=sent)

    def find(self, sought: Sequence[Sought]) -> tuple[Found, ...]:
        with self._lock:
            return tuple(self._find(one) for one in sought)

    def tag(self, image: BuiltImage, recipe: Recipe) -> BuiltImage:
        with self._lock:
            tagged = msgspec.structs.replace(image, reference=recipe.reference)
            if self.images.get(recipe.reference) != tagged:
                self.writes.append(f"tag {recipe.reference}")
                self.images[recipe.reference] = tagged
                self._kept[recipe.reference] = replace(self._kept[image.reference], image=tagged)
            return tagged

    def push(self, image: BuiltImage, recipe: Recipe, log: Listener) -> BuiltImage:
        reference = parse_reference(image.reference)
        if not reference.registry and "/" not in reference.path:
            raise BadInput(f"{image.reference} names no registry to push to", hint="Set CI_REGISTRY_IMAGE.")
        with self._lock:
            if self._pushed.get(image.reference) != image.id:
                self.writes.append(f"push {image.reference}")
                log(f"The push refers to repository [{reference.repository}]")
                self._pushed[image.reference] = image.id
            pushed = msgspec.structs.replace(image, digest=f"{reference.repository}@{image.id}")
            self.images[image.reference] = pushed
            self.newest |= {f"{recipe.repository}:{tag}": pushed for tag in recipe.newest[:1]}
            return pushed

    def lookup(self, reference: str) -> BuiltImage | None:
        return self.images.get(reference)

    def forget_parts(self) -> None:
        """As images are that another tool made: they do not say what they were made from."""
        self._kept = {name: replace(kept, parts={}) for name, kept in self._kept.items()}

    def _sources(self, recipe: Recipe) -> Sources | PipelineError:
        try:
            context = read_context(recipe.context, recipe.dockerfile, key=recipe.key)
            dockerfile = parse_dockerfile(context.dockerfile_text, file=context.dockerfile_path)
        except BadInput as error:
            return error
        offered = {**recipe.machine_args, **recipe.args}
        args = {name: value for name, value in offered.items() if name in dockerfile.declared}
        bases = [base.name for base in dockerfile.bases(args, recipe.target)]
        content = digest(context)
        files = {entry.path: f"{entry.kind!r}{entry.mode}{_content(context.root, entry)}" for entry in context.entries}
        with self._lock:
            self._files[content[:12]] = files
            self._contents[recipe.reference] = content[:12]
        return Sources(
            content=content,
            dockerfile=hashlib.sha256(context.dockerfile_text).hexdigest(),
            target=recipe.target,
            args=args,
            options=recipe.options,
            bases=tuple(BaseImage(name=name, identity=self.bases.get(name, name)) for name in bases),
        )

    def _find(self, sought: Sought) -> Found:
        recipe = sought.recipe
        own = [
            kept
            for reference, kept in self._kept.items()
            if kept.image.compose_service == recipe.compose_service
            and parse_reference(reference).repository == recipe.repository
        ]
        of_branch = [kept for kept in own if kept.branch == recipe.branch]
        same = [kept.image for kept in own if kept.image.fingerprint == sought.fingerprint]
        best = max(same, key=lambda image: image.reference == recipe.reference, default=None)
        newest = (of_branch or own)[-1:]
        return Found(
            same=self.images[best.reference] if best is not None else None,
            newest=newest[0] if newest else None,
            warm=bool(of_branch),
        )

    def _keep(self, image: BuiltImage, recipe: Recipe, sources: Sources) -> None:
        self.images[recipe.reference] = image
        self._kept.pop(recipe.reference, None)
        self._kept[recipe.reference] = KeptImage(
            image=image,
            parts=sources.parts,
            commit=recipe.labels.get(COMMIT_LABEL, ""),
            branch=recipe.labels.get(BRANCH_LABEL, ""),
        )


def _content(root: str, entry: Entry) -> str:
    if entry.kind != b"0":
        return entry.link
    return hashlib.sha256(b"".join(read_pieces(root, entry))).hexdigest()
