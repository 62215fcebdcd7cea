"""Sends an image from a Docker engine to its registry, and finds it there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.builders.base import Listener
from pipeline.builders.docker_log import error_in, messages_of, progress_line
from pipeline.edge.engine import engine_errors
from pipeline.edge.registry import RegistryClient, is_loopback, refusal
from pipeline.errors import BadInput, Failed, Unreachable
from pipeline.model import image as labels
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.clock import Clock, Deadline
from pipeline.model.image import BuiltImage, Reference, parse_reference

if TYPE_CHECKING:
    from docker import APIClient

_TRIES = 5
_SECONDS = 600.0
# The engine passes a registry's refusal on as text alone. It begins with the specification's error code in lower case;
# the last one is the engine's own, from before it asks.
_REFUSALS = ("unauthorized", "denied", "no basic auth credentials")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """The way from an engine to registries: who pushes, and with which patience."""

    client: APIClient
    address: EngineAddress
    login: RegistryAddress
    clock: Clock

    def credentials(self, registry: str) -> dict[str, str] | None:
        """For the engine's request; None leaves the choice to the docker command's own configuration."""
        if not self.login.user or registry != self.login.host:
            return None
        return {"username": self.login.user, "password": self.login.password.reveal()}

    def push(self, image: BuiltImage, log: Listener) -> BuiltImage:
        """Pushes unless the registry has the tag already, and asks it afterwards for what the engine says it took."""
        reference = parse_reference(image.reference)
        if not reference.registry and "/" not in reference.path:
            raise BadInput(
                f"{image.reference} names no registry to push to",
                hint="Set CI_REGISTRY_IMAGE, or registry.prefix in invoke.yaml; or build with --no-push.",
            )
        with self._open(reference) as registry:
            known = _digest_there(registry, reference, reference.tag)
            if known and f"{reference.repository}@{known}" in self._digests(image):
                return _pushed(image, reference, known)
            digest = self._push_until(reference, log)
            if _digest_there(registry, reference, digest) == "":
                raise Failed(
                    f"the registry {reference.registry} does not have {reference.repository}@{digest} after the push",
                    hint="Push again; a registry that loses what it took needs its operator.",
                )
        return _pushed(image, reference, digest)

    def lookup(self, reference: Reference) -> BuiltImage | None:
        """The image as the registry has it, without an id."""
        if not reference.registry:
            return None
        with self._open(reference) as registry:
            found = registry.describe(reference.path, reference.digest or reference.tag)
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

    def _push_until(self, reference: Reference, log: Listener) -> str:
        """The digest. What the engine says in band is tried again, save a refusal: it stays one."""
        deadline = Deadline(self.clock, _SECONDS)
        for number in range(_TRIES):
            try:
                return self._push_once(reference, log)
            except Failed as error:
                if str(error).startswith(_REFUSALS):
                    raise refusal(reference.registry, self.login.user, str(error)) from error
                if number + 1 == _TRIES or deadline.passed:
                    raise Failed(
                        f"{reference.repository}:{reference.tag} could not be pushed in {number + 1} tries: {error}",
                        hint="The registry's words are above; push again: what it has is not sent twice.",
                    ) from error
                log(f"push: {error}; again in {2**number} s")
                deadline.pause(2**number)
        raise AssertionError("the last try raises")

    def _push_once(self, reference: Reference, log: Listener) -> str:
        doing = f"push {reference.repository}:{reference.tag}"
        with engine_errors(self.address, doing):
            stream = self.client.push(
                reference.repository,
                tag=reference.tag,
                stream=True,
                decode=True,
                auth_config=self.credentials(reference.registry),
            )
        digest = ""
        for message in messages_of(stream, self.address, doing):
            if (error := error_in(message)) is not None:
                raise Failed(error, hint="")
            if (line := progress_line(message)) is not None:
                log(line)
            if isinstance(aux := message.get("aux"), Mapping):
                digest = str(aux.get("Digest", digest))
        if not digest:
            raise Failed("the engine told no digest", hint="")
        return digest

    def _digests(self, image: BuiltImage) -> list[str]:
        with engine_errors(self.address, f"look for the image {image.reference}"):
            found: dict[str, Any] = self.client.inspect_image(image.reference)  # type: ignore[no-untyped-call]  # stubs
        return found["RepoDigests"] or []

    def _open(self, reference: Reference) -> RegistryClient:
        insecure = is_loopback(reference.registry)
        if not insecure:
            with engine_errors(self.address, "tell which registries are insecure"):
                configured = self.client.info()["RegistryConfig"]["IndexConfigs"] or {}
            insecure = not configured.get(reference.registry, {}).get("Secure", True)
        return RegistryClient(reference.registry, self.login, insecure=insecure, clock=self.clock)


def _digest_there(registry: RegistryClient, reference: Reference, name: str) -> str | None:
    """None when it cannot be asked: the engine may reach a registry that this machine does not."""
    if not reference.registry:
        return None
    try:
        return registry.digest(reference.path, name)
    except Unreachable:
        return None


def _pushed(image: BuiltImage, reference: Reference, digest: str) -> BuiltImage:
    return msgspec.structs.replace(image, digest=f"{reference.repository}@{digest}")
