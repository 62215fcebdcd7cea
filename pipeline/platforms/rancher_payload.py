"""Pure translations from our definitions to what Rancher 1.6 is sent: services, launch configs, upgrades."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pipeline.model.image import LABEL
from pipeline.model.interpolate import fill_secrets
from pipeline.model.inventory import BOOTSTRAP_LABEL
from pipeline.model.rancher import owner
from pipeline.model.secret import Secret
from pipeline.model.stack import Mount, Port, RancherHealth, RancherPart, Stack, StackService
from pipeline.platforms.labels import own_labels
from pipeline.platforms.names import volume_name

DEFINES = f"{LABEL}defines"
"""What of a launch config is ours, as JSON: the rest is somebody's by hand and outlives upgrades."""
REMOVED_SIDEKICK = "rancher/none"
_SERVERS = ("type", "kind", "version", "links", "actions", "baseType", "id")


def stack_payload(stack: Stack) -> dict[str, Any]:
    """An empty stack. Its services are created one by one: Rancher's compose would interpolate their values again."""
    return {
        "name": stack.name,
        "description": f"{stack.service} {stack.version} of {stack.branch}",
        "externalId": owner(stack.environment, stack.service),
        "startOnCreate": True,
    }


def service_payload(
    stack: Stack, stack_id: str, service: StackService, secrets: Mapping[str, Secret]
) -> dict[str, Any]:
    """The body of POST /services. Holds the secrets' values: it goes to the server and nowhere else."""
    part = service.rancher or RancherPart()
    return {
        "name": service.name,
        "stackId": stack_id,
        "externalId": owner(stack.environment, stack.service),
        "startOnCreate": True,
        "scale": service.scale,
        "metadata": part.metadata,
        "retainIp": part.retain_ip,
        "launchConfig": launch_config(stack, service, secrets),
        "secondaryLaunchConfigs": [
            {"name": one.name} | launch_config(stack, one, secrets) for one in sidekicks_of(stack, service)
        ],
    }


def primaries(stack: Stack) -> tuple[StackService, ...]:
    """What becomes a service of Rancher's: everything but sidekicks."""
    return tuple(one for one in stack.definition.services if not (one.rancher and one.rancher.sidekick_of))


def sidekicks_of(stack: Stack, service: StackService) -> tuple[StackService, ...]:
    return tuple(one for one in stack.definition.services if one.rancher and one.rancher.sidekick_of == service.name)


def launch_config(stack: Stack, service: StackService, secrets: Mapping[str, Secret]) -> dict[str, Any]:
    """Every container of the service, with a label that says what of it this release defines."""
    environment = {name: fill_secrets(text, secrets) for name, text in sorted(service.environment.items())}
    labels = dict(service.labels) | dict(stack.labels) | own_labels(service)
    fields = {key: value for key, value in _fields(stack, service).items() if value not in (None, [], {}, 0, "", False)}
    defines = {"environment": sorted(environment), "labels": sorted(labels), "fields": sorted(fields)}
    defines["scale"] = [str(service.scale)]
    told = service.rancher.defines if service.rancher else ""
    labels[DEFINES] = told or json.dumps(defines, separators=(",", ":"))
    return fields | {
        "imageUuid": f"docker:{service.image}",
        "environment": environment,
        "labels": labels,
    }


def upgrade_payload(
    stack: Stack,
    service: StackService,
    found: Mapping[str, Any],
    sidekicks: list[dict[str, Any]],
    secrets: Mapping[str, Secret],
) -> dict[str, Any]:
    """The body of the action `upgrade`: the server replaces a launch config as a whole, so what it has and no release
    of ours defined is sent back; a sidekick that the release has no more is dropped."""
    part = service.rancher or RancherPart()
    before = {str(one.get("name")): one for one in sidekicks}
    wanted = sidekicks_of(stack, service)
    listed: list[dict[str, Any]] = [
        {"name": one.name} | merged(before.get(one.name, {}), launch_config(stack, one, secrets)) for one in wanted
    ]
    gone = before.keys() - {one.name for one in wanted}
    listed += [{"name": name, "imageUuid": REMOVED_SIDEKICK} for name in sorted(gone)]
    return {
        "inServiceStrategy": {
            "batchSize": part.batch_size,
            "intervalMillis": part.interval_millis,
            "startFirst": part.start_first,
            "launchConfig": merged(found, launch_config(stack, service, secrets)),
            "secondaryLaunchConfigs": listed,
        }
    }


def merged(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """`wanted` over what of `found` no release of ours defined."""
    ours = defined(found)
    kept = {key: value for key, value in found.items() if key not in (*_SERVERS, *ours["fields"]) and value is not None}
    for key in ("environment", "labels"):
        gone = {*ours[key], BOOTSTRAP_LABEL}
        others = {name: text for name, text in (found.get(key) or {}).items() if name not in gone}
        kept[key] = others | wanted[key]
    return kept | {key: value for key, value in wanted.items() if key not in ("environment", "labels")}


def defined(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """What the release that made this launch config said it defines; nothing for one that somebody else made."""
    empty: dict[str, list[str]] = {"environment": [], "labels": [], "fields": [], "scale": []}
    text = (found.get("labels") or {}).get(DEFINES, "")
    try:
        told = json.loads(text) if text else {}
    except ValueError:
        told = {}
    given = told if isinstance(told, dict) else {}
    return empty | {key: value for key, value in given.items() if key in empty and isinstance(value, list)}


def _fields(stack: Stack, service: StackService) -> dict[str, Any]:
    part = service.rancher or RancherPart()
    return {
        "command": list(service.command or ()),
        "entryPoint": list(service.entrypoint or ()),
        "ports": [_port(port) for port in service.ports],
        "dataVolumes": [_mount(stack, mount) for mount in service.mounts],
        "healthCheck": _health(part.health) if part.health else None,
        "user": service.user,
        "workingDir": service.working_dir,
        "hostname": service.hostname,
        "stopSignal": service.stop_signal,
        "stopTimeout": math.ceil(service.stop_seconds or 0),
        "privileged": service.privileged,
        "readOnly": service.read_only,
        "runInit": service.init,
        "tty": service.tty,
        "capAdd": list(service.cap_add),
        "capDrop": list(service.cap_drop),
        "securityOpt": list(service.security_opt),
        "devices": list(service.devices),
        "tmpfs": {path: options for path, _, options in (text.partition(":") for text in service.tmpfs)},
        "dns": list(service.dns),
        "extraHosts": list(service.extra_hosts),
        "sysctls": service.sysctls,
        "memory": service.mem_limit,
        "memoryReservation": service.mem_reservation,
        "shmSize": service.shm_size,
        "cpuShares": service.cpu_shares,
        "cpuSet": service.cpuset,
        "logConfig": {"driver": service.log_driver, "config": service.log_options} if service.log_driver else None,
        "drainTimeoutMs": part.drain_timeout_ms,
        "milliCpuReservation": part.milli_cpu_reservation,
    }


def _port(port: Port) -> str:
    outside = f"{port.address}:" if port.address else ""
    return (
        f"{outside}{port.host}:{port.container}/{port.protocol}" if port.host else f"{port.container}/{port.protocol}"
    )


def _mount(stack: Stack, mount: Mount) -> str:
    if not mount.source:
        return mount.target
    source = mount.source if mount.source.startswith("/") else volume_name(stack, mount.source)
    return f"{source}:{mount.target}:ro" if mount.read_only else f"{source}:{mount.target}"


def _health(health: RancherHealth) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "port": health.port,
        "requestLine": health.request_line or None,
        "interval": health.interval,
        "responseTimeout": health.response_timeout,
        "initializingTimeout": health.initializing_timeout,
        "reinitializingTimeout": health.reinitializing_timeout,
        "healthyThreshold": health.healthy_threshold,
        "unhealthyThreshold": health.unhealthy_threshold,
        "strategy": health.strategy,
    }
    if health.quorum:
        payload["recreateOnQuorumStrategyConfig"] = {"quorum": health.quorum}
    return payload
