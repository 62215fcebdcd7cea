"""The port to a platform: stacks are found, started, observed, explained and removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from pipeline.model.secret import Secret
from pipeline.model.stack import FoundContainer, FoundStack, Stack


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
