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
from pipeline.builders.engine_log import BuildLog, Message, error_in, progress_line
from pipeline.edge.clock import SystemClock
from pipeline.edge.context import Context, digest, read_context
from pipeline.edge.engine import EngineAnswered, engine_errors, is_missing
from pipeline.edge.tar import pack
from pipeline.errors import Failed, Unreachable
from pipeline.model import image as labels
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.clock import Clock
from pipeline.model.dockerfile import PREDEFINED_ARGS, Base, Dockerfile, parse_dockerfile
from pipeline.model.image import BuiltImage, Recipe, fingerprint_of, parse_reference

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
        self._registry = registry
        self._clock = clock or SystemClock()

    def fingerprint(self, recipe: Recipe) -> str:
        return self._fingerprint(recipe, _draft(recipe))

    def find(self, recipe: Recipe, fingerprint: str) -> BuiltImage | None:
        wanted = {
            labels.SERVICE_LABEL: recipe.service,
            labels.COMPOSE_SERVICE_LABEL: recipe.compose_service,
            labels.FINGERPRINT_LABEL: fingerprint,
        }
        with engine_errors(self._address, f"list the images of {recipe.service}"):
            found: list[dict[str, Any]] = self._client.images(
                filters={"label": [f"{name}={value}" for name, value in wanted.items()]}
            )
        # An image that someone built on one of ours inherits its labels: only what bears the repository's name is ours.
        repository = parse_reference(recipe.reference).repository
        named = [(tag, image) for image in found for tag in image["RepoTags"] or () if tag.startswith(f"{repository}:")]
        if not named:
            return None
        tag, image = max(named, key=lambda one: (one[0] == recipe.reference, one[1]["Created"], one[0]))
        return _built(recipe.compose_service, tag, image, image["Labels"])

    def build(self, recipe: Recipe, *, no_cache: bool, log: Listener) -> BuiltImage:
        draft = _draft(recipe)
        for warning in _warnings(recipe, draft):
            log(f"warning: {warning}")
        for base in draft.bases:
            if not self._id(base.name):
                self._pull(base, recipe, log)
        fingerprint = self._fingerprint(recipe, draft)
        image = self._run(recipe, draft, fingerprint, no_cache, log)
        if self.fingerprint(recipe) != fingerprint:
            raise Failed(
                f"{recipe.context} changed while {recipe.reference} was built from it; nothing was tagged",
                hint="Build again when the files are at rest.",
            )
        return self.tag(
            BuiltImage(
                compose_service=recipe.compose_service,
                reference=recipe.reference,
                id=image,
                fingerprint=fingerprint,
                built_for=recipe.labels.get(labels.STACK_LABEL, ""),
            ),
            recipe,
        )

    def tag(self, image: BuiltImage, recipe: Recipe) -> BuiltImage:
        reference = parse_reference(recipe.reference)
        with engine_errors(self._address, f"tag {image.id} as {recipe.reference}"):
            self._client.tag(image.id, reference.repository, reference.tag)
        pushed = image.digest if image.digest.startswith(f"{reference.repository}@") else ""
        return msgspec.structs.replace(image, reference=recipe.reference, digest=pushed)

    def push(self, image: BuiltImage, log: Listener) -> BuiltImage:
        raise NotImplementedError

    def lookup(self, reference: str) -> BuiltImage | None:
        found = self._inspect(reference)
        if found is None:
            return None
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
        try:
            with engine_errors(self._address, f"pull {base.name}"):
                messages = self._client.pull(
                    reference.repository,
                    tag=reference.digest or reference.tag,
                    stream=True,
                    decode=True,
                    auth_config=self._login(reference.registry),
                    platform=base.platform or None,
                )
            for message in self._messages(messages, f"pulling {base.name}"):
                if (error := error_in(message)) is not None:
                    raise Failed(error, hint="")
                if (line := progress_line(message)) is not None:
                    log(line)
        except Failed as error:
            arg = base.variable
            hint = f"Set the build arg {arg} to an image that can be had (pipeline.build_args in invoke.yaml), or"
            raise Failed(
                f"{recipe.key}: the base image {base.name} is not on the engine and cannot be pulled: {error}",
                hint=f"{hint if arg else ''} load it into the engine under that name.".strip().capitalize(),
            ) from error

    def _run(self, recipe: Recipe, draft: _Draft, fingerprint: str, no_cache: bool, log: Listener) -> str:
        """Builds without a tag, so that whatever ends it early leaves none; gives the image's id."""
        steps = BuildLog(draft.dockerfile, log)
        with _disconnecting(self._client):
            with engine_errors(self._address, f"build {recipe.reference} from {draft.context.dockerfile_path}"):
                messages = self._client.build(
                    fileobj=pack(draft.context),  # type: ignore[arg-type]  # requests streams any iterator of bytes
                    custom_context=True,
                    dockerfile=draft.context.dockerfile,
                    buildargs={**draft.args, **_declared(recipe.facts, draft.dockerfile)},
                    target=recipe.target,
                    labels=self._labels(recipe, draft, fingerprint),
                    nocache=no_cache,
                    rm=True,
                    forcerm=True,
                    decode=True,
                )
            for message in self._messages(messages, f"building {recipe.reference}", steps):
                steps.take(message)
        if not steps.image:
            raise self._gone(f"building {recipe.reference}", steps, "the log ended without an image")
        return steps.image

    def _labels(self, recipe: Recipe, draft: _Draft, fingerprint: str) -> dict[str, str]:
        found = {**recipe.labels, labels.FINGERPRINT_LABEL: fingerprint}
        if draft.bases:
            name = draft.bases[-1].name
            found[labels.OCI_LABEL + "base.name"] = name
            image = self.lookup(name)
            if image is not None and image.digest:
                found[labels.OCI_LABEL + "base.digest"] = image.digest.partition("@")[2]
        return found

    def _messages(self, messages: Iterator[Message], doing: str, steps: BuildLog | None = None) -> Iterator[Message]:
        """The stream, with the ways in which it may break as ours: they come from below requests, undressed."""
        from http.client import HTTPException

        from docker.errors import StreamParseError
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        while True:
            try:
                message = next(messages, None)
            except (HTTPError, HTTPException, RequestException, StreamParseError, OSError) as error:
                raise self._gone(doing, steps, str(error)) from error
            if message is None:
                return
            yield message

    def _gone(self, doing: str, steps: BuildLog | None, why: str) -> Unreachable:
        where = f" in {steps.step}" if steps and steps.step else ""
        return Unreachable(
            f"{self._address} went away while {doing}{where}: {why}; nothing was tagged",
            hint="See whether the engine still runs (`docker info`) and has room on its disk, then build again.",
        )

    def _login(self, registry: str) -> dict[str, str] | None:
        """None leaves the choice to the docker command's own configuration."""
        if not self._registry.user or registry != self._registry.host:
            return None
        return {"username": self._registry.user, "password": self._registry.password.reveal()}


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
        elif _SECRET_NAME.search(name):
            yield f"the build arg {name} looks like a secret: it can be read in the image's history ({recipe.key}.args)"


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
