"""What the compose engine knows, and the launch config that its keys become."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from pipeline.lab.rancher.rows import Fields

_PLAIN = {
    "cap_add": "capAdd",
    "cap_drop": "capDrop",
    "cgroup_parent": "cgroupParent",
    "cpu_period": "cpuPeriod",
    "cpu_quota": "cpuQuota",
    "cpu_shares": "cpuShares",
    "cpuset": "cpuSet",
    "devices": "devices",
    "dns": "dns",
    "dns_opt": "dnsOpt",
    "dns_search": "dnsSearch",
    "domainname": "domainName",
    "extra_hosts": "extraHosts",
    "group_add": "groupAdd",
    "hostname": "hostname",
    "init": "runInit",
    "ipc": "ipcMode",
    "isolation": "isolation",
    "mem_limit": "memory",
    "mem_reservation": "memoryReservation",
    "mem_swappiness": "memorySwappiness",
    "memswap_limit": "memorySwap",
    "oom_kill_disable": "oomKillDisable",
    "oom_score_adj": "oomScoreAdj",
    "pid": "pidMode",
    "pids_limit": "pidsLimit",
    "privileged": "privileged",
    "read_only": "readOnly",
    "security_opt": "securityOpt",
    "shm_size": "shmSize",
    "stdin_open": "stdinOpen",
    "stop_signal": "stopSignal",
    "stop_grace_period": "stopTimeout",
    "sysctls": "sysctls",
    "tmpfs": "tmpfs",
    "tty": "tty",
    "ulimits": "ulimits",
    "user": "user",
    "userns_mode": "usernsMode",
    "uts": "uts",
    "volume_driver": "volumeDriver",
    "volumes": "dataVolumes",
    "working_dir": "workingDir",
    "expose": "expose",
    "ports": "ports",
}
_LISTS = frozenset(("dns", "dns_search", "expose", "ports", "volumes", "devices", "cap_add", "cap_drop", "extra_hosts"))
_BYTES = frozenset(("mem_limit", "mem_reservation", "memswap_limit", "shm_size"))
_HEALTH = {
    "port": "port",
    "request_line": "requestLine",
    "interval": "interval",
    "response_timeout": "responseTimeout",
    "initializing_timeout": "initializingTimeout",
    "reinitializing_timeout": "reinitializingTimeout",
    "healthy_threshold": "healthyThreshold",
    "unhealthy_threshold": "unhealthyThreshold",
    "strategy": "strategy",
}

DOCKER_KEYS = frozenset(_PLAIN) | frozenset(
    [
        "build",
        "command",
        "container_name",
        "depends_on",
        "entrypoint",
        "env_file",
        "environment",
        "external_links",
        "image",
        "labels",
        "links",
        "log_driver",
        "log_opt",
        "logging",
        "net",
        "network_mode",
        "networks",
        "restart",
        "secrets",
        "volumes_from",
        "blkio_weight",
        "extends",
    ]
)
RANCHER_KEYS = frozenset(
    [
        "scale",
        "health_check",
        "lb_config",
        "metadata",
        "retain_ip",
        "scale_policy",
        "start_on_create",
        "upgrade_strategy",
        "type",
        "certs",
        "default_cert",
        "drain_timeout_ms",
        "external_ips",
        "hostname",
        "load_balancer_config",
        "milli_cpu_reservation",
        "memory",
        "network_driver",
        "service_schemas",
        "storage_driver",
        "vcpu",
        "userdata",
        "disks",
        "requested_ip",
        "secrets",
    ]
)


def launch_config(keys: Mapping[str, Any]) -> Fields:
    """The launch config of one service's compose keys."""
    found: Fields = {
        "type": "launchConfig",
        "imageUuid": f"docker:{keys['image']}" if keys.get("image") else None,
        "environment": dict(keys.get("environment") or {}),
        "labels": labels(keys.get("labels")),
        "networkMode": keys.get("network_mode") or keys.get("net") or "managed",
        "kind": "container",
        "startOnCreate": True,
        "version": "0",
    }
    for name, field in _PLAIN.items():
        if name in keys:
            found[field] = _converted(name, keys[name])
    for name, field in (("command", "command"), ("entrypoint", "entryPoint")):
        if keys.get(name) is not None:
            value = keys[name]
            found[field] = shlex.split(value) if isinstance(value, str) else [str(one) for one in value]
    logging = keys.get("logging") or {}
    driver, options = logging.get("driver") or keys.get("log_driver"), logging.get("options") or keys.get("log_opt")
    if driver or options:
        found["logConfig"] = {"type": "logConfig", "driver": driver or "", "config": dict(options or {})}
    if keys.get("health_check"):
        found["healthCheck"] = health_check(keys["health_check"])
    if str(found["networkMode"]).startswith(("service:", "container:")):
        found["networkLaunchConfig"] = str(found["networkMode"]).partition(":")[2]
        found["networkMode"] = "container"
    if keys.get("volumes_from"):
        found["dataVolumesFromLaunchConfigs"] = [str(one).split(":")[0] for one in keys["volumes_from"]]
    return found


def labels(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        return {str(key): _text(one) for key, one in value.items()}
    return {key: text for key, _, text in (str(one).partition("=") for one in value or ())}


def health_check(keys: Mapping[str, Any]) -> Fields:
    found: Fields = {"type": "instanceHealthCheck", "strategy": "recreate"}
    return found | {_HEALTH[name]: value for name, value in keys.items() if name in _HEALTH}


def compose_health(check: Mapping[str, Any]) -> Fields:
    """The other way round, for an export."""
    return {name: check[field] for name, field in _HEALTH.items() if check.get(field) is not None}


def compose_keys(config: Mapping[str, Any]) -> Fields:
    """A launch config's fields as compose keys, for an export; what is empty is left out."""
    found: Fields = {}
    for name, field in _PLAIN.items():
        value = config.get(field)
        if value not in (None, False, [], {}, ""):
            found[name] = value
    return found


def _converted(name: str, value: Any) -> Any:
    if name in _BYTES:
        return _bytes(value)
    if name in _LISTS:
        return [str(one) for one in (value if isinstance(value, list) else [value])]
    if name == "stop_grace_period" and isinstance(value, str):
        return int(float(value.removesuffix("s")))
    if name == "tmpfs":
        several = value if isinstance(value, list) else [value]
        return {path: options for path, _, options in (str(one).partition(":") for one in several)}
    return value


def _bytes(value: Any) -> int:
    found = re.fullmatch(r"(\d+)([kmg]?)b?", str(value).lower())
    if found is None:
        return 0
    return int(found[1]) << 10 * " kmg".index(found[2] or " ")


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
