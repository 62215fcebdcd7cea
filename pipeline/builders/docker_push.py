"""Sends an image from a Docker engine to its registry, finds it there, and gives it further tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import msgspec

from pipeline.builders.base import Listener
from pipeline.builders.docker_log import error_in, messages_of, progress_line
from pipeline.builders.docker_registries import RegistryAccess, left_to_the_engine
from pipeline.edge.engine import EngineAnswered, engine_errors
from pipeline.errors import BadInput, Failed, PipelineError, Unreachable
from pipeline.model import image as labels
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.clock import Clock, Deadline
from pipeline.model.image import BuiltImage, Reference, parse_reference

if TYPE_CHECKING:
    from docker import APIClient

    from pipeline.edge.registry import RegistryClient

_TRIES = 5
_SECONDS = 600.0
# The engine passes a registry's refusal on as text alone. It begins with the specification's error code in lower case;
# the last one is the engine's own, from before it asks. An answer that is no registry's has its status in the middle.
_REFUSALS = ("unauthorized", "denied", "no basic auth credentials")
_STATUS = re.compile(r"error parsing HTTP (4\d\d) response body")
_WORTH_ANOTHER_TRY = ("408", "425", "429")


class Registries:
    """An engine's images in registries. `access` says who asks; `environ` is where the docker command's configuration
    is looked for, by default the process's own environment."""

    def __init__(
        self,
        *,
        client: APIClient,
        address: EngineAddress,
        login: RegistryAddress,
        clock: Clock,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.access = RegistryAccess(client=client, address=address, login=login, clock=clock, environ=environ)

    def credentials(self, registry: str) -> dict[str, str]:
        """As RegistryAccess.credentials."""
        return self.access.credentials(registry)

    def push(self, image: BuiltImage, log: Listener, also: tuple[str, ...] = ()) -> BuiltImage:
        """Pushes unless the registry has this very image under the reference, and asks it afterwards for what the
        engine says it took. An image without an id is in the registry alone: that it still is there is checked.

        Then the tags of `also` are put in the same repository: they serve caches, and one that is refused is told in
        the log and fails nothing. A second call sends nothing."""
        reference = parse_reference(image.reference)
        if not reference.registry and "/" not in reference.path:
            raise BadInput(
                f"{image.reference} names no registry to push to",
                hint="Set CI_REGISTRY_IMAGE, or registry.prefix in invoke.yaml; or build with --no-push.",
            )
        with self._open(reference) as registry:
            if image.id or not image.digest:
                digest = self._there(registry, reference) or self._send(registry, reference, log)
            else:
                digest = _verified(registry, reference, image.digest.partition("@")[2])
            for tag in also:
                _put(registry, reference, digest, tag, log)
        return _pushed(image, reference, digest)

    def retag(self, image: BuiltImage, reference: str) -> BuiltImage:
        """Gives an image that is in the registry another tag there; nothing is pulled. A second call changes nothing.

        Raises BadInput for a reference of another repository, and what RegistryClient.put_tag raises."""
        wanted = parse_reference(reference)
        repository, _, digest = image.digest.partition("@")
        if repository != wanted.repository or not wanted.tag:
            raise BadInput(
                f"{image.digest or image.reference} cannot be given the tag {reference}",
                hint="A registry puts tags within one repository alone: build the image anew, or push it there.",
            )
        with self.access.open(wanted.registry) as registry:
            registry.put_tag(wanted.path, digest, wanted.tag)
        return msgspec.structs.replace(image, reference=reference)

    def lookup(self, reference: Reference) -> BuiltImage | None:
        """The image as the registry has it, without an id; None where it has none, and for docker.io."""
        if left_to_the_engine(reference):
            return None
        with self.access.open(reference.registry) as registry:
            name = reference.digest or reference.tag
            found = registry.describe(reference.path, name, platform=self.access.platform)
        if found is None:
            return None
        image = BuiltImage(
            compose_service=found.labels.get(labels.COMPOSE_SERVICE_LABEL, ""),
            reference=f"{reference.repository}:{reference.tag}" if reference.tag else reference.repository,
            id="",
            fingerprint=found.labels.get(labels.FINGERPRINT_LABEL, ""),
            built_for=found.labels.get(labels.STACK_LABEL, ""),
        )
        return _pushed(image, reference, found.digest)

    def find_pushed(self, repository: str, tag: str, fingerprint: str) -> BuiltImage | None:
        """The image of that tag, without an id, when its label says this fingerprint. Else None.

        None, too, when the registry is silent, ill or has what does not fit its digest: the caller then builds what it
        might have reused, which costs time and harms nothing, and a push to that registry tells what is wrong with it.
        A refusal is raised: the push after the build would be refused as well."""
        try:
            found = self.lookup(parse_reference(f"{repository}:{tag}"))
        except (Unreachable, Failed) as error:
            if isinstance(error, EngineAnswered):
                raise
            return None
        return found if found is not None and fingerprint and found.fingerprint == fingerprint else None

    def _open(self, reference: Reference) -> AbstractContextManager[RegistryClient | None]:
        return nullcontext() if left_to_the_engine(reference) else self.access.open(reference.registry)

    def _there(self, registry: RegistryClient | None, reference: Reference) -> str:
        """The digest under which the registry has the engine's image at this reference; empty when it is to be sent."""
        from pipeline.edge.registry_connection import NoRegistry

        found = self.access.inspect(f"{reference.repository}:{reference.tag}")
        if found is None:
            raise Failed(
                f"there is no image {reference.repository}:{reference.tag} to push on {self.access.address}",
                hint="Build it first, on the engine that pushes it.",
            )
        if registry is None:
            return ""
        try:
            known = registry.digest(reference.path, reference.tag)
            if not known or f"{reference.repository}@{known}" in (found["RepoDigests"] or ()):
                return known
            # An engine that got the image in another way than by a push does not know its digest.
            held = registry.describe(reference.path, known, platform=self.access.platform)
        except NoRegistry:  # the engine would try for minutes
            raise
        except (Unreachable, Failed):
            return ""  # the engine may reach a registry that this machine does not; what is broken there is sent anew
        return known if held is not None and held.id == found["Id"] else ""

    def _send(self, registry: RegistryClient | None, reference: Reference, log: Listener) -> str:
        digest = self._push_until(reference, log)
        try:
            if registry is not None and not registry.digest(reference.path, digest):
                raise Failed(
                    f"the registry {reference.registry} does not have {reference.repository}@{digest} after the push",
                    hint="Push again; a registry that loses what it took needs its operator.",
                )
        except Unreachable as error:
            log(f"push: {reference.repository}@{digest} is not verified: {error}")
        return digest

    def _push_until(self, reference: Reference, log: Listener) -> str:
        """The digest. What the engine says in band is tried again, and so is an engine that breaks off; layers that
        have arrived are not sent again, the engine asks for each."""
        deadline = Deadline(self.access.clock, _SECONDS)
        for number in range(_TRIES):
            try:
                return self._push_once(reference, log)
            except EngineAnswered:
                raise
            except (Failed, Unreachable) as error:
                self._raise_final(reference, error)
                if number + 1 == _TRIES or deadline.passed:
                    if isinstance(error, Unreachable):
                        raise
                    raise Failed(
                        f"{reference.repository}:{reference.tag} could not be pushed in {number + 1} tries: {error}",
                        hint="The registry's words are above; push again: what it has is not sent twice.",
                    ) from error
                log(f"push: {error}; again in {2**number} s")
                deadline.pause(2**number)
        raise AssertionError("the last try raises")

    def _raise_final(self, reference: Reference, error: PipelineError) -> None:
        """Raises for what no further try mends: a refusal, and a request that will never be taken."""
        from pipeline.edge.registry_connection import refusal

        status = found[1] if (found := _STATUS.search(str(error))) else ""
        if str(error).startswith(_REFUSALS) or status in ("401", "403"):
            user = self.access.logins.of(reference.registry).user
            raise refusal(reference.registry, user, f"{reference.path}: {error}") from error
        if status and status not in _WORTH_ANOTHER_TRY:
            raise Failed(
                f"{reference.repository}:{reference.tag} could not be pushed: {error}",
                hint="It is the answer of a proxy in front of the registry; 413 means that it takes no layer this big.",
            ) from error

    def _push_once(self, reference: Reference, log: Listener) -> str:
        doing = f"push {reference.repository}:{reference.tag}"
        with engine_errors(self.access.address, doing):
            stream = self.access.client.push(
                reference.repository,
                tag=reference.tag,
                stream=True,
                decode=True,
                auth_config=self.credentials(reference.registry),
            )
        digest = error = ""
        for message in messages_of(stream, self.access.address, doing):
            error = error_in(message) or error  # read to the end: only then the connection is free
            if (line := progress_line(message)) is not None:
                log(line)
            if isinstance(aux := message.get("aux"), Mapping):
                digest = str(aux.get("Digest", digest))
        if error or not digest:
            raise Failed(error or "the engine told no digest", hint="")
        return digest


def _verified(registry: RegistryClient | None, reference: Reference, digest: str) -> str:
    """Raises Failed unless the registry has that digest under the reference."""
    if registry is None:
        return digest
    if (found := registry.digest(reference.path, reference.tag)) != digest:
        raise Failed(
            f"{reference.repository}:{reference.tag} is {found or 'not there'}, and not {digest}",
            hint="Another pipeline moved the tag, or the registry was cleaned up: build again.",
        )
    return digest


def _put(registry: RegistryClient | None, reference: Reference, digest: str, tag: str, log: Listener) -> None:
    if registry is None:
        log(f"push: the tag {tag} is not put: docker.io is left to the engine")
        return
    try:
        registry.put_tag(reference.path, digest, tag)
    except PipelineError as error:
        log(f"push: the tag {tag} is not put: {error}")


def _pushed(image: BuiltImage, reference: Reference, digest: str) -> BuiltImage:
    return msgspec.structs.replace(image, digest=f"{reference.repository}@{digest}")
