"""A launch config as the body of the engine's `POST /containers/create`: pure translation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.lab.rancher.runtime import Container
from pipeline.model.image import LABEL

DOMAIN = "rancher.internal"
_PORT = re.compile(
    r"(?:(?:(?P<ip>[\d.]+|\[[0-9a-fA-F:]+\]):)?(?P<public>\d*):)?(?P<private>\d+)(?:/(?P<protocol>\w+))?"
)
_HOST = {
    "capAdd": "CapAdd",
    "capDrop": "CapDrop",
    "cgroupParent": "CgroupParent",
    "cpuPeriod": "CpuPeriod",
    "cpuQuota": "CpuQuota",
    "cpuSet": "CpusetCpus",
    "cpuShares": "CpuShares",
    "extraHosts": "ExtraHosts",
    "groupAdd": "GroupAdd",
    "ipcMode": "IpcMode",
    "kernelMemory": "KernelMemory",
    "memory": "Memory",
    "memoryReservation": "MemoryReservation",
    "memorySwap": "MemorySwap",
    "memorySwappiness": "MemorySwappiness",
    "oomKillDisable": "OomKillDisable",
    "oomScoreAdj": "OomScoreAdj",
    "pidMode": "PidMode",
    "pidsLimit": "PidsLimit",
    "privileged": "Privileged",
    "publishAllPorts": "PublishAllPorts",
    "readOnly": "ReadonlyRootfs",
    "runInit": "Init",
    "securityOpt": "SecurityOpt",
    "shmSize": "ShmSize",
    "sysctls": "Sysctls",
    "tmpfs": "Tmpfs",
    "usernsMode": "UsernsMode",
    "uts": "UTSMode",
    "volumeDriver": "VolumeDriver",
}
_OWN = {
    "command": "Cmd",
    "domainName": "Domainname",
    "entryPoint": "Entrypoint",
    "hostname": "Hostname",
    "stdinOpen": "OpenStdin",
    "stopSignal": "StopSignal",
    "stopTimeout": "StopTimeout",
    "tty": "Tty",
    "user": "User",
    "workingDir": "WorkingDir",
}


def engine_name(container: Container) -> str:
    """Unique where Rancher's own name is not: an upgrade keeps the old container under the same one."""
    return f"r-{container.name or 'container'}-{container.uuid[:8]}"


def payload(container: Container, network: str, resolver: str, beside: Mapping[int, str]) -> dict[str, Any]:
    """`beside` has the engine's ids of the containers whose network or volumes this one shares."""
    config = container.config
    found: dict[str, Any] = {
        "Image": container.image,
        "Env": [f"{name}={value}" for name, value in sorted((config.get("environment") or {}).items())],
        "Labels": dict(container.labels) | _labels(container, network),
        "ExposedPorts": {private: {} for private, _ in _ports(config)},
        "Volumes": {volume: {} for volume in _volumes(config, bound=False)},
        "HostConfig": _host_config(container, network, resolver, beside),
    }
    return found | {name: config[field] for field, name in _OWN.items() if config.get(field)}


def wants_pull(container: Container) -> bool:
    return str(container.labels.get("io.rancher.container.pull_image", "")).lower() == "always"


def is_managed(config: Mapping[str, Any]) -> bool:
    """On the environment's own network, where names resolve."""
    return str(config.get("networkMode") or "managed") == "managed" and not config.get("networkLaunchConfig")


def _host_config(container: Container, network: str, resolver: str, beside: Mapping[int, str]) -> dict[str, Any]:
    config = container.config
    found: dict[str, Any] = {
        "NetworkMode": _network(container, network, beside),
        "Binds": list(_volumes(config, bound=True)),
        "PortBindings": _bindings(config),
        "Devices": [_device(str(text)) for text in config.get("devices") or ()],
        "VolumesFrom": [beside[number] for number in container.volumes_of if number in beside],
    }
    if is_managed(config):
        found |= _names(container, resolver)
    log = config.get("logConfig") or {}
    if log.get("driver"):
        found["LogConfig"] = {"Type": log["driver"], "Config": log.get("config") or {}}
    return found | {name: config[field] for field, name in _HOST.items() if config.get(field)}


def _names(container: Container, resolver: str) -> dict[str, Any]:
    config = container.config
    stack, service = container.stack.lower(), container.service.lower()
    domains = [f"{stack}.{DOMAIN}", f"{service}.{stack}.{DOMAIN}"] if stack else []
    return {
        "Dns": [resolver, *(config.get("dns") or ())],
        "DnsSearch": [*(config.get("dnsSearch") or ()), *domains, DOMAIN],
        # Without it a name without a dot would be asked for as it is before the list is gone through.
        "DnsOptions": ["ndots:1", *(config.get("dnsOpt") or ())],
    }


def _network(container: Container, network: str, beside: Mapping[int, str]) -> str:
    if container.network_of in beside:
        return f"container:{beside[container.network_of]}"
    return network if is_managed(container.config) else str(container.config.get("networkMode"))


def _labels(container: Container, network: str) -> dict[str, str]:
    return {
        "io.rancher.container.name": container.name,
        "io.rancher.container.uuid": container.uuid,
        "io.rancher.container.system": "false",
        f"{LABEL}lab": "rancher-container",
        f"{LABEL}lab-network": network,
    }


def _ports(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str] | None]]:
    for text in (*(config.get("ports") or ()), *(config.get("expose") or ())):
        found = _PORT.fullmatch(str(text))
        if found is None:
            continue
        private = f"{found['private']}/{found['protocol'] or 'tcp'}"
        yield private, (found["ip"] or "", found["public"]) if found["public"] else None


def _bindings(config: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for private, place in _ports(config):
        if place is not None:
            found.setdefault(private, []).append({"HostIp": place[0], "HostPort": place[1]})
    return found


def _volumes(config: Mapping[str, Any], *, bound: bool) -> Iterator[str]:
    for volume in config.get("dataVolumes") or ():
        if (":" in str(volume)) == bound:
            yield str(volume)


def _device(text: str) -> dict[str, str]:
    host, _, rest = text.partition(":")
    inside, _, rights = rest.partition(":")
    return {"PathOnHost": host, "PathInContainer": inside or host, "CgroupPermissions": rights or "rwm"}
