"""Tags of releases that are gone, taken out of a registry (builders.base.RegistryTags)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.errors import Failed
from pipeline.model.image import parse_reference

if TYPE_CHECKING:
    from pipeline.builders.docker_registries import RegistryAccess
    from pipeline.edge.registry import RegistryClient


class DockerTags:
    """By the registry's API, with the logins that pushing has."""

    def __init__(self, access: RegistryAccess) -> None:
        self._access = access

    def tags(self, repository: str) -> tuple[str, ...]:
        reference = parse_reference(repository)
        with self._access.open(reference.registry) as client:
            return client.tags(reference.path)

    def remove(self, repository: str, tags: Mapping[str, str]) -> tuple[str, ...]:
        """As RegistryTags.remove; a registry that deletes by digest alone is asked once for each of its tags."""
        reference = parse_reference(repository)
        with self._access.open(reference.registry) as client:
            path = reference.path
            there = set(client.tags(path))
            meant = {tag: digest for tag, digest in tags.items() if tag in there and client.digest(path, tag) == digest}
            gone = [tag for tag in tags if tag not in there]
            left = dict(meant)
            for tag in meant:
                if not client.delete(path, tag):
                    break
                gone.append(tag)
                del left[tag]
            if left:
                gone += _by_digest(client, path, left, there - meant.keys())
        return tuple(sorted(gone))


def _by_digest(client: RegistryClient, path: str, tags: Mapping[str, str], others: set[str]) -> list[str]:
    """A manifest goes with every tag that it has: so none goes that has a tag which is to stay. The tags by which an
    image's sources are found (`sources.…`) are ours to lose."""
    staying = {client.digest(path, other) for other in others if not other.startswith("sources.")}
    gone = []
    for tag, digest in sorted(tags.items()):
        if digest in staying:
            continue
        if not client.delete(path, digest):
            raise Failed(
                f"the registry of {path} deletes neither tags nor manifests",
                hint="Its operator has to allow it (storage.delete.enabled of a docker-registry).",
            )
        gone.append(tag)
    return gone
