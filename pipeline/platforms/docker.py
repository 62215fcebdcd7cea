"""Stacks as containers of one Docker engine: one network per environment, names resolve as `service.stack` on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.edge.engine import engine_errors, is_conflict, seconds_of
from pipeline.edge.streams import merged_lines
from pipeline.errors import Failed, PipelineError, Refused
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.image import LABEL, PIN_LABEL
from pipeline.model.secret import Secret
from pipeline.model.stack import FoundContainer, FoundStack, Stack, StackService
from pipeline.platforms.docker_ending import find_container, remove_container
from pipeline.platforms.docker_image import ensure_image
from pipeline.platforms.docker_network import ensure_network
from pipeline.platforms.docker_payload import container_payload, found_container, state_of
from pipeline.platforms.names import container_name, volume_name, volumes_of

if TYPE_CHECKING:
    from docker import APIClient

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
            mine = [f"{LABEL}environment={self._environment}"]
            listed = self._list(label=mine)
            running = any(container["State"] == "running" for container in listed)
            health = {
                container["Id"]: value
                for value in (("healthy", "unhealthy", "starting") if running else ())
                for container in self._list(label=mine, health=[value])
            }
            # A listing has the exit codes in words for people only; this asks for one of them.
            ended = any(container["State"] == "exited" for container in listed)
            well_ended = {container["Id"] for container in self._list(label=mine, exited=["0"])} if ended else set()
        found: dict[str, list[tuple[FoundContainer, Mapping[str, str]]]] = {}
        for container in listed:
            labels = container["Labels"]
            if name := labels.get(f"{LABEL}stack"):
                state = state_of(container["State"], health.get(container["Id"], ""))
                failed = container["State"] == "exited" and container["Id"] not in well_ended
                part = replace(found_container(container, state), exit_code=int(failed))
                found.setdefault(name, []).append((part, labels))
        stacks = (_stack(name, parts) for name, parts in found.items())
        return tuple(sorted(stacks, key=lambda stack: (stack.created, stack.name)))

    def observe(self, name: str) -> FoundStack | None:
        parts = [
            (_detailed(container, details), container["Labels"])
            for container in self._containers(name)
            if (details := self._find(container["Id"])) is not None
        ]
        return _stack(name, parts) if parts else None

    def start(self, stack: Stack, secrets: Mapping[str, Secret]) -> None:
        ensure_network(self._client, self._address, self._environment)
        for short in volumes_of(stack.definition):
            self._ensure_volume(stack, short)
        for image in sorted({service.image for service in stack.definition.services}):
            ensure_image(self._client, self._address, self._registry, image)
        digest = stack.definition.digest()
        for service in stack.definition.services:
            for number in range(1, service.scale + 1):
                self._run(stack, service, number, secrets, digest)

    def remove(self, containers: Sequence[FoundContainer]) -> None:
        for container in containers:
            remove_container(self._client, self._address, container)

    def logs(self, name: str, *, tail: int, follow: bool) -> Iterator[str]:
        streams = {}
        try:
            for container in self._containers(name):
                short = f"{container['Labels'].get(f'{LABEL}compose-service', '?')}.{container['Id'][:6]}"
                with engine_errors(self._address, f"read the log of {short}"):
                    streams[short] = self._client.logs(
                        container["Id"], stream=True, follow=follow, tail=tail or "all", stdout=True, stderr=True
                    )
            with engine_errors(self._address, f"read the logs of {name}"):
                yield from merged_lines(streams)
        finally:
            for stream in streams.values():
                stream.close()

    def explain(self, name: str) -> tuple[str, ...]:
        lines = []
        for container in self._containers(name):
            details = self._find(container["Id"])
            if details is None:
                continue
            health = details["State"].get("Health") or {}
            lines.append(f"{container['Names'][0].lstrip('/')}: {_described(details['State'], health)}")
            for probe in (health.get("Log") or [])[-1:]:
                # The end of it: there is the reason in what most programs print.
                output = " ".join(probe["Output"].split())[-_HEALTH_OUTPUT:]
                lines.append(f"  health check exited with {probe['ExitCode']}: {output or '(no output)'}")
        return tuple(lines)

    def _run(
        self, stack: Stack, service: StackService, number: int, secrets: Mapping[str, Secret], digest: str
    ) -> None:
        name = container_name(stack, service, number, digest)
        container = self._create(name, container_payload(stack, service, secrets), stack)
        if container is None:
            return
        try:
            with engine_errors(self._address, f"start the container {name}"):
                self._client.start(container)
        except PipelineError as error:
            ports = ", ".join(str(port.host) for port in service.ports if port.host)
            if not ports or not isinstance(error, Failed):
                raise
            raise Failed(
                f"{stack.name}: {service.name}, which publishes the port {ports}, could not be started: {error.what}",
                hint=f"Is {ports} free on {self._address}? An older stack may have it: without a port of the host's "
                '(ports: ["80"]) stacks run side by side.',
            ) from error

    def _create(self, name: str, payload: Mapping[str, object], stack: Stack) -> str | None:
        """The id of a container that is to be started, new or left by an earlier run; None when it runs."""
        for _ in range(2):
            try:
                with engine_errors(self._address, f"create the container {name}"):
                    created = self._client.create_container_from_config(payload, name)  # type: ignore[no-untyped-call]  # its stubs
                return str(created["Id"])
            except PipelineError as error:
                if not is_conflict(error):
                    raise
            found = self._find(name)
            if found is None:
                continue
            self._refuse_foreign(name, found["Config"]["Labels"] or {}, stack)
            state = found["State"]
            if state["Paused"]:
                with engine_errors(self._address, f"unpause the container {name}"):
                    self._client.unpause(found["Id"])
            if state["Running"]:
                return None
            if state["Status"] not in ("dead", "removing"):
                return str(found["Id"])
            with engine_errors(self._address, f"remove the container {name}"):
                self._client.remove_container(found["Id"], v=True, force=True)
        raise Failed(
            f"{self._address} has a container {name} that can neither be started nor removed",
            hint=f"Look at it with `docker inspect {name}`, then run this again.",
        )

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
        # One without labels was made by hand for this: its name is promised.
        found = labels | (volume.get("Labels") or {})
        if found != found | labels:
            raise Refused(
                f"the volume {name} belongs to {found[f'{LABEL}service']} in {found[f'{LABEL}environment']}",
                hint="Two names make one: give the service, the environment or the volume another name.",
            )

    def _containers(self, name: str) -> list[dict[str, Any]]:
        with engine_errors(self._address, f"list the containers of {name}"):
            return self._list(label=[f"{LABEL}environment={self._environment}", f"{LABEL}stack={name}"])

    def _list(self, **filters: list[str]) -> list[dict[str, Any]]:
        """All containers that match, running or not. The engine has no pages: one answer is the real end."""
        return self._client.containers(all=True, filters=filters)  # type: ignore[no-any-return]

    def _find(self, container: str) -> dict[str, Any] | None:
        return find_container(self._client, self._address, container)


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
        subject=labels.get(f"{LABEL}subject", ""),
        author=labels.get(f"{LABEL}author", ""),
        pinned=any(part[1].get(PIN_LABEL, "false") != "false" for part in parts),
        containers=tuple(sorted((part[0] for part in parts), key=lambda container: container.name)),
    )


def _detailed(listed: Mapping[str, Any], details: Mapping[str, Any]) -> FoundContainer:
    state = details["State"]
    health = (state.get("Health") or {}).get("Status", "")
    return replace(
        found_container(listed, state_of(state["Status"], "" if health == "none" else health)),
        restarts=details["RestartCount"],
        exit_code=state["ExitCode"],
        created=seconds_of(details["Created"]),
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
