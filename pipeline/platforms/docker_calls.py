"""An inventory as the calls of pipeline/shell that make it on a Docker engine, script by script. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.model.interpolate import Marks
from pipeline.model.inventory import BOOTSTRAP_LABEL, Carried, FoundVolume, HostConfiguration, Inventory
from pipeline.model.shell_call import call, digest_of, json_pieces
from pipeline.model.stack import Definition, Stack, StackService
from pipeline.platforms.docker_payload import container_payload
from pipeline.platforms.names import container_name, network_name

Calls = Mapping[str, tuple[str, ...]]


def scripts(inventory: Inventory, carried: Mapping[str, Carried]) -> Calls:
    """The calls by script. A script that makes nothing has none."""
    containers = {stack.name: tuple(_containers(stack)) for stack in inventory.stacks}
    lab = tuple(_lab(inventory))
    return {
        "10-engine.sh": (_engine(inventory.host),),
        "20-network.sh": tuple(_network(inventory)),
        "30-images.sh": tuple(_images(inventory, carried)),
        "40-platform.sh": tuple(_volume(volume, carried) for volume in inventory.volumes),
        "50-stacks.sh": (*(call("bootstrap_stack", name) for name in containers), "bootstrap_wait"),
        "60-gateway.sh": (
            *(call("bootstrap_container", *words) for words in lab),
            *(["bootstrap_gateway"] * bool(lab)),
        ),
        "70-verify.sh": tuple(_verify(inventory, containers)),
    } | {
        f"stacks/{name}/containers.sh": tuple(call("bootstrap_container", *words) for words in found)
        for name, found in containers.items()
    }


def _engine(host: HostConfiguration) -> str:
    wanted: dict[str, object] = {}
    if host.log_driver and host.log_driver != "json-file":
        wanted["log-driver"] = host.log_driver
    if host.live_restore:
        wanted["live-restore"] = True
    if host.insecure_registries:
        wanted["insecure-registries"] = list(host.insecure_registries)
    if host.registry_mirrors:
        wanted["registry-mirrors"] = list(host.registry_mirrors)
    live = "true" if host.live_restore else "false"
    return call("bootstrap_engine", host.log_driver or "json-file", live, *json_pieces(wanted))


def _network(inventory: Inventory) -> Iterator[str]:
    if inventory.network is not None:
        body: dict[str, object] = {
            "Name": network_name(inventory.environment),
            "Driver": inventory.network.driver,
            "CheckDuplicate": True,
            "Internal": inventory.network.internal,
            "Options": dict(inventory.network.options),
            "Labels": {"pipeline.environment": inventory.environment},
        }
        yield call("bootstrap_network", network_name(inventory.environment), *json_pieces(body))


def _images(inventory: Inventory, carried: Mapping[str, Carried]) -> Iterator[str]:
    for image in _references(inventory):
        archive = carried.get(image)
        if archive is None:
            yield call("bootstrap_image", image)
        else:
            yield call("bootstrap_image_archive", image, archive.path, archive.sha256)


def _references(inventory: Inventory) -> list[str]:
    of_lab = [inventory.lab.service.image] if inventory.lab else []
    return sorted({service.image for _, service in inventory.services()} | set(of_lab))


def _volume(volume: FoundVolume, carried: Mapping[str, Carried]) -> str:
    archive = carried.get(volume.name)
    driver: dict[str, object] = {"Driver": volume.driver, "Labels": dict(volume.labels)}
    if archive is None:
        body = driver | {"Name": volume.name, "DriverOpts": dict(volume.options)}
        return call("bootstrap_volume", volume.name, *json_pieces(body))
    configuration = {"Name": volume.driver, "Options": dict(volume.options)}
    options = {"NoCopy": True, "Labels": dict(volume.labels), "DriverConfig": configuration}
    mount = {"Type": "volume", "Source": volume.name, "Target": "/archive", "VolumeOptions": options}
    filler: dict[str, object] = {
        "Image": volume.sample,
        "Cmd": ["never-started"],
        "Labels": {"pipeline.archive": volume.name},
        "HostConfig": {"Mounts": [mount], "NetworkMode": "none"},
    }
    words = (volume.name, archive.path, archive.sha256)
    return call("bootstrap_volume_archive", *words, *json_pieces(filler))


def _containers(stack: Stack) -> Iterator[tuple[str, ...]]:
    """Name, digest of the call and JSON of each container. Under the name that the toolkit's own deploy would give it:
    the definition's digest is the one that its label says."""
    told = stack.labels.get("pipeline.definition", "")
    for service in stack.definition.services:
        payload = container_payload(stack, service, Marks())
        for number in range(1, service.scale + 1):
            yield (container_name(stack, service, number, told), *_marked(payload))


def _marked(payload: Mapping[str, object]) -> tuple[str, ...]:
    """The payload with the digest of itself as a label."""
    digest = digest_of(payload)
    labels = payload["Labels"]
    assert isinstance(labels, dict)  # noqa: S101  (container_payload makes one)
    return digest, *json_pieces({**payload, "Labels": labels | {BOOTSTRAP_LABEL: digest}})


def _lab(inventory: Inventory) -> Iterator[tuple[str, ...]]:
    if inventory.lab is not None:
        yield (inventory.lab.name, *_marked(_lab_payload(inventory, inventory.lab.service)))


def _lab_payload(inventory: Inventory, service: StackService) -> dict[str, object]:
    """As for a stack's container, without a stack's names."""
    assert inventory.lab is not None  # noqa: S101  (its caller looked)
    stack = Stack(
        name=inventory.lab.name,
        service=inventory.lab.name,
        environment=inventory.environment,
        branch="",
        commit="",
        version="",
        definition=Definition(services=(service,)),
        sameness="",
        labels={},
    )
    payload = container_payload(stack, service, Marks())
    host = payload["HostConfig"]
    assert isinstance(host, dict)  # noqa: S101  (container_payload makes one)
    binds = [f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}" for mount in service.mounts]
    kept = {key: value for key, value in host.items() if key not in ("DnsSearch", "DnsOptions")} | {"Binds": binds}
    return payload | {
        "HostConfig": kept,
        "Labels": dict(inventory.lab.labels) | dict(service.labels),
        "NetworkingConfig": {"EndpointsConfig": {network_name(inventory.environment): {}}},
    }


def _verify(inventory: Inventory, containers: Mapping[str, tuple[tuple[str, ...], ...]]) -> Iterator[str]:
    if inventory.network is not None:
        yield call("verify_network", network_name(inventory.environment), inventory.network.driver)
    for volume in inventory.volumes:
        yield call("verify_volume", volume.name, volume.driver)
    for image in _references(inventory):
        yield call("verify_image", image)
    yield "bootstrap_list"
    for found in containers.values():
        for name, digest, *_ in found:
            yield call("verify_container", name, digest)
    yield "verify_others"
