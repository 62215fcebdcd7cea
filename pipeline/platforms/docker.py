"""Stacks as containers of one Docker engine: one network per environment, names resolve as `service.stack` on it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.edge.engine import engine_errors, is_conflict, is_missing
from pipeline.edge.streams import merged_lines
from pipeline.errors import Failed, PipelineError, Refused
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.image import LABEL
from pipeline.model.secret import Secret
from pipeline.model.stack import FoundContainer, FoundStack, Stack, StackService
from pipeline.platforms.docker_network import ensure_network
from pipeline.platforms.docker_payload import (
    container_name,
    container_payload,
    found_container,
    seconds_of,
    state_of,
    volume_name,
    volumes_of,
)

if TYPE_CHECKING:
    from docker import APIClient

_STOP_SECONDS = 10
_HEALTH_OUTPUT = 500


class DockerPlatform:
    """The stacks of one environment on one engine. Labels say what is ours; other containers are never touched."""

    def __init__(self, client: APIClient, address: EngineAddress, environment: str, registry: RegistryAddress) -> None:
        self._client = client
        self._address = address
        self._environment = environment
        self._registry = registry

    def stacks(self) -> tuple[FoundStack, ...]:
        with engine_errors(self._address, "list the containers"):
            label = f"{LABEL}environment={self._environment}"
            listed = self._list(label=[label])
            health = {
                container["Id"]: value
                for value in ("healthy", "unhealthy", "starting")
                if any(container["State"] == "running" for container in listed)
                for container in self._list(label=[label], health=[value])
            }
        found: dict[str, list[tuple[FoundContainer, Mapping[str, str]]]] = {}
        for container in listed:
            labels = container["Labels"]
            if name := labels.get(f"{LABEL}stack"):
                state = state_of(container["State"], health.get(container["Id"], ""))
                found.setdefault(name, []).append((found_container(container, state), labels))
        stacks = (_stack(name, parts) for name, parts in found.items())
        return tuple(sorted(stacks, key=lambda stack: (stack.created, stack.name)))

    def observe(self, name: str) -> FoundStack | None:
        parts = []
        for container in self._containers(name):
            try:
                details = self._inspect(container["Id"])
            except PipelineError as error:
                if is_missing(error):
                    continue
                raise
            state = details["State"]
            parts.append((_detailed(container, details, state), container["Labels"]))
        return _stack(name, parts) if parts else None

    def start(self, stack: Stack, secrets: Mapping[str, Secret]) -> None:
        ensure_network(self._client, self._address, self._environment)
        for short in volumes_of(stack.definition):
            self._ensure_volume(stack, short)
        for image in sorted({service.image for service in stack.definition.services}):
            self._ensure_image(image)
        digest = stack.definition.digest()
        for service in stack.definition.services:
            for number in range(1, service.scale + 1):
                self._run(stack, service, number, secrets, digest)

    def remove(self, containers: Sequence[FoundContainer]) -> None:
        for container in containers:
            try:
                with engine_errors(self._address, f"remove the container {container.name}"):
                    # docker-py waits this long on top of its own time-out; the container's own StopTimeout wins.
                    self._client.stop(container.id)
                    self._client.remove_container(container.id, v=True, force=True)
            except PipelineError as error:
                if not (is_missing(error) or is_conflict(error)):
                    raise

    def logs(self, name: str, *, tail: int, follow: bool) -> Iterator[str]:
        streams = {}
        for container in self._containers(name):
            short = f"{container['Labels'].get(f'{LABEL}compose-service', '?')}.{container['Id'][:6]}"
            with engine_errors(self._address, f"read the log of {short}"):
                streams[short] = self._client.logs(
                    container["Id"], stream=True, follow=follow, tail=tail or "all", stdout=True, stderr=True
                )
        yield from merged_lines(streams)

    def explain(self, name: str) -> tuple[str, ...]:
        lines = []
        for container in self._containers(name):
            state = self._inspect(container["Id"])["State"]
            health = state.get("Health") or {}
            lines.append(f"{container['Names'][0].lstrip('/')}: {_described(state, health)}")
            for probe in (health.get("Log") or [])[-1:]:
                output = " ".join(probe["Output"].split())[:_HEALTH_OUTPUT]
                lines.append(f"  health check exited with {probe['ExitCode']}: {output or '(no output)'}")
        return tuple(lines)

    def _run(
        self, stack: Stack, service: StackService, number: int, secrets: Mapping[str, Secret], digest: str
    ) -> None:
        name = container_name(stack, service, number, digest)
        payload = container_payload(stack, service, secrets)
        try:
            with engine_errors(self._address, f"create the container {name}"):
                created = self._client.create_container_from_config(payload, name)  # type: ignore[no-untyped-call]  # its stubs
        except PipelineError as error:
            if not is_conflict(error):
                raise
            created = self._inspect(name)
            self._refuse_foreign(name, created["Config"]["Labels"] or {}, stack)
            if created["State"]["Running"]:
                return
        with engine_errors(self._address, f"start the container {name}"):
            self._client.start(created["Id"])

    def _refuse_foreign(self, name: str, labels: Mapping[str, str], stack: Stack) -> None:
        if labels.get(f"{LABEL}environment") != stack.environment or labels.get(f"{LABEL}stack") != stack.name:
            raise Refused(
                f"there is a container {name} on {self._address} that is not this environment's",
                hint=f"Look at it with `docker inspect {name}`; rename or remove it, then run this again.",
            )

    def _ensure_volume(self, stack: Stack, short: str) -> None:
        name = volume_name(stack, short)
        labels = {f"{LABEL}environment": stack.environment, f"{LABEL}service": stack.service}
        with engine_errors(self._address, f"create the volume {name}"):
            volume = self._client.create_volume(name, labels=labels)
        found = volume.get("Labels") or {}
        if found.get(f"{LABEL}environment", stack.environment) != stack.environment:
            raise Refused(
                f"the volume {name} belongs to the environment {found[f'{LABEL}environment']}",
                hint="Give the service or the environment another name.",
            )

    def _ensure_image(self, image: str) -> None:
        try:
            with engine_errors(self._address, f"look at the image {image}"):
                self._client.inspect_image(image)  # type: ignore[no-untyped-call]  # its stubs
                return
        except PipelineError as error:
            if not is_missing(error):
                raise
        if image.startswith("sha256:"):
            raise Failed(
                f"the image {image[:19]} is not on {self._address}",
                hint="It was built on another engine: set CI_REGISTRY_IMAGE (or registry in invoke.yaml) to share it.",
            )
        with engine_errors(self._address, f"pull the image {image}"):
            for line in self._client.pull(image, stream=True, decode=True, auth_config=self._auth(image)):
                if "error" in line:
                    raise Failed(
                        f"{self._address} could not pull {image}: {line['error']}",
                        hint="Check the name; for a private registry set CI_DEPLOY_USER and CI_DEPLOY_PASSWORD.",
                    )

    def _auth(self, image: str) -> dict[str, str] | None:
        if not self._registry.user or not image.startswith(f"{self._registry.host}/"):
            return None
        return {"username": self._registry.user, "password": self._registry.password.reveal()}

    def _containers(self, name: str) -> list[dict[str, Any]]:
        with engine_errors(self._address, f"list the containers of {name}"):
            return self._list(label=[f"{LABEL}environment={self._environment}", f"{LABEL}stack={name}"])

    def _list(self, **filters: list[str]) -> list[dict[str, Any]]:
        """All containers that match, running or not. The engine has no pages: one answer is the real end."""
        # docker-py's own `containers()` drops the health filter's list form; the API takes JSON.
        return self._client.containers(all=True, filters=json.loads(json.dumps(filters)))  # type: ignore[no-any-return]

    def _inspect(self, container: str) -> dict[str, Any]:
        with engine_errors(self._address, f"inspect the container {container}"):
            return self._client.inspect_container(container)  # type: ignore[no-any-return]


def _stack(name: str, parts: Sequence[tuple[FoundContainer, Mapping[str, str]]]) -> FoundStack:
    """The newest container's labels speak for the stack: one that is being replaced has two definitions for a while."""
    labels = max(parts, key=lambda part: part[0].created)[1]
    return FoundStack(
        name=name,
        service=labels.get(f"{LABEL}service", ""),
        environment=labels.get(f"{LABEL}environment", ""),
        branch=labels.get(f"{LABEL}branch", ""),
        commit=labels.get(f"{LABEL}commit", ""),
        version=labels.get(f"{LABEL}version", ""),
        sameness=labels.get(f"{LABEL}sameness", ""),
        containers=tuple(sorted((part[0] for part in parts), key=lambda container: container.name)),
    )


def _detailed(container: Mapping[str, Any], details: Mapping[str, Any], state: Mapping[str, Any]) -> FoundContainer:
    from dataclasses import replace

    health = (state.get("Health") or {}).get("Status", "")
    found = found_container(container, state_of(state["Status"], "" if health == "none" else health))
    return replace(
        found, restarts=details["RestartCount"], exit_code=state["ExitCode"], created=seconds_of(details["Created"])
    )


def _described(state: Mapping[str, Any], health: Mapping[str, Any]) -> str:
    words = [state["Status"]]
    if state["Status"] in ("exited", "restarting", "dead"):
        words.append(f"exit code {state['ExitCode']}")
    if state.get("OOMKilled"):
        words.append("killed for want of memory")
    if state.get("Error"):
        words.append(state["Error"])
    if health:
        words.append(f"health: {health.get('Status')}, {health.get('FailingStreak')} failed in a row")
    return ", ".join(words)
