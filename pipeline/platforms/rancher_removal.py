"""Taking stacks and services away from a Rancher server, and waiting until they are gone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from pipeline.edge.rancher_client import RancherClient
from pipeline.errors import Failed, Refused
from pipeline.model.clock import Clock, Deadline
from pipeline.model.rancher import GONE, ContainerRow, ServiceRow, StackRow
from pipeline.platforms.rancher_found import Place
from pipeline.platforms.rancher_services import Services
from pipeline.platforms.rancher_steps import Step, step_to_remove

_SECONDS = 180.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_ASKED_ENOUGH = 3


class Removal:
    """Removes what stands in given places and `is_mine`. A second call finds nothing and changes nothing."""

    def __init__(
        self,
        client: RancherClient,
        services: Services,
        clock: Clock,
        *,
        is_mine: Callable[[StackRow | ServiceRow], bool],
    ) -> None:
        self._client = client
        self._services = services
        self._clock = clock
        self._is_mine = is_mine

    def remove(self, places: Sequence[Place], empty_stacks: Iterable[str]) -> None:
        """A stack that is to lose every service goes as one. Volumes stay: no stack owns them."""
        left = {place.service_id for place in places}
        while left:
            service_id = left.pop()
            found = self._client.find("services", service_id, ServiceRow)
            if found is None or found.state in GONE or not found.stack_id or not self._is_mine(found):
                continue
            rows = self._client.every("services", ServiceRow, stackId=found.stack_id)
            of_stack = [row for row in rows if row.stack_id == found.stack_id and row.state not in GONE]
            left -= {row.id for row in of_stack}
            self._remove_of_stack(found.stack_id, of_stack, places)
        for stack_id in empty_stacks:
            if not self._client.every("services", ServiceRow, stackId=stack_id):
                self.remove_stack(stack_id)

    def remove_stack(self, stack_id: str) -> None:
        """Removes a stack and waits until its name is free and its containers are gone."""
        deadline = Deadline(self._clock, _SECONDS)
        pause, asked = _FIRST_PAUSE, 0
        while (row := self._client.find("stacks", stack_id, StackRow)) is not None and row.state not in GONE:
            if not self._is_mine(row) and not row.going:
                return
            if not row.going:
                if asked == _ASKED_ENOUGH:
                    raise Refused(
                        f"the key may not remove the stack {row.name} from the project {self._client.project}",
                        hint="Use a key of an environment, or of an account that is at least a member of it.",
                    )
                self._client.delete("stacks", stack_id)
                asked += 1
            if deadline.passed:
                raise self._stuck(f"the stack {row.name} is {row.state}")
            deadline.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        self._await_containers(stack_id, deadline)

    def _remove_of_stack(self, stack_id: str, services: Collection[ServiceRow], places: Sequence[Place]) -> None:
        given = {row.id: [place for place in places if place.service_id == row.id] for row in services}
        steps = {row.id: step_to_remove(row, given[row.id]) for row in services}
        whole = all(steps[row.id] is Step.REMOVE or row.state == "removing" or not row.scale for row in services)
        if whole and Step.REMOVE in steps.values():
            self.remove_stack(stack_id)
            return
        for row in services:
            if given[row.id]:
                self._services.retire(row.id, given[row.id])

    def _await_containers(self, stack_id: str, deadline: Deadline) -> None:
        """A stack is told to be removed while its containers still are being stopped."""
        pause = _FIRST_PAUSE
        while rows := self._client.every("containers", ContainerRow, stackId=stack_id):
            if deadline.passed:
                raise self._stuck(f"the container {rows[0].name} is {rows[0].state}")
            deadline.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _stuck(self, what: str) -> Failed:
        return Failed(
            f"{what} after {_SECONDS:g} s",
            hint=f"Look at it in Rancher ({self._client.url}); the next run goes on from there.",
        )
