"""What else lies on a Docker engine, and what of an environment is put away there (platforms.base.Upkeep)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.edge.engine import EngineClients, engine_errors, is_conflict, is_missing, seconds_of
from pipeline.errors import Failed, PipelineError
from pipeline.model.image import LABEL, SERVICE_LABEL, STACK_LABEL
from pipeline.model.stack import FoundContainer, FoundStack
from pipeline.model.surroundings import FoundImage, FoundVolume, Surroundings
from pipeline.platforms.docker_ending import remove_container, stop_container
from pipeline.platforms.docker_payload import found_container, state_of

_RECORDS = "pipeline-records-"
# Of these a container has one when it is ours; the other labels of ours it may have from an image that was built here.
_OURS = tuple(f"{LABEL}{name}" for name in ("environment", "ledger", "ledger-environment", "lab-environment"))
# Who made a container that is not ours, and as what: compose, or Rancher 1.6's agent.
_STACK_LABELS = ("com.docker.compose.project", "io.rancher.stack.name")
_SERVICE_LABELS = ("com.docker.compose.service", "io.rancher.stack_service.name")


class DockerUpkeep:
    """Of one environment on one engine. Each thread has a client of its own, from `clients`."""

    def __init__(self, clients: EngineClients, environment: str) -> None:
        self._clients = clients
        self._environment = environment

    def surroundings(self) -> Surroundings:
        """As Upkeep.surroundings: four requests, however much is there; the engine has no pages."""
        client, address = self._clients.client, self._clients.address
        with engine_errors(address, "list what it has"):
            now = seconds_of(client.info()["SystemTime"])
            containers = client.containers(all=True)
            images = client.images()
            volumes = client.volumes()["Volumes"] or ()
        mine = f"{LABEL}environment"
        others = [one for one in containers if (one["Labels"] or {}).get(mine) != self._environment]
        names = (volume["Name"] for volume in volumes)
        return Surroundings(
            now=now,
            strangers=_strangers(others),
            images=tuple(_image(one) for one in images),
            used=frozenset(str(one["ImageID"]) for one in others),
            volumes=tuple(_volume(one) for one in sorted(volumes, key=lambda one: str(one["Name"]))),
            environments=tuple(sorted(_environment(name) for name in names if name.startswith(_RECORDS))),
        )

    def stop(self, containers: Sequence[FoundContainer]) -> None:
        for container in containers:
            stop_container(self._clients.client, self._clients.address, container)

    def resume(self, containers: Sequence[FoundContainer]) -> None:
        client, address = self._clients.client, self._clients.address
        for container in containers:
            try:
                with engine_errors(address, f"start the container {container.name}"):
                    client.start(container.id)
            except PipelineError as error:
                if not is_missing(error):
                    raise
                raise Failed(
                    f"the container {container.name} was removed by somebody else", hint="Run the same again."
                ) from error

    def remove(self, containers: Sequence[FoundContainer]) -> None:
        for container in containers:
            remove_container(self._clients.client, self._clients.address, container)

    def remove_image(self, image: FoundImage) -> bool:
        """One name after the other: with the last one the engine removes what no other image needs."""
        for name in (*image.names, *image.digests, image.id):
            try:
                with engine_errors(self._clients.address, f"remove the image {name}"):
                    self._clients.client.remove_image(name)
            except PipelineError as error:
                if is_conflict(error):
                    return False
                if not is_missing(error):
                    raise
        return True

    def space(self) -> int:
        with engine_errors(self._clients.address, "tell its disk usage"):
            return int(self._clients.client.df().get("LayersSize") or 0)


def _strangers(listed: Iterable[Mapping[str, Any]]) -> tuple[FoundStack, ...]:
    """Containers without labels of ours, by the stack that their own labels or their names tell. Whether one is healthy
    is asked of no engine for them: they run or they do not."""
    found: dict[str, list[FoundContainer]] = defaultdict(list)
    for one in listed:
        labels = one["Labels"] or {}
        if any(labels.get(name) for name in _OURS) or not one.get("Names"):
            continue
        container = found_container(one, state_of(one["State"], ""))
        stack = next((labels[name] for name in _STACK_LABELS if labels.get(name)), container.name.partition(".")[0])
        service = next((labels[name] for name in _SERVICE_LABELS if labels.get(name)), "")
        rest = container.name.removeprefix(stack).lstrip("._-")
        found[stack].append(replace(container, compose_service=service.rpartition("/")[2] or rest.partition(".")[0]))
    return tuple(_stranger(name, found[name]) for name in sorted(found))


def _stranger(name: str, containers: list[FoundContainer]) -> FoundStack:
    return FoundStack(
        name=name,
        service="",
        environment="",
        branch="",
        commit="",
        version="",
        sameness="",
        containers=tuple(sorted(containers, key=lambda one: one.name)),
    )


def _image(listed: Mapping[str, Any]) -> FoundImage:
    labels = listed.get("Labels") or {}
    return FoundImage(
        id=str(listed["Id"]),
        names=_named(listed.get("RepoTags")),
        digests=_named(listed.get("RepoDigests")),
        service=labels.get(SERVICE_LABEL, ""),
        stack=labels.get(STACK_LABEL, ""),
        size=int(listed.get("Size") or 0),
        created=float(listed.get("Created") or 0),
    )


def _named(names: object) -> tuple[str, ...]:
    """Without the engine's word for none."""
    listed = names if isinstance(names, list) else []
    return tuple(sorted(str(name) for name in listed if not str(name).startswith("<none>")))


def _volume(listed: Mapping[str, Any]) -> FoundVolume:
    labels = listed.get("Labels") or {}
    return FoundVolume(
        name=str(listed["Name"]),
        service=labels.get(f"{LABEL}service", ""),
        environment=labels.get(f"{LABEL}environment", ""),
    )


def _environment(volume: str) -> str:
    return volume.removeprefix(_RECORDS).replace("_", "/")
