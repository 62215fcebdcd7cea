"""What a base image is, for a fingerprint that is the same wherever the image happens to be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from pipeline.builders.docker_push import Registries
from pipeline.builders.docker_registries import PROCESS_SILENCES, Silences, left_to_the_engine
from pipeline.edge.engine import EngineAnswered, engine_errors
from pipeline.errors import PipelineError, Unreachable
from pipeline.model.image import DOCKER_IO, Reference, parse_reference

if TYPE_CHECKING:
    from docker import APIClient

    from pipeline.edge.registry import RegistryClient

_ENGINE_SECONDS = 10
_KNOWN_TO_BE_NOTHING = (401, 403, 404)


class BaseImages:
    """`open_client` opens a client of the same engine: one that is given less time than the usual one."""

    def __init__(
        self,
        registries: Registries,
        open_client: Callable[[], APIClient],
        *,
        silences: Silences = PROCESS_SILENCES,
    ) -> None:
        self._access = registries.access
        self._open_client = open_client
        self._silences = silences
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def base_identity(self, reference: str) -> str:
        """What an image is: the same text on an engine that has it and on one that would pull it. Of these the first:

        1. the digest in the reference itself;
        2. what the engine knows of this very repository (RepoDigests: it was pulled or pushed); of several, the one
           that the tag has in the registry now, else the first;
        3. the registry's digest of the tag: for an image that the engine has otherwise (built, loaded) only if it is
           that image, by its id;
        4. the engine's id, for an image that is in no registry;
        5. empty: neither has it, or nobody can say.

        A registry is asked with HEAD, once per reference, one that did not answer never again in this process. With
        docker.io the engine speaks, whose question counts as one pull there; so it is only asked for what the engine
        does not have, where the build would pull it anyway. What is wrong with a login or a registry is not told here:
        it makes an identity empty, and the pull or the push that follows says it."""
        parsed = parse_reference(reference)
        if parsed.digest:
            return parsed.digest
        found = self._access.inspect(reference)
        if found is None:
            return self._digest(reference, parsed)
        repositories = _names(parsed)
        known = [one.partition("@") for one in found["RepoDigests"] or ()]
        digests: list[str] = sorted({digest for repository, _, digest in known if repository in repositories})
        if len(digests) == 1:
            return digests[0]
        if left_to_the_engine(parsed):
            return digests[0] if digests else str(found["Id"])
        current = self._digest(reference, parsed)
        if digests:
            return current if current in digests else digests[0]
        return current if current and self._is(parsed, current, str(found["Id"])) else str(found["Id"])

    def _digest(self, name: str, reference: Reference) -> str:
        with self._lock:
            if name in self._known:
                return self._known[name]
        found = self._ask(reference)
        with self._lock:
            return self._known.setdefault(name, found)

    def _ask(self, reference: Reference) -> str:
        if reference.registry in self._silences:
            return ""
        try:
            if left_to_the_engine(reference):
                return self._ask_the_engine(reference)
            with self._open(reference) as registry:
                return registry.digest(reference.path, reference.tag)
        except Unreachable:
            self._silences.add(reference.registry)
        except PipelineError:
            pass
        return ""

    def _open(self, reference: Reference) -> RegistryClient:
        from pipeline.edge.registry_transport import BRIEF

        return self._access.open(reference.registry, patience=BRIEF)

    def _ask_the_engine(self, reference: Reference) -> str:
        """Raises Unreachable when docker.io does not answer the engine: it tells so with the status 500."""
        name = f"{reference.repository}:{reference.tag}"
        credentials = self._access.credentials(reference.registry)
        try:
            with closing(self._open_client()) as client, engine_errors(self._access.address, f"ask for {name}"):
                client.timeout = _ENGINE_SECONDS
                told = client.inspect_distribution(name, auth_config=credentials)  # type: ignore[no-untyped-call]  # stubs
        except EngineAnswered as error:
            if error.status in _KNOWN_TO_BE_NOTHING:
                return ""
            raise Unreachable(f"{DOCKER_IO} does not answer: {error}", hint="See the engine's log.") from error
        return str(told["Descriptor"]["digest"])

    def _is(self, reference: Reference, digest: str, image: str) -> bool:
        try:
            with self._open(reference) as registry:
                held = registry.describe(reference.path, digest, platform=self._access.platform)
        except PipelineError:
            return False
        return held is not None and held.id == image


def _names(reference: Reference) -> set[str]:
    """The names under which an engine may know the repository: those of docker.io are cut short."""
    if not left_to_the_engine(reference):
        return {reference.repository}
    path = reference.path.removeprefix("library/")
    return {path, f"library/{path}", f"{DOCKER_IO}/{path}", f"{DOCKER_IO}/library/{path}"}
