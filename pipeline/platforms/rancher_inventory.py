"""Pure translations of what a Rancher server tells of an environment into an inventory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from pipeline.model.image import LABEL
from pipeline.model.inventory import BOOTSTRAP_LABEL, FoundImage, FoundVolume
from pipeline.model.rancher import ServiceWhole
from pipeline.model.stack import Definition, Mount, Port, RancherHealth, RancherPart, Stack, StackService
from pipeline.platforms.labels import PART_LABEL, SECRETS_LABEL, declared_in
from pipeline.platforms.names import dashed
from pipeline.platforms.rancher_payload import DEFINES

_NOT_THE_STACKS = {PART_LABEL, BOOTSTRAP_LABEL, SECRETS_LABEL, DEFINES}
_UPGRADING = (
    *("upgrading", "upgraded", "canceling-upgrade", "canceled-upgrade", "finishing-upgrade"),
    "rolling-back",
)
_PORT = re.compile(
    r"(?:(?:(?P<address>[0-9.]+|\[[0-9a-fA-F:]+\]):)?(?P<outside>[0-9]+)?:)?(?P<inside>[0-9]+)(?:/(?P<protocol>tcp|udp))?"
)
_TEXTS = {"user": "user", "workingDir": "working_dir", "hostname": "hostname", "stopSignal": "stop_signal"}
_NUMBERS = {
    "memory": "mem_limit",
    "memoryReservation": "mem_reservation",
    "shmSize": "shm_size",
    "cpuShares": "cpu_shares",
}
_SWITCHES = {"privileged": "privileged", "readOnly": "read_only", "runInit": "init", "tty": "tty"}
_WORDS = {
    "capAdd": "cap_add",
    "capDrop": "cap_drop",
    "securityOpt": "security_opt",
    "devices": "devices",
    "dns": "dns",
    "extraHosts": "extra_hosts",
}
_COVERED = {
    *(*_TEXTS, *_NUMBERS, *_SWITCHES, *_WORDS, "cpuSet", "sysctls", "tmpfs", "logConfig", "healthCheck"),
    *("command", "entryPoint", "environment", "labels", "ports", "dataVolumes", "imageUuid", "stopTimeout"),
    *("drainTimeoutMs", "milliCpuReservation", "name"),
    # The server's own.
    *("type", "version", "links", "actions", "baseType", "id"),
}
_PLAIN: Mapping[str, tuple[object, ...]] = {
    "kind": ("container",),
    "networkMode": ("managed",),
    "startOnCreate": (True,),
    "vcpu": (1,),
    "instanceTriggeredStop": ("stop",),
}
"""What a launch config has that nobody set (Cattle's defaults)."""
_HEALTH = {
    "interval": "interval",
    "responseTimeout": "response_timeout",
    "healthyThreshold": "healthy_threshold",
    "initializingTimeout": "initializing_timeout",
    "reinitializingTimeout": "reinitializing_timeout",
    "unhealthyThreshold": "unhealthy_threshold",
}


class ServiceExport(ServiceWhole, frozen=True, kw_only=True):
    """A service with all that it has to be made from again, and with what would be lost."""

    kind: str | None = None
    external_id: str | None = None
    selector_link: str | None = None
    selector_container: str | None = None
    scale_policy: dict[str, Any] | None = None
    linked_services: dict[str, Any] | None = None
    vip: str | None = None

    @property
    def number(self) -> int:
        """Smaller for what was made earlier."""
        return int(re.sub(r"\D", "", self.id[1:]) or 0)

    @property
    def launches(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """Name → launch config, the service's own first, then its sidekicks'."""
        beside = ((str(one.get("name")), one) for one in self.secondary_launch_configs or ())
        return ((self.name or "", self.launch_config or {}), *beside)


def found_stack(name: str, services: Iterable[ServiceExport]) -> Stack:
    """In the order in which its services were made."""
    ordered = sorted(services, key=lambda one: one.number)
    labels = _common_labels([launch for one in ordered for _, launch in one.launches])
    fact = {key: labels.get(f"{LABEL}{key}", "") for key in ("service", "environment", "branch", "commit", "version")}
    prefix = f"{fact['service']}-{dashed(fact['environment'])}-"
    return Stack(
        name=name,
        **fact,
        definition=Definition(services=tuple(part for one in ordered for part in _services(one, prefix, labels))),
        sameness=labels.get(f"{LABEL}sameness", ""),
        labels=labels,
    )


def declared(name: str, services: Iterable[ServiceExport]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """`stack/service` → its environment values that hold secrets, as its label has them."""
    for one in services:
        for part, launch in one.launches:
            if told := declared_in(launch.get("labels") or {}):
                yield f"{name}/{part}", told


def unknown(name: str, service: ServiceExport, prefix: str) -> Iterator[str]:
    """What of a service no definition says."""
    where = f"{name}.{service.name}"
    if service.kind != "service":
        yield f"{where} is a {service.kind}"
        return
    beside = {
        "links": service.linked_services,
        "a selector": service.selector_link or service.selector_container,
        "a scale policy": service.scale_policy,
        "a virtual address": service.vip,
    }
    yield from (f"{where} has {what}" for what, value in beside.items() if value)
    for part, launch in service.launches:
        for key, value in sorted(launch.items()):
            if key not in _COVERED and value and value not in _PLAIN.get(key, ()):
                yield f"{name}.{part} has {key} {_short(value)}"
        for text in launch.get("dataVolumes") or ():
            source, *rest = text.split(":")
            if rest and not source.startswith(("/", prefix)):
                yield f"{name}.{part} has the volume {source}, which is not {prefix}…"
            if rest[1:] not in ([], ["ro"], ["rw"]):
                yield f"{name}.{part} has the volume {text}"


def upgrading(service: ServiceExport) -> bool:
    return service.state in _UPGRADING


def found_images(stacks: Iterable[Stack]) -> tuple[FoundImage, ...]:
    """By the references that services call them by: which digest a host pulled Rancher does not tell."""
    names = sorted({one.image for stack in stacks for one in stack.definition.services})
    return tuple(FoundImage(id=name, names=(name,), digests=(name,) if "@" in name else ()) for name in names)


def found_volumes(stacks: Iterable[Stack]) -> tuple[FoundVolume, ...]:
    """The named ones that containers have: each lies on the hosts that ran one of them."""
    found: dict[str, FoundVolume] = {}
    for stack in stacks:
        prefix = f"{stack.service}-{dashed(stack.environment)}-"
        labels = {f"{LABEL}environment": stack.environment, f"{LABEL}service": stack.service}
        for service in stack.definition.services:
            for mount in service.mounts:
                if mount.source and not mount.source.startswith("/"):
                    name = f"{prefix}{mount.source}"
                    found.setdefault(name, FoundVolume(name=name, driver="local", labels=labels, sample=service.image))
    return tuple(found[name] for name in sorted(found))


def _services(service: ServiceExport, prefix: str, common: Mapping[str, str]) -> Iterator[StackService]:
    for name, launch in service.launches:
        sidekick = name != (service.name or "")
        labels = launch.get("labels") or {}
        own = {key: text for key, text in sorted(labels.items()) if key not in {*common, *_NOT_THE_STACKS}}
        part = RancherPart(
            health=_health(launch.get("healthCheck")),
            metadata={} if sidekick else service.metadata or {},
            retain_ip=False if sidekick else bool(service.retain_ip),
            drain_timeout_ms=launch.get("drainTimeoutMs") or 0,
            milli_cpu_reservation=launch.get("milliCpuReservation") or 0,
            sidekick_of=(service.name or "") if sidekick else "",
            defines=labels.get(DEFINES, ""),
        )
        found = _service(name, launch, service.scale or 0, prefix)
        yield msgspec.structs.replace(found, labels=own, rancher=part)


def _service(name: str, launch: Mapping[str, Any], scale: int, prefix: str) -> StackService:
    logging = launch.get("logConfig") or {}
    fields: dict[str, Any] = {ours: launch.get(key) or "" for key, ours in _TEXTS.items()}
    fields |= {ours: launch.get(key) or 0 for key, ours in _NUMBERS.items()}
    fields |= {ours: bool(launch.get(key)) for key, ours in _SWITCHES.items()}
    fields |= {ours: tuple(launch.get(key) or ()) for key, ours in _WORDS.items()}
    return StackService(
        name=name,
        image=str(launch.get("imageUuid") or "").removeprefix("docker:"),
        scale=scale,
        command=tuple(launch.get("command") or ()) or None,
        entrypoint=tuple(launch.get("entryPoint") or ()) or None,
        environment=dict(sorted((launch.get("environment") or {}).items())),
        ports=tuple(_port(text) for text in launch.get("ports") or ()),
        mounts=tuple(_mount(text, prefix) for text in launch.get("dataVolumes") or ()),
        stop_seconds=float(grace) if (grace := launch.get("stopTimeout")) else None,
        tmpfs=tuple(f"{path}:{options}" if options else path for path, options in sorted(_map(launch, "tmpfs"))),
        sysctls=dict(sorted(_map(launch, "sysctls"))),
        cpuset=launch.get("cpuSet") or "",
        log_driver=logging.get("driver") or "",
        log_options=dict(sorted((logging.get("config") or {}).items())),
        **fields,
    )


def _map(launch: Mapping[str, Any], key: str) -> Iterable[tuple[str, str]]:
    return (launch.get(key) or {}).items()


def _common_labels(launches: list[Mapping[str, Any]]) -> dict[str, str]:
    """The toolkit's own labels that every part of the stack has."""
    found = [launch.get("labels") or {} for launch in launches]
    return {
        name: text
        for name, text in sorted(found[0].items())
        if name.startswith(LABEL) and name not in _NOT_THE_STACKS and all(one.get(name) == text for one in found)
    }


def _port(text: str) -> Port:
    found = _PORT.fullmatch(text)
    assert found is not None, text  # noqa: S101  (the server takes no other: PortWrongFormat)
    return Port(
        container=int(found["inside"]),
        protocol="udp" if found["protocol"] == "udp" else "tcp",
        host=int(found["outside"] or 0),
        address=found["address"] or "",
    )


def _mount(text: str, prefix: str) -> Mount:
    source, colon, rest = text.partition(":")
    if not colon:
        return Mount(target=source)
    target, _, mode = rest.partition(":")
    short = source if source.startswith("/") else source.removeprefix(prefix)
    return Mount(source=short, target=target, read_only="ro" in mode.split(","))


def _health(found: Mapping[str, Any] | None) -> RancherHealth | None:
    if not found:
        return None
    quorum = (found.get("recreateOnQuorumStrategyConfig") or {}).get("quorum") or 0
    given = {ours: found[key] for key, ours in _HEALTH.items() if found.get(key) is not None}
    return RancherHealth(
        port=found.get("port") or 0,
        request_line=found.get("requestLine") or "",
        strategy=found.get("strategy") or "recreate",
        quorum=quorum,
        **given,
    )


def _short(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"
