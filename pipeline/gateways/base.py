"""The port to a gateway: routes are read, changed as planned, and the whole of it dumped and restored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.model.plan import Change
from pipeline.model.route import Entity, FoundRoute, GatewayIdentity, GatewayState, Route


class Gateway(Protocol):
    """A gateway of one environment. Every method may raise Unreachable, and GatewayAnswered for a refusal."""

    def identity(self) -> GatewayIdentity:
        """What answers, and the environments its entities carry. Reads only."""

    def routes(self) -> tuple[FoundRoute, ...]:
        """Every route that it has, ours or not, in one listing pass to the real end. Reads only."""

    def plan(self, wanted: Route) -> tuple[Change, ...]:
        """What has to be written so that `wanted` holds, in order; empty when nothing differs. Reads only.

        For a route that exists, traffic moves with exactly one of the changes (the switch).
        """

    def apply(self, changes: Sequence[Change]) -> None:
        """Writes the changes in order. When one fails, those already written are put back (before-images) and the
        error says truthfully which were changed and which were put back. Applied twice: the second writes the same
        values again.
        """

    def revert(self, changes: Sequence[Change]) -> None:
        """Puts the before-images of applied changes back, last first. A second call changes nothing."""

    def dump(self) -> GatewayState:
        """Everything that it holds, sorted, without clocks. Reads only."""


class Restorable(Protocol):
    """A gateway that takes a dump back."""

    def plan_restore(self, entities: Sequence[Entity]) -> tuple[Change, ...]:
        """What has to be written so that each of the entities is there as given; deletes nothing. Reads only."""

    def apply(self, changes: Sequence[Change]) -> None:
        """As Gateway.apply."""
