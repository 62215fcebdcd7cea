"""Services of one stack on a Rancher server, brought to where they should be: look, one step, look again.

Nothing here is repeated blindly. After an answer that was lost, a lock that somebody held or an action that the state
does not offer any more, the next look says what became of it; so does a run go on from where another one died.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.edge.rancher_answers import RancherAnswered, Unanswered
from pipeline.edge.rancher_client import RancherClient
from pipeline.errors import Failed
from pipeline.model.clock import Clock, Deadline
from pipeline.model.rancher import ContainerRow, ServiceRow, ServiceWhole
from pipeline.model.secret import Secret
from pipeline.model.stack import RancherPart, Stack, StackService
from pipeline.platforms.rancher_found import Place
from pipeline.platforms.rancher_payload import defined, service_payload, upgrade_payload
from pipeline.platforms.rancher_steps import Step, step_to_remove, step_to_run

_SETTLE_SECONDS = 120.0
_REMOVE_SECONDS = 180.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# The state is another one than it was a moment ago, a lock is held, the name is taken: look again.
_LOOK_AGAIN = ("ActionNotAvailable", "Conflict", "NotUnique", "InvalidState")


class Services:
    """What changes services. Every call may be made again."""

    def __init__(self, client: RancherClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def bring(
        self, stack: Stack, stack_id: str, service: StackService, secrets: Mapping[str, Secret], known: str | None
    ) -> None:
        """Until the service runs as defined or is on its way there. `known` is its id, None where there is none yet."""
        digest = stack.definition.digest()
        deadline = Deadline(self._clock, _SETTLE_SECONDS)
        pause = _FIRST_PAUSE
        found = self._client.find("services", known, ServiceWhole) if known else None
        while True:
            step = step_to_run(found, digest, fits=_fits(found, service), well=self._well(found))
            if step is Step.NOTHING:
                return
            if deadline.passed:
                raise self._stuck(stack.name, service.name, found)
            told, refused = None, None
            if step is not Step.WAIT:
                try:
                    told = self._do(step, stack, stack_id, service, secrets, found)
                except (Unanswered, RancherAnswered) as error:
                    refused = error
            if told is None:
                deadline.pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            found = told or self._look(stack_id, service.name)
            if refused is not None and not _is_open(refused, found):
                raise refused

    def retire(self, service_id: str, places: Sequence[Place]) -> None:
        """Until the service is without the containers at the places: its upgrade is finished or rolled back, or it is
        removed. Waits for the end of that."""
        deadline = Deadline(self._clock, _REMOVE_SECONDS)
        pause, undone = _FIRST_PAUSE, False
        while True:
            found = self._client.find("services", service_id, ServiceWhole)
            step = step_to_remove(found, places)
            if step is Step.NOTHING or found is None:
                if undone and found is not None:
                    self._restore_scale(found)
                return
            if deadline.passed:
                raise self._stuck(self._client.project, found.name or service_id, found)
            undone = undone or step is Step.ROLLBACK
            if step is not Step.WAIT:
                self._retire(step, found)
            deadline.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _do(
        self,
        step: Step,
        stack: Stack,
        stack_id: str,
        service: StackService,
        secrets: Mapping[str, Secret],
        found: ServiceWhole | None,
    ) -> ServiceWhole:
        """The service as the server has it after the step."""
        if step is Step.CREATE or found is None:
            return self._client.create("services", service_payload(stack, stack_id, service, secrets), ServiceWhole)
        if step is Step.UPDATE:
            return self._client.update("services", found.id, _own(found, service), ServiceWhole)
        body: dict[str, Any] | None = None
        if step is Step.UPGRADE:
            sidekicks = found.secondary_launch_configs or []
            body = upgrade_payload(stack, service, found.launch_config or {}, sidekicks, secrets)
        return self._client.act("services", found.id, step.value, body, ServiceWhole)

    def _retire(self, step: Step, found: ServiceWhole) -> None:
        try:
            if step is Step.REMOVE:
                self._client.delete("services", found.id)
            else:
                self._client.act("services", found.id, step.value, None, ServiceWhole)
        except (Unanswered, RancherAnswered) as error:
            if not _is_open(error, found):
                raise

    def _look(self, stack_id: str, name: str) -> ServiceWhole | None:
        """By name, as the server compares them: case does not count. One that is going is looked at as well."""
        rows = self._client.every("services", ServiceRow, stackId=stack_id)
        ids = [row.id for row in rows if row.stack_id == stack_id and (row.name or "").lower() == name.lower()]
        return self._client.find("services", min(ids, key=_age), ServiceWhole) if ids else None

    def _well(self, found: ServiceWhole | None) -> bool:
        """Whether what an unfinished upgrade brought runs whole."""
        if found is None or found.state != "upgraded":
            return False
        rows = self._client.every("containers", ContainerRow, serviceId=found.id)
        new = [row for row in rows if row.marks.definition == found.digest and row.state == "running"]
        return len(new) >= (found.scale or 0) and all(row.health_state in (None, "healthy") for row in new)

    def _restore_scale(self, found: ServiceWhole) -> None:
        """An upgrade leaves the scale alone, so that of the release that is back is put back with it."""
        scale = next(iter(defined(found.launch_config or {})["scale"]), "")
        if scale.isdecimal() and int(scale) != found.scale:
            self._client.update("services", found.id, {"scale": int(scale)}, ServiceWhole)

    def _stuck(self, stack: str, name: str, found: ServiceWhole | None) -> Failed:
        state = f"is {found.state}" if found is not None else "is not there"
        why = f": {found.note}" if found is not None and found.note else ""
        return Failed(
            f"{stack}: the service {name} {state} and does not get on{why}",
            hint=f"Look at it in Rancher ({self._client.url}); the next run goes on from there.",
        )


def _is_open(error: Unanswered | RancherAnswered, found: ServiceWhole | None) -> bool:
    """Whether the next look tells what became of it. A name that is taken, by no service that can be seen, stays so."""
    if isinstance(error, Unanswered):
        return True
    # A change that the state does not allow is answered with 500 (a process that was cancelled).
    return error.status in (409, 500) or (error.code in _LOOK_AGAIN and found is not None)


def _fits(found: ServiceWhole | None, service: StackService) -> bool:
    return found is None or not _own(found, service)


def _own(found: ServiceWhole, service: StackService) -> dict[str, Any]:
    """What of the service itself differs: a launch config is changed by an upgrade, these are not."""
    part = service.rancher or RancherPart()
    differing: dict[str, Any] = {}
    if found.scale != service.scale:
        differing["scale"] = service.scale
    metadata = found.metadata or {}
    if any(metadata.get(key) != value for key, value in part.metadata.items()):
        differing["metadata"] = metadata | part.metadata
    if bool(found.retain_ip) != part.retain_ip:
        differing["retainIp"] = part.retain_ip
    return differing


def _age(id_: str) -> int:
    digits = "".join(char for char in id_[1:] if char.isdigit())
    return int(digits or 0)
