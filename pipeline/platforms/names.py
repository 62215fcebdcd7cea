"""Names of what a stack consists of on an engine: the same release, service and environment give the same names."""

from __future__ import annotations

import hashlib

from pipeline.model.ci import family
from pipeline.model.stack import Definition, Stack, StackService


def network_name(environment: str) -> str:
    """Reviews share one: one gateway is in front of them all."""
    return f"pipeline-{family(environment)}"


def volume_name(stack: Stack, short: str) -> str:
    """Volumes belong to service and environment, and outlive stacks."""
    return f"{stack.service}-{dashed(stack.environment)}-{short}"


def container_name(stack: Stack, service: StackService, number: int, digest: str) -> str:
    """Unique per definition, so that a changed one is started beside the old one before that goes, and per environment:
    two of them on one engine may run the same release."""
    told = hashlib.sha256(f"{stack.environment} {digest}".encode()).hexdigest()[:8]
    return f"{stack.name}.{service.name}.{number}-{told}"


def dashed(environment: str) -> str:
    return environment.replace("/", "-")


def volumes_of(definition: Definition) -> tuple[str, ...]:
    named = {
        mount.source
        for service in definition.services
        for mount in service.mounts
        if mount.source and not mount.source.startswith("/")
    }
    return tuple(sorted(named | set(definition.volumes)))
