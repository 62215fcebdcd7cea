"""A container as `docker inspect` tells it → the service that it was made from, without what its image says already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.model.image import LABEL
from pipeline.model.stack import NO_HEALTH, HealthCheck, Mount, Port, StackService

_NANOSECONDS = 1_000_000_000
_SHM_SIZE = 64 * 1024 * 1024
_COVERED = {
    *("Binds", "PortBindings", "RestartPolicy", "Privileged", "ReadonlyRootfs", "LogConfig", "Devices", "Tmpfs"),
    *("Init", "CapAdd", "CapDrop", "SecurityOpt", "Dns", "ExtraHosts", "Sysctls", "Memory", "MemoryReservation"),
    *("ShmSize", "CpuShares", "CpusetCpus", "DnsSearch", "DnsOptions", "NetworkMode"),
    # What the engine works out from these, or from itself.
    *("CgroupnsMode", "ConsoleSize", "MaskedPaths", "ReadonlyPaths", "Runtime", "MemorySwap"),
}
_PLAIN: Mapping[str, tuple[object, ...]] = {
    "IpcMode": ("private", "shareable"),
    "PidsLimit": (-1,),
    "MemorySwappiness": (-1,),
}


def reduced(
    details: Mapping[str, Any], image: Mapping[str, Any], *, log_driver: str, volume_prefix: str
) -> StackService:
    """What was said when the container was made. `image` is its image's configuration; `volume_prefix` is left out of
    the names of volumes, `log_driver` is the engine's own."""
    config, host = details["Config"], details["HostConfig"]
    entrypoint, command = _command(config, image)
    fields: dict[str, Any] = {
        "name": config["Labels"][f"{LABEL}compose-service"],
        "image": details["Image"],
        "entrypoint": entrypoint,
        "command": command,
        "environment": _environment(config, image),
        "ports": tuple(_ports(host)),
        "mounts": (*_binds(host, volume_prefix), *_anonymous(config, image)),
        "labels": _labels(config, image),
        "hostname": "" if details["Id"].startswith(config.get("Hostname") or "") else config["Hostname"],
        "stop_seconds": None if (grace := config.get("StopTimeout")) is None else float(grace),
        "tty": bool(config.get("Tty")),
        "health": _health(config.get("Healthcheck"), image.get("Healthcheck")),
    }
    for name, key in (("user", "User"), ("working_dir", "WorkingDir"), ("stop_signal", "StopSignal")):
        fields[name] = "" if config.get(key) == image.get(key) else config.get(key) or ""
    return StackService(**fields, **_of_host(host, log_driver))


def not_covered(details: Mapping[str, Any], network: str) -> Iterator[str]:
    """What a container has and no definition says: with this left out it would be another one."""
    host = details["HostConfig"]
    for key in sorted(host.keys() - _COVERED):
        if host[key] and host[key] not in _PLAIN.get(key, ()):
            yield f"{key} {host[key]!r}"
    memory, swap = host.get("Memory") or 0, host.get("MemorySwap") or 0
    if swap not in (0, -1, 2 * memory):
        yield f"MemorySwap {swap!r}"
    for name in sorted((details.get("NetworkSettings") or {}).get("Networks") or {}):
        if name != network:
            yield f"the network {name!r}"
    for text in details["Config"].get("Env") or ():
        if "=" not in text:
            yield f"the environment variable {text!r} without a value"
    for key, bindings in sorted((host.get("PortBindings") or {}).items()):
        if len(bindings or ()) > 1:
            yield f"{len(bindings)} published ports for {key}"


def _command(
    config: Mapping[str, Any], image: Mapping[str, Any]
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """An engine takes the image's command only where neither entrypoint nor command are given (docker's merge of a
    container's configuration with its image's), so one that was cleared needs its entrypoint said."""
    entrypoint, command = (tuple(config.get(key) or ()) for key in ("Entrypoint", "Cmd"))
    of_image, default = (tuple(image.get(key) or ()) for key in ("Entrypoint", "Cmd"))
    if entrypoint == of_image and (command or not default):
        return None, None if command == default else command
    return entrypoint, None if not command or (not entrypoint and command == default) else command


def _environment(config: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, str]:
    defaults = set(image.get("Env") or ())
    pairs = [text.partition("=") for text in config.get("Env") or () if text not in defaults]
    return {name: value for name, _, value in sorted(pairs)}


def _labels(config: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, str]:
    """Those that are not the image's, and not the toolkit's own: these are the stack's."""
    defaults = image.get("Labels") or {}
    found = config.get("Labels") or {}
    return {
        name: text for name, text in sorted(found.items()) if not name.startswith(LABEL) and defaults.get(name) != text
    }


def _ports(host: Mapping[str, Any]) -> Iterator[Port]:
    for key, bindings in sorted((host.get("PortBindings") or {}).items()):
        container, _, protocol = key.partition("/")
        for one in bindings or ():
            yield Port(
                container=int(container),
                protocol="udp" if protocol == "udp" else "tcp",
                host=int(one.get("HostPort") or 0),
                address=one.get("HostIp") or "",
            )


def _binds(host: Mapping[str, Any], prefix: str) -> Iterator[Mount]:
    for text in host.get("Binds") or ():
        source, target, *mode = text.split(":")
        short = source if source.startswith("/") else source.removeprefix(prefix)
        yield Mount(source=short, target=target, read_only="ro" in (mode[0].split(",") if mode else ()))


def _anonymous(config: Mapping[str, Any], image: Mapping[str, Any]) -> Iterator[Mount]:
    for target in sorted((config.get("Volumes") or {}).keys() - (image.get("Volumes") or {}).keys()):
        yield Mount(target=target)


def _health(found: Mapping[str, Any] | None, of_image: Mapping[str, Any] | None) -> HealthCheck | None:
    if not found or not found.get("Test") or found == of_image:
        return None
    if found["Test"] == ["NONE"]:
        return NO_HEALTH
    return HealthCheck(
        test=tuple(found["Test"]),
        interval=(found.get("Interval") or 30 * _NANOSECONDS) / _NANOSECONDS,
        timeout=(found.get("Timeout") or 30 * _NANOSECONDS) / _NANOSECONDS,
        retries=found.get("Retries") or 3,
        start_period=(found.get("StartPeriod") or 0) / _NANOSECONDS,
    )


def _of_host(host: Mapping[str, Any], log_driver: str) -> dict[str, Any]:
    logging = host.get("LogConfig") or {}
    options = dict(sorted((logging.get("Config") or {}).items()))
    restart = host.get("RestartPolicy") or {}
    policy, count = restart.get("Name") or "no", restart.get("MaximumRetryCount") or 0
    shm_size = host.get("ShmSize") or 0
    return {
        "restart": "" if policy == "no" else f"{policy}:{count}" if count else policy,
        "log_driver": "" if logging.get("Type") == log_driver and not options else logging.get("Type") or "",
        "log_options": options,
        "privileged": bool(host.get("Privileged")),
        "read_only": bool(host.get("ReadonlyRootfs")),
        "init": bool(host.get("Init")),
        "devices": tuple(map(_device, host.get("Devices") or ())),
        "tmpfs": tuple(f"{path}:{text}" if text else path for path, text in sorted((host.get("Tmpfs") or {}).items())),
        "cap_add": tuple(host.get("CapAdd") or ()),
        "cap_drop": tuple(host.get("CapDrop") or ()),
        "security_opt": tuple(host.get("SecurityOpt") or ()),
        "dns": tuple(host.get("Dns") or ()),
        "extra_hosts": tuple(host.get("ExtraHosts") or ()),
        "sysctls": dict(sorted((host.get("Sysctls") or {}).items())),
        "mem_limit": host.get("Memory") or 0,
        "mem_reservation": host.get("MemoryReservation") or 0,
        "shm_size": 0 if shm_size == _SHM_SIZE else shm_size,
        "cpu_shares": host.get("CpuShares") or 0,
        "cpuset": host.get("CpusetCpus") or "",
    }


def _device(found: Mapping[str, str]) -> str:
    outside, inside = found["PathOnHost"], found["PathInContainer"]
    rights = found.get("CgroupPermissions") or "rwm"
    if rights != "rwm":
        return f"{outside}:{inside}:{rights}"
    return outside if inside == outside else f"{outside}:{inside}"
