"""An environment on a Docker engine as an inventory: listed, inspected, its images and volumes read as archives."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.edge.engine import engine_errors, is_missing
from pipeline.errors import PipelineError
from pipeline.model.address import EngineAddress
from pipeline.model.image import LABEL
from pipeline.model.inventory import Carried, FoundNetwork, FoundVolume, Inventory
from pipeline.platforms.docker_calls import scripts
from pipeline.platforms.docker_inventory import (
    configuration,
    declared,
    found_image,
    found_lab,
    found_stacks,
    found_volumes,
    is_ours,
    left_out,
    unknown,
    upgrading,
)
from pipeline.platforms.names import network_name

if TYPE_CHECKING:
    from docker import APIClient

Details = Mapping[str, Any]
_CHUNK = 1 << 20


class DockerExporter:
    """The environment of one engine. Labels say what is its own; what stands on its network without them is counted."""

    def __init__(self, client: APIClient, address: EngineAddress, environment: str) -> None:
        self._client = client
        self._address = address
        self._environment = environment
        self._network = network_name(environment)

    def inventory(self, stacks: Collection[str]) -> Inventory:
        client = self._client
        with engine_errors(self._address, "list the environment"):
            listed = client.containers(all=True, filters={"label": [f"{LABEL}environment={self._environment}"]})
            beside = client.containers(all=True, filters={"network": [self._network]})
            named = client.volumes(filters={"label": [f"{LABEL}environment={self._environment}"]})["Volumes"] or []
            host = configuration(client.info())
        details = self._inspected([one["Id"] for one in listed if one["Labels"].get(f"{LABEL}stack") in stacks])
        lab = self._lab(beside)
        with_lab = [*details, *([lab] if lab else [])]
        images = self._images({one["Image"] for one in with_lab})
        foreign = [one for one in beside if not is_ours(one["Labels"])]
        return Inventory(
            environment=self._environment,
            host=host,
            network=self._found_network(),
            volumes=found_volumes(named, details),
            images=tuple(found_image(key, image, with_lab) for key, image in images.items()),
            stacks=found_stacks(details, images, host.log_driver),
            declared=declared(details),
            lab=found_lab(lab, images[lab["Image"]]["Config"], host.log_driver) if lab else None,
            listed={"containers": len(listed) + len(foreign), "volumes": len(named)},
            left_out=tuple(sorted(left_out(listed, stacks, foreign))),
            upgrading=upgrading(details),
            unknown=tuple(sorted(unknown(details, images, self._network, host.log_driver))),
        )

    def scripts(self, inventory: Inventory, carried: Mapping[str, Carried]) -> Mapping[str, tuple[str, ...]]:
        return scripts(inventory, carried)

    def image_archive(self, images: Sequence[str]) -> Iterator[bytes]:
        """docker-py asks for one image at a time; the engine gives several (`GET /images/get?names=…&names=…`)."""
        client: Any = self._client
        with engine_errors(self._address, f"save the images {', '.join(images)}"):
            answer = client._get(client._url("/images/get"), params={"names": list(images)}, stream=True)
            yield from client._stream_raw_result(answer, _CHUNK, False)

    def volume_archive(self, volume: FoundVolume) -> Iterator[bytes]:
        """Through a container that is never started: an engine gives files of containers only."""
        client, name = self._client, f"pipeline-archive-{volume.name}"
        body = {
            "Image": volume.sample,
            "Cmd": ["never-started"],
            "Labels": {f"{LABEL}archive": volume.name},
            "HostConfig": {"Binds": [f"{volume.name}:/archive:ro,nocopy"], "NetworkMode": "none"},
        }
        with engine_errors(self._address, f"read the volume {volume.name}"):
            self._remove(name)
            made = client.create_container_from_config(body, name)["Id"]  # type: ignore[no-untyped-call]  # its stubs
            try:
                chunks, _ = client.get_archive(made, "/archive/.")
                yield from chunks
            finally:
                self._remove(made)

    def _remove(self, container: str) -> None:
        try:
            with engine_errors(self._address, f"remove {container}"):
                self._client.remove_container(container, force=True)
        except PipelineError as error:
            if not is_missing(error):
                raise

    def _inspected(self, ids: list[str]) -> list[Details]:
        """In the order in which they were made. One that is gone by now is left out."""

        found = []
        for key in ids:
            try:
                with engine_errors(self._address, f"inspect the container {key[:12]}"):
                    found.append(self._client.inspect_container(key))
            except PipelineError as error:
                if not is_missing(error):
                    raise
        return sorted(found, key=lambda one: (one["Created"], one["Name"]))

    def _images(self, ids: set[str]) -> dict[str, Details]:
        with engine_errors(self._address, "inspect the images"):
            return {key: self._client.inspect_image(key) for key in sorted(ids)}  # type: ignore[no-untyped-call]  # its stubs

    def _found_network(self) -> FoundNetwork | None:
        with engine_errors(self._address, f"look for the network {self._network}"):
            for one in self._client.networks(names=[self._network]):
                if one["Name"] == self._network:
                    return FoundNetwork(
                        name=one["Name"], driver=one["Driver"], options=one["Options"] or {}, internal=one["Internal"]
                    )
        return None

    def _lab(self, beside: list[Details]) -> Details | None:
        wanted = {f"{LABEL}lab": "gateway", f"{LABEL}lab-environment": self._environment}
        ids = [one["Id"] for one in beside if wanted.items() <= (one["Labels"] or {}).items()]
        return self._inspected(ids)[0] if ids else None
