"""The images of one Docker engine and of the registry behind it: found, named, pulled, pushed."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.builders.base import Found, KeptImage, Listener, Sought
from pipeline.builders.docker_bases import BaseImages
from pipeline.builders.docker_log import error_in, messages_of, progress_line
from pipeline.builders.docker_push import Registries
from pipeline.edge.clock import SystemClock
from pipeline.edge.engine import EngineClients, engine_errors, open_engine
from pipeline.errors import Failed, PipelineError
from pipeline.model import image as labels
from pipeline.model.address import RegistryAddress
from pipeline.model.clock import Clock
from pipeline.model.dockerfile import Base
from pipeline.model.image import BuiltImage, Recipe, parse_reference, sources_tag
from pipeline.model.sources import decode_parts

if TYPE_CHECKING:
    from docker import APIClient

_NO_REGISTRY = RegistryAddress()
_FEW = 4
_VERSION = re.compile(r"-[0-9a-f]{8}(?:-dirty)?$")
_AT_ONCE = 8


class DockerImages:
    """Keeps images. `registry` is where its user may push and pull."""

    def __init__(
        self, engine: EngineClients, registry: RegistryAddress = _NO_REGISTRY, *, clock: Clock | None = None
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._clock = clock or SystemClock()
        self._own = threading.local()

    def find(self, sought: Sequence[Sought]) -> tuple[Found, ...]:
        named = {one.recipe.reference: self._named(one) for one in sought} if len(sought) <= _FEW else {}
        rest = [one for one in sought if named.get(one.recipe.reference) is None]
        listed = self._listed(rest) if rest else []
        found = {one.recipe.reference: _among(one, listed) for one in rest}
        asked = [one for one in rest if one.pushed and found[one.recipe.reference].same is None]
        if asked:
            with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="registry") as pool:
                for one, remote in zip(asked, pool.map(self._in_the_registry, asked), strict=True):
                    here = found[one.recipe.reference]
                    found[one.recipe.reference] = Found(
                        same=remote.same, newest=here.newest or remote.newest, warm=here.warm
                    )
        return tuple(named.get(one.recipe.reference) or found[one.recipe.reference] for one in sought)

    def tag(self, image: BuiltImage, recipe: Recipe) -> BuiltImage:
        if not image.id:
            return self.registries.retag(image, recipe.reference)
        self.name(image, recipe.reference)
        pushed = image.digest if image.digest.startswith(f"{recipe.repository}@") else ""
        return msgspec.structs.replace(image, reference=recipe.reference, digest=pushed)

    def push(self, image: BuiltImage, recipe: Recipe, log: Listener) -> BuiltImage:
        return self.registries.push(image, log, also=(sources_tag(image.fingerprint), *recipe.newest[:1]))

    def lookup(self, reference: str) -> BuiltImage | None:
        found = self._inspect(reference)
        if found is None:
            return self.registries.lookup(parse_reference(reference))
        own = found["Config"].get("Labels") or {}
        return _built(own.get(labels.COMPOSE_SERVICE_LABEL, ""), reference, found, own)

    @property
    def registries(self) -> Registries:
        """The calling thread's."""
        found: Registries | None = getattr(self._own, "registries", None)
        if found is None:
            address = self._engine.address
            found = self._own.registries = Registries(
                client=self._engine.client, address=address, login=self._registry, clock=self._clock
            )
        return found

    def has(self, name: str) -> bool:
        return self._inspect(name) is not None

    def identity(self, name: str) -> str:
        """What tells this image from another of its name, the same wherever it is: the registry's digest of it, else
        the engine's id; empty when neither has it."""
        return BaseImages(self.registries, self._open).base_identity(name)

    def gather(self, references: Sequence[str], log: Listener) -> tuple[str, ...]:
        """Those of the references that the engine has or could pull, for a build to take layers from."""
        if not references:
            return ()
        from pipeline.builders.docker_cache import CacheSources

        return CacheSources(self.registries, self._open).pull_existing(references, log)

    def size(self, image: str) -> int:
        """Bytes on the engine, those of its bases included."""
        found = self._inspect(image)
        return int(found["Size"]) if found else 0

    def name(self, image: BuiltImage, name: str) -> None:
        """Makes `name` mean that image on the engine. A second call changes nothing."""
        self.on_the_engine(image)
        reference = parse_reference(name)
        with engine_errors(self._engine.address, f"tag {image.id or image.digest} as {name}"):
            self._engine.client.tag(image.id or image.digest, reference.repository, reference.tag)

    def on_the_engine(self, image: BuiltImage) -> str:
        """A name under which the engine has the image; one that only the registry has is pulled."""
        if image.id:
            return image.reference
        if not self.has(image.digest):
            self._pull(image.digest, "", lambda _: None)
        return image.digest

    def pull_base(self, base: Base, recipe: Recipe, log: Listener) -> None:
        """Raises Failed naming the image and the build arg that could name another one."""
        try:
            self._pull(base.name, base.platform, log)
        except Failed as error:
            another = f"set the build arg {base.variable} to one that you have (pipeline.build_args in invoke.yaml)"
            raise Failed(
                f"{recipe.key}: the base image {base.name} is not on the engine and cannot be pulled: {error}",
                hint=f"Load it into the engine, or {another if base.variable else 'name another in the FROM'}.",
            ) from error

    def _open(self) -> APIClient:
        return open_engine(self._engine.address)

    def _pull(self, name: str, platform: str, log: Listener) -> None:
        reference = parse_reference(name)
        doing = f"pull {name}"
        with engine_errors(self._engine.address, doing):
            stream = self._engine.client.pull(
                reference.repository,
                tag=reference.digest or reference.tag,
                stream=True,
                decode=True,
                auth_config=self.registries.credentials(reference.registry),
                platform=platform or None,
            )
        for message in messages_of(stream, self._engine.address, doing):
            if (error := error_in(message)) is not None:
                raise Failed(error, hint="")
            if (line := progress_line(message)) is not None:
                log(line)

    def _named(self, sought: Sought) -> Found | None:
        """The usual answer first: of a thousand images, an engine takes a tenth of a second and more to list any."""
        found = self._inspect(sought.recipe.reference)
        own = (found["Config"].get("Labels") or {}) if found else {}
        if not found or not _wanted(sought).items() <= own.items():
            return None
        return Found(same=_built(sought.recipe.compose_service, sought.recipe.reference, found, own), warm=True)

    def _listed(self, sought: Sequence[Sought]) -> list[dict[str, Any]]:
        services = {one.recipe.service for one in sought}
        own = f"{labels.SERVICE_LABEL}={services.pop()}" if len(services) == 1 else labels.SERVICE_LABEL
        with engine_errors(self._engine.address, "list the images of the services"):
            found: list[dict[str, Any]] = self._engine.client.images(filters={"label": [own]})
        return found

    def _in_the_registry(self, sought: Sought) -> Found:
        recipe = sought.recipe
        same = self.registries.find_pushed(recipe.repository, sources_tag(sought.fingerprint), sought.fingerprint)
        return Found(same=same, newest=None if same is not None else self._newest_pushed(recipe))

    def _newest_pushed(self, recipe: Recipe) -> KeptImage | None:
        """What the next build is compared with; that a registry does not answer costs no more than the reason."""
        registries = self.registries
        try:
            with registries.access.open(parse_reference(recipe.reference).registry) as registry:
                for tag in recipe.newest:
                    found = registry.describe(
                        parse_reference(recipe.reference).path, tag, platform=registries.access.platform
                    )
                    if found is not None:
                        return _remote(recipe, tag, found.labels)
        except PipelineError:
            return None
        return None

    def _inspect(self, name: str) -> Mapping[str, Any] | None:
        return self.registries.access.inspect(name)


def _wanted(sought: Sought) -> dict[str, str]:
    return {**_whose(sought.recipe), labels.FINGERPRINT_LABEL: sought.fingerprint}


def _whose(recipe: Recipe) -> dict[str, str]:
    return {labels.SERVICE_LABEL: recipe.service, labels.COMPOSE_SERVICE_LABEL: recipe.compose_service}


def _among(sought: Sought, listed: list[dict[str, Any]]) -> Found:
    """An image that someone built on one of ours inherits its labels: only what bears the repository's name is ours."""
    recipe = sought.recipe
    whose = _whose(recipe)
    tagged = [
        (tag, image)
        for image in listed
        if whose.items() <= image["Labels"].items()
        for tag in image["RepoTags"] or ()
        if tag.startswith(f"{recipe.repository}:")
    ]
    of_branch = [one for one in tagged if _is_of_branch(recipe, *one)]
    same = [one for one in tagged if one[1]["Labels"].get(labels.FINGERPRINT_LABEL) == sought.fingerprint]
    best = max(same, key=lambda one: (one[0] == recipe.reference, one[1]["Created"], one[0]), default=None)
    newest = max(of_branch or tagged, key=lambda one: (one[1]["Created"], one[0]), default=None)
    return Found(
        same=_built(recipe.compose_service, *best, best[1]["Labels"]) if best else None,
        newest=_kept(recipe.compose_service, *newest) if newest else None,
        warm=bool(of_branch),
    )


def _is_of_branch(recipe: Recipe, tag: str, image: dict[str, Any]) -> bool:
    """Built for the branch, or taken over by it: then only the tag says so."""
    tags_of_branch = re.escape(_VERSION.sub("", recipe.reference)) + _VERSION.pattern
    return image["Labels"].get(labels.BRANCH_LABEL, "") == recipe.branch or bool(re.fullmatch(tags_of_branch, tag))


def _kept(compose_service: str, tag: str, image: dict[str, Any]) -> KeptImage:
    return _labelled(_built(compose_service, tag, image, image["Labels"]), image["Labels"])


def _remote(recipe: Recipe, tag: str, own: Mapping[str, str]) -> KeptImage:
    image = BuiltImage(
        compose_service=recipe.compose_service,
        reference=f"{recipe.repository}:{tag}",
        id="",
        built_for=own.get(labels.STACK_LABEL, ""),
    )
    return _labelled(image, own)


def _labelled(image: BuiltImage, own: Mapping[str, str]) -> KeptImage:
    return KeptImage(
        image=image,
        parts=decode_parts(own.get(labels.SOURCES_LABEL, "")),
        commit=own.get(labels.COMMIT_LABEL, ""),
        branch=own.get(labels.BRANCH_LABEL, ""),
    )


def _built(compose_service: str, reference: str, found: Mapping[str, Any], own: Mapping[str, str]) -> BuiltImage:
    repository = parse_reference(reference).repository
    digests = sorted(one for one in found["RepoDigests"] or () if one.startswith(f"{repository}@"))
    return BuiltImage(
        compose_service=compose_service,
        reference=reference,
        id=str(found["Id"]),
        digest=digests[0] if digests else "",
        fingerprint=own.get(labels.FINGERPRINT_LABEL, ""),
        built_for=own.get(labels.STACK_LABEL, ""),
    )
