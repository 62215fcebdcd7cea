"""A builder that keeps its images in memory: what flows are tested with. It reads real contexts and runs no step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from pipeline.builders.base import Listener
from pipeline.edge.context import digest, read_context
from pipeline.errors import BadInput, Failed
from pipeline.model.dockerfile import parse_dockerfile
from pipeline.model.image import STACK_LABEL, BuiltImage, Recipe, fingerprint_of, parse_reference


class MemoryBuilder:
    """`writes` lists what an engine and a registry would have been told to do, in order. A Dockerfile with the line
    `RUN false` does not build. `bases` are the ids of base images by name; any other is its own id."""

    def __init__(self, *, bases: Mapping[str, str] | None = None) -> None:
        self.images: dict[str, BuiltImage] = {}
        self.writes: list[str] = []
        self.bases = dict(bases or {})
        self._pushed: dict[str, str] = {}

    def fingerprint(self, recipe: Recipe) -> str:
        context = read_context(recipe.context, recipe.dockerfile, key=recipe.key)
        dockerfile = parse_dockerfile(context.dockerfile_text, file=context.dockerfile_path)
        offered = {**recipe.machine_args, **recipe.args}
        args = {name: value for name, value in offered.items() if name in dockerfile.declared}
        bases = [base.name for base in dockerfile.bases(args, recipe.target)]
        return fingerprint_of(
            content=digest(context),
            dockerfile=context.dockerfile_text,
            target=recipe.target,
            args=args,
            bases=[self.bases.get(name, name) for name in bases],
        )

    def find(self, recipe: Recipe, fingerprint: str) -> BuiltImage | None:
        repository = parse_reference(recipe.reference).repository
        found = [
            image
            for reference, image in self.images.items()
            if image.fingerprint == fingerprint
            and image.compose_service == recipe.compose_service
            and parse_reference(reference).repository == repository
        ]
        return max(found, key=lambda image: image.reference == recipe.reference, default=None)

    def build(self, recipe: Recipe, *, no_cache: bool, log: Listener) -> BuiltImage:
        self.writes.append(f"build {recipe.reference}" + (" without cache" if no_cache else ""))
        context = read_context(recipe.context, recipe.dockerfile, key=recipe.key)
        steps = parse_dockerfile(context.dockerfile_text, file=context.dockerfile_path).instructions
        for number, step in enumerate(steps, 1):
            log(f"Step {number}/{len(steps)} : {step.text}")
            if (step.keyword, step.arguments) == ("RUN", "false"):
                raise Failed(
                    f"{context.dockerfile_path}:{step.line}: step {number} of {len(steps)} failed: {step.text!r}",
                    hint="Mend it and build again.",
                )
        fingerprint = self.fingerprint(recipe)
        labels = hashlib.sha256(repr((fingerprint, sorted(recipe.labels.items()))).encode()).hexdigest()
        image = BuiltImage(
            compose_service=recipe.compose_service,
            reference=recipe.reference,
            id=f"sha256:{labels}",
            fingerprint=fingerprint,
            built_for=recipe.labels.get(STACK_LABEL, ""),
        )
        self.images[recipe.reference] = image
        return image

    def tag(self, image: BuiltImage, recipe: Recipe) -> BuiltImage:
        tagged = msgspec.structs.replace(image, reference=recipe.reference)
        if self.images.get(recipe.reference) != tagged:
            self.writes.append(f"tag {recipe.reference}")
            self.images[recipe.reference] = tagged
        return tagged

    def push(self, image: BuiltImage, log: Listener) -> BuiltImage:
        reference = parse_reference(image.reference)
        if not reference.registry and "/" not in reference.path:
            raise BadInput(f"{image.reference} names no registry to push to", hint="Set CI_REGISTRY_IMAGE.")
        if self._pushed.get(image.reference) != image.id:
            self.writes.append(f"push {image.reference}")
            log(f"The push refers to repository [{reference.repository}]")
            self._pushed[image.reference] = image.id
        pushed = msgspec.structs.replace(image, digest=f"{reference.repository}@{image.id}")
        self.images[image.reference] = pushed
        return pushed

    def lookup(self, reference: str) -> BuiltImage | None:
        return self.images.get(reference)
