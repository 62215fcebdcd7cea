"""The ports to a platform: stacks are found, started, observed, explained and removed; and put away for a while."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pipeline.model.secret import Secret
from pipeline.model.stack import FoundContainer, FoundStack, Stack

if TYPE_CHECKING:
    from pipeline.model.inventory import Carried, FoundVolume, Inventory
    from pipeline.model.surroundings import FoundImage, Surroundings


class Platform(Protocol):
    """What runs the stacks of one environment. Every method may raise Unreachable, and Failed with the reason."""

    def stacks(self) -> tuple[FoundStack, ...]:
        """Every stack of the environment that this toolkit made, in one listing pass, oldest first. Reads only."""

    def observe(self, name: str) -> FoundStack | None:
        """One stack in detail (restarts and exit codes too), or None. Reads only."""

    def start(self, stack: Stack, secrets: Mapping[str, Secret]) -> None:
        """Creates and starts what is missing of the stack and does not wait for health. Containers of the same stack
        with another definition are left as they are. A second call changes nothing that runs as defined."""

    def remove(self, containers: Sequence[FoundContainer]) -> None:
        """Stops the containers in their grace time and removes them; volumes stay. Missing ones are not an error."""

    def logs(self, name: str, *, tail: int, follow: bool) -> Iterator[str]:
        """The stack's log lines, each with its container's short name in front; `tail` per container, 0 for all."""

    def explain(self, name: str) -> tuple[str, ...]:
        """Lines for people on why a stack is not well: states, exit codes, the last output of its health checks."""


class Upkeep(Protocol):
    """What is put away in an environment, and what else lies on its platform. Every method may be called by several
    threads at once, and may raise Unreachable, and Failed with the reason."""

    def surroundings(self) -> Surroundings:
        """All that is there beside the environment's stacks, in one listing pass to its real end. Reads only."""

    def stop(self, containers: Sequence[FoundContainer]) -> None:
        """Stops the containers in their grace time and leaves them there. A second call changes nothing; missing ones
        are not an error."""

    def resume(self, containers: Sequence[FoundContainer]) -> None:
        """Starts stopped containers as they were made, in this order, and does not wait for health. A second call
        changes nothing. Raises Failed for one that is gone."""

    def remove(self, containers: Sequence[FoundContainer]) -> None:
        """As Platform.remove."""

    def remove_image(self, image: FoundImage) -> bool:
        """Removes it with all of its names, and tells whether it is gone: one that a container has stays, as does one
        that this platform cannot remove. Missing ones are not an error."""

    def space(self) -> int:
        """Bytes that images take on the platform, each layer once; 0 where that cannot be told. Reads only."""


class Exporter(Protocol):
    """What a platform tells of an environment, so that it can be made again elsewhere. Reads only, all of it."""

    def inventory(self, stacks: Collection[str]) -> Inventory:
        """The environment with these of its stacks, each in full; the others are only counted. Environment values are
        as the containers have them. Stacks that go meanwhile are not in it."""

    def scripts(self, inventory: Inventory, carried: Mapping[str, Carried]) -> Mapping[str, tuple[str, ...]]:
        """The calls that make this inventory, by the path of their script; `carried` are archives by the reference of
        their image or the name of their volume. Pure: the same inventory gives the same calls."""

    def image_archive(self, images: Sequence[str]) -> Iterator[bytes]:
        """Images as an archive that an engine loads, with the layers that they share once."""

    def volume_archive(self, volume: FoundVolume) -> Iterator[bytes]:
        """The files of a volume as a tar archive."""


class Stage(Protocol):
    """A throw-away environment of this machine."""

    def clear(self) -> None:
        """Removes all that carries its name: containers, volumes, networks. A second call finds nothing. Refused for a
        name that is no rehearsal's."""
