"""scripts/transform: a container as `docker inspect` has it, as Rancher's own type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def transformed(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """The launch config that an inspected container stands for."""
    config = _object(inspected, "Config")
    host = _object(inspected, "HostConfig")
    image = str(config.get("Image") or "")
    network = str(host.get("NetworkMode") or "")
    log = _object(host, "LogConfig")
    found: dict[str, Any] = {
        "id": None,
        "type": "container",
        "links": {},
        "actions": {},
        "name": str(inspected.get("Name") or "").lstrip("/") or None,
        "imageUuid": image if image.startswith("docker:") else f"docker:{image}",
        "environment": dict(_pairs(config.get("Env") or ())),
        "labels": dict(config.get("Labels") or {}),
        "command": config.get("Cmd") or None,
        "entryPoint": config.get("Entrypoint") or None,
        "hostname": config.get("Hostname") or None,
        "domainName": config.get("Domainname") or None,
        "user": config.get("User") or None,
        "workingDir": config.get("WorkingDir") or None,
        "stopSignal": config.get("StopSignal") or None,
        "tty": bool(config.get("Tty")),
        "stdinOpen": bool(config.get("OpenStdin")),
        "ports": list(_ports(_object(host, "PortBindings"), config.get("ExposedPorts") or {})),
        "dataVolumes": [*(host.get("Binds") or ()), *sorted(config.get("Volumes") or {})],
        "networkMode": "managed" if network in ("", "default", "bridge") else network,
        "logConfig": {"type": "logConfig", "driver": log.get("Type") or "", "config": log.get("Config") or {}},
        "kind": "container",
    }
    return found | {field: host.get(name) or None for name, field in _HOST.items()} | _flags(host)


_HOST = {
    "CapAdd": "capAdd",
    "CapDrop": "capDrop",
    "CpuShares": "cpuShares",
    "CpusetCpus": "cpuSet",
    "Dns": "dns",
    "DnsSearch": "dnsSearch",
    "ExtraHosts": "extraHosts",
    "Memory": "memory",
    "MemoryReservation": "memoryReservation",
    "MemorySwap": "memorySwap",
    "SecurityOpt": "securityOpt",
    "ShmSize": "shmSize",
    "Sysctls": "sysctls",
    "Tmpfs": "tmpfs",
    "VolumesFrom": "dataVolumesFrom",
}


def _flags(host: Mapping[str, Any]) -> dict[str, bool]:
    names = {"Privileged": "privileged", "ReadonlyRootfs": "readOnly", "PublishAllPorts": "publishAllPorts"}
    return {field: bool(host.get(name)) for name, field in names.items()}


def _object(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _pairs(variables: Any) -> Iterator[tuple[str, str]]:
    for text in variables:
        name, _, value = str(text).partition("=")
        yield name, value


def _ports(bindings: Mapping[str, Any], exposed: Mapping[str, Any]) -> Iterator[str]:
    for private, places in bindings.items():
        empty: dict[str, Any] = {}
        for place in places or (empty,):
            address, public = place.get("HostIp") or "", place.get("HostPort") or ""
            yield ":".join(part for part in (address, public, private) if part)
    yield from (private for private in exposed if private not in bindings)
