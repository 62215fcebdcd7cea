"""The builder on a Docker engine: the classic build API, fed with a context stream of our own."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.builders.base import Listener
from pipeline.builders.docker_log import BuildLog, error_in, gone, messages_of, progress_line
from pipeline.builders.docker_push import Registries
from pipeline.edge.clock import SystemClock
from pipeline.edge.context import Context, digest, made_context, read_context
from pipeline.edge.engine import EngineAnswered, engine_errors, is_missing
from pipeline.edge.tar import pack
from pipeline.errors import Failed, PipelineError
from pipeline.model import image as labels
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.clock import Clock
from pipeline.model.dockerfile import PREDEFINED_ARGS, Base, Dockerfile, parse_dockerfile
from pipeline.model.image import BuiltImage, Recipe, fingerprint_of, labelling, parse_reference

if TYPE_CHECKING:
    from docker import APIClient

_NO_REGISTRY = RegistryAddress()
_SECRET_NAME = re.compile(r"passw|secret|token|credential|private|api_?key|access_?key", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A recipe read from the disk: what will be sent, the args that are declared, the images that it is made from."""

    context: Context
    dockerfile: Dockerfile
    args: Mapping[str, str]
    bases: tuple[Base, ...]


class DockerBuilder:
    """Images on one engine. `registry` is where its user may push and pull."""

    def __init__(
        self,
        client: APIClient,
        address: EngineAddress,
        registry: RegistryAddress = _NO_REGISTRY,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._address = address
        self._registries = Registries(client=client, address=address, login=registry, clock=clock or SystemClock())

    def fingerprint(self, recipe: Recipe) -> str:
        return self._fingerprint(recipe, _draft(recipe))

    def find(self, recipe: Recipe, fingerprint: str) -> BuiltImage | None:
        wanted = {
            labels.SERVICE_LABEL: recipe.service,
            labels.COMPOSE_SERVICE_LABEL: recipe.compose_service,
            labels.FINGERPRINT_LABEL: fingerprint,
        }
        # The usual answer first: of a thousand images, an engine takes a tenth of a second and more to list any.
        named = self._inspect(recipe.reference)
        own = (named["Config"].get("Labels") or {}) if named else {}
        if named and wanted.items() <= own.items():
            return _built(recipe.compose_service, recipe.reference, named, own)
        with engine_errors(self._address, f"list the images of {recipe.service}"):
            found: list[dict[str, Any]] = self._client.images(
                filters={"label": [f"{name}={value}" for name, value in wanted.items()]}
            )
        # An image that someone built on one of ours inherits its labels: only what bears the repository's name is ours.
        repository = parse_reference(recipe.reference).repository
        tagged = [
            (image["Created"], tag, image)
            for image in found
            for tag in image["RepoTags"] or ()
            if tag.startswith(f"{repository}:")
        ]
        if not tagged:
            return None
        _, tag, image = max(tagged, key=lambda one: one[:2])
        return _built(recipe.compose_service, tag, image, image["Labels"])

    def build(self, recipe: Recipe, *, no_cache: bool, log: Listener) -> BuiltImage:
        draft = _draft(recipe)
        for warning in _warnings(recipe, draft):
            log(f"warning: {warning}")
        for base in draft.bases:
            if not self._id(base.name):
                self._pull(base, recipe, log)
        fingerprint = self._fingerprint(recipe, draft)
        image = self._make(recipe, draft, self._labels(recipe, draft, fingerprint), no_cache, log)
        if self.fingerprint(recipe) != fingerprint:
            raise Failed(
                f"{recipe.context} or a base image changed while {recipe.reference} was built; nothing was tagged",
                hint="Build again when the files are at rest.",
            )
        made = BuiltImage(
            compose_service=recipe.compose_service,
            reference=recipe.reference,
            id=image,
            fingerprint=fingerprint,
            built_for=recipe.labels.get(labels.STACK_LABEL, ""),
        )
        return self.tag(made, recipe)

    def tag(self, image: BuiltImage, recipe: Recipe) -> BuiltImage:
        reference = parse_reference(recipe.reference)
        with engine_errors(self._address, f"tag {image.id} as {recipe.reference}"):
            self._client.tag(image.id, reference.repository, reference.tag)
        pushed = image.digest if image.digest.startswith(f"{reference.repository}@") else ""
        return msgspec.structs.replace(image, reference=recipe.reference, digest=pushed)

    def push(self, image: BuiltImage, log: Listener) -> BuiltImage:
        return self._registries.push(image, log)

    def lookup(self, reference: str) -> BuiltImage | None:
        found = self._inspect(reference)
        if found is None:
            return self._registries.lookup(parse_reference(reference))
        own = found["Config"].get("Labels") or {}
        return _built(own.get(labels.COMPOSE_SERVICE_LABEL, ""), reference, found, own)

    def _fingerprint(self, recipe: Recipe, draft: _Draft) -> str:
        return fingerprint_of(
            content=digest(draft.context),
            dockerfile=draft.context.dockerfile_text,
            target=recipe.target,
            args={name: value for name, value in draft.args.items() if name not in PREDEFINED_ARGS},
            bases=[self._id(base.name) for base in draft.bases],
        )

    def _id(self, name: str) -> str:
        """The engine's id of an image; empty where it has none."""
        found = self._inspect(name)
        return str(found["Id"]) if found else ""

    def _inspect(self, name: str) -> Mapping[str, Any] | None:
        try:
            with engine_errors(self._address, f"look for the image {name}"):
                found: Mapping[str, Any] = self._client.inspect_image(name)  # type: ignore[no-untyped-call]  # its stubs
        except EngineAnswered as error:
            if is_missing(error):
                return None
            raise
        return found

    def _pull(self, base: Base, recipe: Recipe, log: Listener) -> None:
        reference = parse_reference(base.name)
        doing = f"pull {base.name}"
        try:
            with engine_errors(self._address, doing):
                stream = self._client.pull(
                    reference.repository,
                    tag=reference.digest or reference.tag,
                    stream=True,
                    decode=True,
                    auth_config=self._registries.credentials(reference.registry),
                    platform=base.platform or None,
                )
            for message in messages_of(stream, self._address, doing):
                if (error := error_in(message)) is not None:
                    raise Failed(error, hint="")
                if (line := progress_line(message)) is not None:
                    log(line)
        except Failed as error:
            another = f"set the build arg {base.variable} to one that you have (pipeline.build_args in invoke.yaml)"
            raise Failed(
                f"{recipe.key}: the base image {base.name} is not on the engine and cannot be pulled: {error}",
                hint=f"Load it into the engine, or {another if base.variable else 'name another in the FROM'}.",
            ) from error

    def _make(self, recipe: Recipe, draft: _Draft, own: Mapping[str, str], no_cache: bool, log: Listener) -> str:
        """Builds, then labels in a second build of one step: the engine would make a step of every label of the first,
        a tenth of a second each. Neither has a tag, so that whatever ends them early leaves none; gives the id."""
        triggers = any(one.keyword == "ONBUILD" for one in draft.dockerfile.instructions)
        options = {
            "buildargs": {**draft.args, **_declared(recipe.facts, draft.dockerfile)},
            "target": recipe.target,
            "nocache": no_cache,
            "labels": own if triggers else {},
        }
        made = self._run(draft.context, draft.dockerfile, BuildLog(draft.dockerfile, log), options)
        if triggers:  # a second FROM would set them off
            return made
        text = labelling(made, own)
        labeller = parse_dockerfile(text, file=f"the labels of {recipe.reference}")
        return self._run(made_context("Dockerfile", text), labeller, BuildLog(labeller, lambda _: None), {})

    def _run(self, context: Context, dockerfile: Dockerfile, steps: BuildLog, options: Mapping[str, Any]) -> str:
        doing = f"build {dockerfile.file}"
        with _disconnecting(self._client), _without_the_request():
            with engine_errors(self._address, doing):
                stream = self._client.build(
                    fileobj=pack(context),  # type: ignore[arg-type]  # requests streams any iterator of bytes
                    custom_context=True,
                    dockerfile=context.dockerfile,
                    rm=True,
                    forcerm=True,
                    decode=True,
                    **options,
                )
            for message in messages_of(stream, self._address, doing):
                steps.take(message)
        if not steps.image:
            raise gone(self._address, doing, f"the log ended in {steps.step or 'the beginning'}")
        return steps.image

    def _labels(self, recipe: Recipe, draft: _Draft, fingerprint: str) -> dict[str, str]:
        found = {**recipe.labels, labels.FINGERPRINT_LABEL: fingerprint}
        if draft.bases:
            name = draft.bases[-1].name
            image = self.lookup(name)
            found[labels.OCI_LABEL + "base.name"] = name
            if image is not None and image.digest:
                found[labels.OCI_LABEL + "base.digest"] = image.digest.partition("@")[2]
        return found


def _draft(recipe: Recipe) -> _Draft:
    context = read_context(recipe.context, recipe.dockerfile, key=recipe.key)
    dockerfile = parse_dockerfile(context.dockerfile_text, file=context.dockerfile_path)
    args = _declared({**recipe.machine_args, **recipe.args}, dockerfile)
    return _Draft(context=context, dockerfile=dockerfile, args=args, bases=dockerfile.bases(args, recipe.target))


def _declared(args: Mapping[str, str], dockerfile: Dockerfile) -> dict[str, str]:
    known = dockerfile.declared | PREDEFINED_ARGS
    return {name: value for name, value in args.items() if name in known}


def _warnings(recipe: Recipe, draft: _Draft) -> Iterator[str]:
    for name in recipe.args:
        if name not in draft.args:
            yield f"{draft.dockerfile.file} declares no ARG {name}: it is left out ({recipe.key}.args)"
    for name in draft.args:
        if _SECRET_NAME.search(name):
            yield f"the build arg {name} looks like a secret: its value can be read in the image's history"


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


@contextmanager
def _without_the_request() -> Iterator[None]:
    """Cuts the client's own exception off: its text has the request's URL, and that the value of every build arg."""
    try:
        yield
    except PipelineError as error:
        raise error from None


@contextmanager
def _disconnecting(client: APIClient) -> Iterator[None]:
    """Closes the connections of this thread's requests when the block ends: an engine cancels the build of a client
    that has gone, and docker-py gives a generator that keeps its connection."""
    opened: list[Any] = []
    thread = threading.get_ident()

    def keep(response: Any, *_: object, **__: object) -> None:
        if threading.get_ident() == thread:
            opened.append(response)

    client.hooks["response"].append(keep)
    try:
        yield
    finally:
        client.hooks["response"].remove(keep)
        for response in opened:
            response.close()
