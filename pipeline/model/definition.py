"""From a manifest, a compose file and built images to the definition that a platform runs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pipeline.errors import BadInput
from pipeline.model.compose import ComposeFile
from pipeline.model.image import LABEL, BuiltImage
from pipeline.model.interpolate import secret_mark, secrets_in
from pipeline.model.manifest import Manifest
from pipeline.model.probe import probe_command
from pipeline.model.release import Release
from pipeline.model.stack import Definition, HealthCheck, Stack, StackService

_FACTS = ("version", "branch", "stack")


def facts_unknown() -> Mapping[str, str]:
    """The facts as sameness sees them: the same for every release."""
    return {name: f"<{name}>" for name in _FACTS}


def define(
    manifest: Manifest,
    compose: ComposeFile,
    scales: Mapping[str, int],
    images: Mapping[str, str],
    facts: Mapping[str, str],
) -> Definition:
    """What runs: `images` (compose service → image) win over the file's, `facts` over the file's environment, and the
    manifest's health is probed on the upstream service. Raises BadInput for an upstream or an image that is not there.
    """
    part = manifest.pipeline
    names = {service.name for service in compose.services}
    _check_names(manifest, names, images, scales)
    # A secret that no service's environment names goes to all of them.
    everywhere = {name: secret_mark(name) for name in part.secrets if name not in compose.variables}
    services = []
    for service in compose.services:
        image = images.get(service.name, service.image)
        if not image:
            raise BadInput(
                f"{part.compose}: services.{service.name} has neither image nor build",
                hint="Give it one of them, or name its source under pipeline.images in the manifest.",
            )
        scale = scales.get(service.name, 1)
        _check_scale(manifest, service, scale)
        services.append(
            msgspec.structs.replace(
                service,
                image=image,
                scale=scale,
                environment=everywhere | service.environment | dict(facts),
                health=_health(manifest, service),
            )
        )
    return Definition(
        services=tuple(services),
        volumes=compose.volumes,
        upstream_service=part.upstream.service,
        upstream_port=part.upstream.port,
    )


def make_stack(
    release: Release, definition: Definition, *, sameness: str, images: tuple[BuiltImage, ...], actor: str
) -> Stack:
    """The stack of a release, labelled with whose it is and what it is made from."""
    fingerprints = {f"{LABEL}fingerprint.{image.compose_service}": image.fingerprint for image in images}
    return Stack(
        name=release.stack,
        service=release.service,
        environment=release.environment,
        branch=release.branch,
        commit=release.commit,
        version=release.version,
        definition=definition,
        sameness=sameness,
        labels={
            f"{LABEL}service": release.service,
            f"{LABEL}environment": release.environment,
            f"{LABEL}stack": release.stack,
            f"{LABEL}branch": release.branch,
            f"{LABEL}commit": release.commit,
            f"{LABEL}version": release.version,
            f"{LABEL}subject": release.subject,
            f"{LABEL}author": release.author,
            f"{LABEL}actor": actor,
            f"{LABEL}definition": definition.digest(),
            f"{LABEL}sameness": sameness,
        }
        | fingerprints,
    )


def secrets_of(definition: Definition) -> tuple[str, ...]:
    """The names of the secrets that its containers are given."""
    found = {
        name for service in definition.services for text in service.environment.values() for name in secrets_in(text)
    }
    return tuple(sorted(found))


def _check_names(manifest: Manifest, names: set[str], images: Mapping[str, str], scales: Mapping[str, int]) -> None:
    part = manifest.pipeline
    there = f"Services there: {', '.join(sorted(names))}."
    if part.upstream.service not in names:
        raise BadInput(
            f"{manifest.file}: pipeline.upstream.service: {part.upstream.service!r} is not in {part.compose}",
            hint=there,
        )
    for name in images:
        if name not in names:
            raise BadInput(f"{manifest.file}: pipeline.images: {name!r} is not in {part.compose}", hint=there)
    for name in scales:
        if name not in names:
            raise BadInput(f"{part.rancher_compose}: services.{name} is not in {part.compose}", hint=there)


def _check_scale(manifest: Manifest, service: StackService, scale: int) -> None:
    part = manifest.pipeline
    if scale == 0 and service.name == part.upstream.service:
        raise BadInput(
            f"{part.rancher_compose}: services.{service.name}.scale is 0",
            hint="It is the service that the gateway sends requests to: give it 1 or more.",
        )
    fixed = next((port.host for port in service.ports if port.host), 0)
    if scale > 1 and fixed:
        raise BadInput(
            f"{part.compose}: services.{service.name}.ports: {scale} containers cannot share the port {fixed}",
            hint=f"Leave the host's port out, or set its scale in {part.rancher_compose} to 1.",
        )


def _health(manifest: Manifest, service: StackService) -> HealthCheck | None:
    health = manifest.pipeline.health
    if health is None or service.name != manifest.pipeline.upstream.service:
        return service.health
    return HealthCheck(
        test=("CMD-SHELL", probe_command(health, manifest.pipeline.upstream.port)),
        interval=health.interval,
        timeout=health.timeout,
        retries=health.retries,
    )
