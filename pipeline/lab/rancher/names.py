"""Names: what a stack, a service or an alias may be called, and what Rancher calls a container."""

from __future__ import annotations

import re

from pipeline.lab.rancher.faults import invalid
from pipeline.lab.rancher.rows import Row

_SERVICE = re.compile(r"[a-zA-Z0-9](?!.*--)[a-zA-Z0-9-]*")
_ALIAS = re.compile(r"[a-zA-Z0-9\-._]*")


def check_stack_name(name: str) -> None:
    """Raises Fault 422; the schema has seen to the characters and the length."""
    if name.startswith("-") or name.endswith("-"):
        raise invalid("InvalidCharacters", "name")


def check_service_name(name: str) -> None:
    """For services and sidekicks. Raises Fault 422."""
    if not _SERVICE.fullmatch(name) or name.endswith("-"):
        raise invalid("InvalidCharacters", "name")


def check_alias(name: str) -> None:
    """For the names of links. Raises Fault 422."""
    if not name:
        return
    if len(name) > 253:
        raise invalid("MaxLengthExceeded", "name")
    if not _ALIAS.fullmatch(name):
        raise invalid("InvalidCharacters", "name")
    for label in name.split("."):
        if not label:
            raise invalid("InvalidCharacters", "name")
        if len(label) > 63:
            raise invalid("MaxLengthExceeded", "name")
        if label.startswith("-") or label.endswith("-") or "--" in label:
            raise invalid("InvalidCharacters", "name")


def instance_name(stack: str, service: str, sidekick: str, index: int) -> str:
    return "-".join((stack, service, *((sidekick,) if sidekick else ()), str(index)))


def system_labels(stack: Row, service: Row, sidekick: str, unit: str) -> dict[str, str]:
    """The labels that the server itself puts on a service's container."""
    full = "/".join((stack.name, service.name, *((sidekick,) if sidekick else ())))
    return {
        "io.rancher.stack.name": stack.name,
        "io.rancher.stack_service.name": full,
        "io.rancher.project.name": stack.name,
        "io.rancher.project_service.name": full,
        "io.rancher.service.deployment.unit": unit,
        "io.rancher.service.launch.config": sidekick or "io.rancher.service.primary.launch.config",
    }
