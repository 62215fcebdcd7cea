"""What else lies in a project of Rancher's, and what of an environment is put away there (platforms.base.Upkeep)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pipeline.edge.rancher_answers import RancherAnswered, Unanswered
from pipeline.edge.rancher_client import RancherClient
from pipeline.errors import Failed
from pipeline.model.clock import Clock, Deadline
from pipeline.model.rancher import GONE, STRANGERS, ServiceRow, StackRow
from pipeline.model.stack import FoundContainer, FoundStack, State
from pipeline.model.surroundings import FoundImage, Surroundings
from pipeline.platforms.rancher_found import found_stack, parse_place
from pipeline.platforms.rancher_removal import Removal
from pipeline.platforms.rancher_services import Services

_SECONDS = 180.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_STOPPED = ("inactive",)
_STARTS = ("registering", "activating")


class RancherUpkeep:
    """Of one project. Images and volumes lie on hosts that only Rancher reaches: there are none here."""

    def __init__(self, client: RancherClient, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._removing = Removal(client, Services(client, clock), clock, is_mine=_anything)

    def surroundings(self) -> Surroundings:
        """As Upkeep.surroundings: what has our mark is passed over by the server; two listings, and two more where
        there is something."""
        stacks = [row for row in self._all("stacks", StackRow) if not row.going]
        services: dict[str, list[ServiceRow]] = defaultdict(list)
        for service in self._all("services", ServiceRow) if stacks else ():
            services[service.stack_id or ""].append(service)
        found = (_stranger(row, services.get(row.id, ())) for row in stacks)
        return Surroundings(now=self._client.now(), strangers=tuple(sorted(found, key=lambda stack: stack.name)))

    def stop(self, containers: Sequence[FoundContainer]) -> None:
        """Whole services rest: Rancher starts again what is only stopped."""
        self._each(containers, "deactivate", rests=True)

    def resume(self, containers: Sequence[FoundContainer]) -> None:
        self._each(containers, "activate", rests=False)

    def remove(self, containers: Sequence[FoundContainer]) -> None:
        places = [place for one in containers if (place := parse_place(one.id)) is not None]
        self._removing.remove(places, [one.id for one in containers if parse_place(one.id) is None])

    def remove_image(self, image: FoundImage) -> bool:  # noqa: ARG002 - a host's own images
        return False

    def space(self) -> int:
        return 0

    def _each(self, containers: Sequence[FoundContainer], action: str, *, rests: bool) -> None:
        places = (parse_place(one.id) for one in containers)
        names = {place.service_id: one.name for place, one in zip(places, containers, strict=True) if place}
        for service_id, name in names.items():
            self._bring(service_id, name, action, rests=rests)

    def _bring(self, service_id: str, name: str, action: str, *, rests: bool) -> None:
        """Until the service rests, or is on its way to run. An action that its state does not offer is asked for again:
        something else is being done to it."""
        deadline = Deadline(self._clock, _SECONDS)
        pause = _FIRST_PAUSE
        while True:
            found = self._client.find("services", service_id, ServiceRow)
            if found is None or found.going or found.state in GONE:
                if rests:
                    return
                raise Failed(f"the container {name} was removed by somebody else", hint="Run the same again.")
            if found.state in _STOPPED if rests else found.state not in (*_STOPPED, "deactivating"):
                return
            if deadline.passed:
                raise Failed(
                    f"the service {found.name} is {found.state} after {_SECONDS:g} s",
                    hint=f"Look at it in Rancher ({self._client.url}); the next run goes on from there.",
                )
            if found.state != "deactivating":
                self._act(service_id, action)
            deadline.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _act(self, service_id: str, action: str) -> None:
        try:
            self._client.act("services", service_id, action, None, ServiceRow)
        except Unanswered:
            return
        except RancherAnswered as error:
            if error.status not in (404, 409) and error.code != "ActionNotAvailable":
                raise

    def _all(self, kind: str, row: type[Any]) -> Iterable[Any]:
        for filters in STRANGERS:
            for page in self._client.pages(kind, row, filters | {"system": "false"}):
                yield from page


def _stranger(row: StackRow, services: Iterable[ServiceRow]) -> FoundStack:
    """From its services alone: whether each of its containers is well is asked of nobody."""
    states = {service.id: _state(service) for service in services}
    found = found_stack(row, services, (), "")
    containers = (replace(one, state=states[one.id.partition("/")[0]]) for one in found.containers)
    nobody = {"service": "", "branch": "", "commit": "", "version": "", "sameness": "", "subject": "", "author": ""}
    return replace(found, containers=tuple(containers), **nobody)  # type: ignore[arg-type]  # each is a text


def _state(service: ServiceRow) -> State:
    if service.state in _STOPPED:
        return "stopped"
    return "starting" if service.state in _STARTS else "running"


def _anything(_: StackRow | ServiceRow) -> bool:
    """What is given here was judged to be the environment's: by its mark, or by a record that it was taken over."""
    return True
