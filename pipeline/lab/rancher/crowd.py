"""Thousands of stacks at once, as they are when they have come to rest: for clients that must read a large project."""

from __future__ import annotations

import uuid

from pipeline.lab.rancher.fields import checked
from pipeline.lab.rancher.kinds_other import KINDS
from pipeline.lab.rancher.lab_state import LabState
from pipeline.lab.rancher.names import instance_name, system_labels
from pipeline.lab.rancher.rows import Fields, Row


def fill(state: LabState, *, stacks: int, services: int, prefix: str = "crowd") -> None:
    """Adds so many active stacks with so many healthy services of one container each, without any process."""
    store, project = state.store, state.project
    resting = {"state": "active", "healthState": "healthy", "system": False}
    fields = checked(KINDS["stack"], KINDS, {"name": "x"}, creating=True) | resting
    inner = [_service(f"service-{position}") | resting for position in range(services)]
    for number in range(stacks):
        stack = store.add("stack", "stack", fields | {"name": f"{prefix}-{number}"}, project=project.number)
        for one in inner:
            _add(state, stack, one | {"stackId": stack.number})


def _service(name: str) -> Fields:
    config = {"imageUuid": f"docker:{name}:1", "healthCheck": {"port": 80}}
    fields = checked(KINDS["service"], KINDS, {"name": name, "stackId": "1st1", "launchConfig": config}, creating=True)
    fields["launchConfig"]["version"] = "0"
    return fields | {"currentScale": 1, "createIndex": 1}


def _add(state: LabState, stack: Row, fields: Fields) -> None:
    service = state.store.add("service", "service", fields, project=stack.project)
    name = service.name
    unit = str(uuid.uuid4())
    state.store.add(
        "instance",
        "container",
        {
            "name": instance_name(stack.name, name, "", 1),
            "state": "running",
            "healthState": "healthy",
            "healthCheck": fields["launchConfig"]["healthCheck"],
            "imageUuid": fields["launchConfig"]["imageUuid"],
            "labels": system_labels(stack, service, "", unit),
            "hostId": 1,
            "serviceId": service.number,
            "stackId": stack.number,
            "deploymentUnitUuid": unit,
            "version": "0",
            "createIndex": 1,
            "startCount": 1,
            "_unit": 1,
            "_config": "",
            "_launch": fields["launchConfig"],
        },
        project=stack.project,
    )
