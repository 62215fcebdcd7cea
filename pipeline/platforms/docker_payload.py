"""Pure translations between our definitions and a Docker engine's JSON (API 1.41)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pipeline.model.image import LABEL
from pipeline.model.interpolate import fill_secrets
from pipeline.model.secret import Secret
from pipeline.model.stack import FoundContainer, HealthCheck, Mount, Stack, StackService, State
from pipeline.platforms.labels import own_labels
from pipeline.platforms.names import network_name, volume_name

ONCE_LABEL = "io.rancher.container.start_once"
_NANOSECONDS = 1_000_000_000


def container_payload(stack: Stack, service: StackService, secrets: Mapping[str, Secret]) -> dict[str, object]:
    """The body of POST /containers/create. Holds the secrets' values: it goes to the engine and nowhere else."""
    alias = f"{service.name}.{stack.name}"
    payload: dict[str, object] = {
        "Image": service.image,
        "Env": [f"{name}={fill_secrets(text, secrets)}" for name, text in sorted(service.environment.items())],
        "Labels": dict(service.labels) | dict(stack.labels) | own_labels(service),
        "HostConfig": _host_config(stack, service),
        "NetworkingConfig": {"EndpointsConfig": {network_name(stack.environment): {"Aliases": [alias]}}},
        "ExposedPorts": {f"{port.container}/{port.protocol}": {} for port in service.ports},
        "Volumes": {mount.target: {} for mount in service.mounts if not mount.source},
        "Tty": service.tty,
    }
    optional: dict[str, object | None] = {
        "Cmd": None if service.command is None else list(service.command),
        "Entrypoint": None if service.entrypoint is None else list(service.entrypoint),
        "User": service.user or None,
        "WorkingDir": service.working_dir or None,
        "Hostname": service.hostname or None,
        "StopSignal": service.stop_signal or None,
        "StopTimeout": None if service.stop_seconds is None else math.ceil(service.stop_seconds),
        "Healthcheck": None if service.health is None else _health(service.health),
    }
    return payload | {key: value for key, value in optional.items() if value is not None}


def found_container(listed: Mapping[str, object], state: State) -> FoundContainer:
    """A container as GET /containers/json lists it; its state needs more than that answer, so it is given."""
    labels = _texts(listed.get("Labels"))
    names = listed.get("Names")
    ports = listed.get("Ports")
    return FoundContainer(
        id=str(listed["Id"]),
        name=str(names[0]).lstrip("/") if isinstance(names, list) and names else str(listed["Id"])[:12],
        compose_service=labels.get(f"{LABEL}compose-service", ""),
        image=str(listed.get("ImageID") or listed.get("Image")),
        state=state,
        created=float(str(listed.get("Created", 0))),
        digest=labels.get(f"{LABEL}definition", ""),
        once=labels.get(ONCE_LABEL) == "true",
        image_name=str(listed.get("Image", "")),
        ports=tuple(
            (f"{port['PrivatePort']}/{port['Type']}", f"{port.get('IP', '')}:{port['PublicPort']}")
            for port in (ports if isinstance(ports, list) else [])
            if port.get("PublicPort")
        ),
    )


def state_of(status: str, health: str) -> State:
    """Our state from the engine's `State.Status` and `State.Health.Status` (empty without a health check). One that is
    paused answers nothing: it counts as stopped."""
    if status != "running":
        return "starting" if status in ("created", "restarting") else "stopped"
    match health:
        case "healthy":
            return "healthy"
        case "unhealthy":
            return "unhealthy"
        case "starting":
            return "starting"
    return "running"


def _host_config(stack: Stack, service: StackService) -> dict[str, object]:
    config: dict[str, object] = {
        "NetworkMode": network_name(stack.environment),
        # A name without a dot is looked for in its own stack first, as Rancher's DNS does.
        "DnsSearch": [stack.name],
        "DnsOptions": ["ndots:1"],
        "Binds": [_bind(stack, mount) for mount in service.mounts if mount.source],
        "PortBindings": {
            f"{port.container}/{port.protocol}": [{"HostIp": port.address, "HostPort": str(port.host or "")}]
            for port in service.ports
        },
        "RestartPolicy": _restart(service.restart),
        "Privileged": service.privileged,
        "ReadonlyRootfs": service.read_only,
        "LogConfig": {"Type": service.log_driver, "Config": service.log_options},
        "Devices": [_device(text) for text in service.devices],
        "Tmpfs": {path: options for path, _, options in (text.partition(":") for text in service.tmpfs)},
    }
    given: dict[str, object] = {
        "Init": service.init,
        "CapAdd": list(service.cap_add),
        "CapDrop": list(service.cap_drop),
        "SecurityOpt": list(service.security_opt),
        "Dns": list(service.dns),
        "ExtraHosts": list(service.extra_hosts),
        "Sysctls": service.sysctls,
        "Memory": service.mem_limit,
        "MemoryReservation": service.mem_reservation,
        "ShmSize": service.shm_size,
        "CpuShares": service.cpu_shares,
        "CpusetCpus": service.cpuset,
    }
    return config | {key: value for key, value in given.items() if value}


def _bind(stack: Stack, mount: Mount) -> str:
    source = mount.source if mount.source.startswith("/") else volume_name(stack, mount.source)
    return f"{source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"


def _restart(text: str) -> dict[str, object]:
    name, _, count = text.partition(":")
    return {"Name": name or "no", "MaximumRetryCount": int(count) if count.isdigit() else 0}


def _device(text: str) -> dict[str, str]:
    host, _, rest = text.partition(":")
    container, _, rights = rest.partition(":")
    return {"PathOnHost": host, "PathInContainer": container or host, "CgroupPermissions": rights or "rwm"}


def _health(health: HealthCheck) -> dict[str, object]:
    return {
        "Test": list(health.test),
        "Interval": int(health.interval * _NANOSECONDS),
        "Timeout": int(health.timeout * _NANOSECONDS),
        "Retries": health.retries,
        "StartPeriod": int(health.start_period * _NANOSECONDS),
    }


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()} if isinstance(value, dict) else {}
