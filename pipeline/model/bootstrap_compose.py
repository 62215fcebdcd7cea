"""A stack as a compose file: what runs, to read, and to start on another platform. model/compose.py reads it back."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.model.interpolate import as_written
from pipeline.model.stack import (
    NO_HEALTH,
    HealthCheck,
    Mount,
    Port,
    RancherHealth,
    RancherPart,
    Stack,
    StackService,
)
from pipeline.model.yaml_text import yaml_text

_SAME = {
    "image": "image",
    "environment": "environment",
    "labels": "labels",
    "restart": "restart",
    "user": "user",
    "working_dir": "working_dir",
    "hostname": "hostname",
    "stop_signal": "stop_signal",
    "privileged": "privileged",
    "read_only": "read_only",
    "init": "init",
    "tty": "tty",
    "cap_add": "cap_add",
    "cap_drop": "cap_drop",
    "security_opt": "security_opt",
    "devices": "devices",
    "tmpfs": "tmpfs",
    "dns": "dns",
    "extra_hosts": "extra_hosts",
    "sysctls": "sysctls",
    "mem_limit": "mem_limit",
    "mem_reservation": "mem_reservation",
    "shm_size": "shm_size",
    "cpu_shares": "cpu_shares",
    "cpuset": "cpuset",
}

_HEALTH = (
    *("port", "interval", "response_timeout", "initializing_timeout", "reinitializing_timeout"),
    *("healthy_threshold", "unhealthy_threshold", "strategy"),
)


def compose_text(stack: Stack) -> str:
    """The file. Secrets are `${NAME}`; how many containers a service has is what Rancher's own file says."""
    services = {one.name: _service(one) for one in stack.definition.services}
    volumes = sorted({one.source for service in stack.definition.services for one in service.mounts if _named(one)})
    document: dict[str, object] = {"version": "2", "services": services}
    return yaml_text(document | ({"volumes": dict.fromkeys(volumes)} if volumes else {}))


def rancher_compose_text(stack: Stack) -> str:
    """Of each service, how many containers it has, and what only Rancher is told. A sidekick has as many as the service
    that it goes with."""
    services = {one.name: _of_rancher(one) for one in stack.definition.services}
    return yaml_text({"version": "2", "services": {name: found for name, found in services.items() if found}})


def _of_rancher(service: StackService) -> dict[str, object]:
    part = service.rancher or RancherPart()
    found: dict[str, object] = {} if part.sidekick_of else {"scale": service.scale}
    if part.health is not None:
        found["health_check"] = _rancher_health(part.health)
    for key in ("metadata", "retain_ip", "drain_timeout_ms", "milli_cpu_reservation"):
        if value := getattr(part, key):
            found[key] = _written(value)
    return found


def _rancher_health(health: RancherHealth) -> dict[str, object]:
    found: dict[str, object] = {key: getattr(health, key) for key in _HEALTH}
    if health.request_line:
        found["request_line"] = _written(health.request_line)
    if health.quorum:
        found["recreate_on_quorum_strategy_config"] = {"quorum": health.quorum}
    return found


def _service(service: StackService) -> dict[str, object]:
    found: dict[str, object] = {
        key: value for key, field in _SAME.items() if (value := getattr(service, field)) not in ("", 0, False, (), {})
    }
    for key in ("command", "entrypoint"):
        if (words := getattr(service, key)) is not None:
            found[key] = words
    if service.depends_on:
        found["depends_on"] = service.depends_on
    if service.ports:
        found["ports"] = [_port(one) for one in service.ports]
    if service.mounts:
        found["volumes"] = [_mount(one) for one in service.mounts]
    if service.stop_seconds is not None:
        found["stop_grace_period"] = _seconds(service.stop_seconds)
    if service.health is not None:
        found["healthcheck"] = _health(service.health)
    if service.log_driver or service.log_options:
        logging = {"driver": service.log_driver, "options": service.log_options}
        found["logging"] = {key: value for key, value in logging.items() if value}
    return {key: _written(value) for key, value in found.items()}


def _written(value: object) -> object:
    """Every text as compose reads it: a dollar sign twice, secrets as variables."""
    if isinstance(value, str):
        return as_written(value)
    if isinstance(value, Mapping):
        return {str(key): _written(one) for key, one in value.items()}
    return [_written(one) for one in value] if isinstance(value, list | tuple) else value


def _named(mount: Mount) -> bool:
    return bool(mount.source) and not mount.source.startswith("/")


def _mount(mount: Mount) -> str:
    text = f"{mount.source}:{mount.target}" if mount.source else mount.target
    return f"{text}:ro" if mount.read_only else text


def _port(port: Port) -> str:
    host = f"{port.host or ''}"
    before = f"{port.address}:{host}:" if port.address else f"{host}:" if host else ""
    return f"{before}{port.container}" + ("/udp" if port.protocol == "udp" else "")


def _health(health: HealthCheck) -> dict[str, object]:
    if health == NO_HEALTH:
        return {"disable": True}
    times = {"interval": health.interval, "timeout": health.timeout, "start_period": health.start_period}
    return {"test": health.test, "retries": health.retries} | {key: _seconds(value) for key, value in times.items()}


def _seconds(value: float) -> str:
    """Without an exponent, in which a duration cannot be written."""
    return f"{value:f}".rstrip("0").rstrip(".") + "s"
