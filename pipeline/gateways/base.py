"""The ports to a gateway: its routes are read, changed as planned and dumped; its proxy is asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from pipeline.model.check import Answer, Question
from pipeline.model.plan import Change
from pipeline.model.route import FoundRoute, FoundUpstream, GatewayIdentity, GatewayState, Owner, Route
from pipeline.model.uri_route import UriRoute

if TYPE_CHECKING:
    from pipeline.model.restoration import Step


class Gateway(Protocol):
    """A gateway of one environment. Every method may raise Unreachable, and GatewayAnswered for a refusal."""

    def identity(self) -> GatewayIdentity:
        """What answers, and the environments its entities carry. Reads only."""

    def routes(self) -> tuple[FoundRoute, ...]:
        """Every route that it has, ours or not, in one listing pass to the real end. Reads only."""

    def plan(self, wanted: Route) -> tuple[Change, ...]:
        """What has to be written so that `wanted` holds, in order; nothing when nothing differs. Reads only, in at most
        3 requests when nothing differs. For a route that exists, traffic moves with one of the changes (the switch),
        the last. Plugins that others set on the service are steps that keep them.

        Refused when an entity of the service's name belongs to someone else, or when the gateway cannot be written to.
        """

    def apply(self, changes: Sequence[Change]) -> None:
        """Writes the changes in order. When one fails or is interrupted, those begun are put back (before-images) and
        the error says truthfully which were changed, put back, and could not be put back. Applied twice: the second
        writes the same values again.
        """

    def revert(self, changes: Sequence[Change]) -> None:
        """Puts the before-images back, last first, whether or not a change was written. A second call changes
        nothing. Failed names what could not be put back."""

    def dump(self) -> GatewayState:
        """Everything that it holds, sorted, without clocks, consistent in itself. Reads only."""


class Custody(Protocol):
    """Whose a gateway's routes are, and the end of those that lead nowhere. What is planned here, Gateway.apply writes.
    Every method may raise Unreachable, and GatewayAnswered for a refusal."""

    def upstreams(self, names: Collection[str]) -> tuple[FoundUpstream, ...]:
        """Of these names those that stand for several targets, with all of them, to the real end. Reads only."""

    def plan_removal(self, route: FoundRoute) -> tuple[Change, ...]:
        """What has to be deleted so that the route is gone, and what only it led through with it; nothing when it is
        gone. Reads only."""

    def plan_adoption(self, route: FoundRoute, owner: Owner) -> tuple[Change, ...]:
        """What has to be written so that the route is the owner's, under the service's name and with its tags where
        there are any; nothing when it is. No traffic moves. Reads only. Refused when the name is somebody else's, and
        when another route would change hands with it."""


class Restorer(Protocol):
    """A gateway as a restore writes to it. Used by several threads at once; every method may raise Unreachable, and
    GatewayAnswered for a refusal."""

    def require_writable(self) -> None:
        """Refused for a gateway that takes no changes. Reads only."""

    def write(self, step: Step) -> None:
        """Does one step of a plan. A write of which it is unclear whether it acted is looked up before it is sent a
        second time. Done twice, the second writes the same values again."""

    def undo(self, step: Step) -> None:
        """Makes the step's entity what it was before, whether or not the step was done. A second call changes
        nothing."""

    def holds(self, step: Step) -> bool:
        """Whether the step's entity is as after the step (a hash counts as equal). Reads only."""


class GatewayByUri(Gateway, Protocol):
    """A gateway whose routes are also written by uri alone, as the first pipeline's command does."""

    def plan_uri(self, wanted: UriRoute) -> tuple[Change, ...]:
        """What has to be written so that the uri leads to the upstream, whoever made its route; nothing when it does.
        Reads only. Refused when something else would move with it."""


class Front(Protocol):
    """A gateway's proxy as a client meets it."""

    @property
    def url(self) -> str:
        """Where it is, for messages."""

    def ask(self, question: Question, *, timeout: float) -> Answer:
        """One request on a connection of its own; `timeout` in seconds for the whole of it.

        Raises Unreachable when no connection can be made or it breaks; one that stays silent is an Answer of NO_ANSWER.
        """
