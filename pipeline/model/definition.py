"""From a manifest, a compose file and built images to the definition that a platform runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import msgspec

from pipeline.errors import BadInput
from pipeline.model.compose import ComposeFile
from pipeline.model.image import LABEL, BuiltImage
from pipeline.model.interpolate import secret_mark, secrets_in
from pipeline.model.manifest import Health, Manifest
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
    if part.upstream.service not in names:
        raise BadInput(
            f"{manifest.file}: pipeline.upstream.service: {part.upstream.service!r} is not in {part.compose}",
            hint=f"Services there: {', '.join(sorted(names))}.",
        )
    for name in (*images, *scales):
        if name not in names:
            raise BadInput(
                f"{manifest.file}: {name!r} is not a service of {part.compose}",
                hint=f"There: {', '.join(sorted(names))}.",
            )
    everywhere = _secrets_for_all(manifest, compose)
    services = []
    for service in compose.services:
        image = images.get(service.name, service.image)
        if not image:
            raise BadInput(
                f"{part.compose}: services.{service.name} has neither image nor build",
                hint="Give it one of them, or name its source under pipeline.images in the manifest.",
            )
        services.append(
            msgspec.structs.replace(
                service,
                image=image,
                scale=scales.get(service.name, 1),
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


def _secrets_for_all(manifest: Manifest, compose: ComposeFile) -> dict[str, str]:
    """A declared secret that no service's environment asks for goes to all of them."""
    asked = {name for service in compose.services for text in service.environment.values() for name in secrets_in(text)}
    return {name: secret_mark(name) for name in manifest.pipeline.secrets if name not in asked}


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


def probe_command(health: Health, port: int) -> str:
    """A line of POSIX sh that asks the container's own port with what its image has: curl, wget or Python.

    The reason is printed on failure, so that it shows in the engine's health log; proxies are not for loopback.
    """
    url = shlex.quote(f"http://127.0.0.1:{port}{health.path}")
    seconds = max(1, round(health.timeout))
    python = (
        "import sys, urllib.request as r\n"
        "try: r.urlopen(sys.argv[1], timeout=float(sys.argv[2]))\n"
        "except OSError as error: sys.exit(str(error))"
    )
    return (
        f"u={url}; export no_proxy=127.0.0.1; "
        f'if command -v curl >/dev/null; then curl -fsS -m {seconds} -o /dev/null "$u"; '
        f'elif command -v wget >/dev/null; then o=$(wget -T {seconds} -O /dev/null "$u" 2>&1) '
        '|| { echo "$o"; exit 1; }; '
        f'elif command -v python3 >/dev/null; then python3 -c {shlex.quote(python)} "$u" {seconds}; '
        'else echo "the image has no curl, wget or python3 to probe with"; exit 1; fi'
    )
