"""rancher-compose.yml, and what of a compose file a Rancher 1.6 server takes: what it would ignore is an error here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from pipeline.errors import BadInput
from pipeline.model.compose_fill import fill
from pipeline.model.compose_values import Place, as_bool, as_int, as_text, known, wrong
from pipeline.model.compose_yaml import load_yaml
from pipeline.model.interpolate import Lookup
from pipeline.model.manifest import Health, Manifest
from pipeline.model.stack import NO_HEALTH, Definition, RancherHealth, RancherPart, StackService

SIDEKICKS = "io.rancher.sidekicks"
GLOBAL = "io.rancher.scheduler.global"
_KEPT_UP = ("", "always", "unless-stopped")
_LONGEST_METADATA = 1 << 20
# Rancher's rule: letters, digits and single dashes inside (the server refuses others with InvalidCharacters).
_NAME = re.compile(r"[a-zA-Z0-9](?!.*--)(?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_HEALTH = (
    *("port", "request_line", "interval", "response_timeout", "initializing_timeout", "reinitializing_timeout"),
    *("healthy_threshold", "unhealthy_threshold", "strategy", "recreate_on_quorum_strategy_config"),
)
_UPGRADE = ("batch_size", "interval_millis", "start_first")
_LEAST_INTERVAL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The names of a service's two files, for messages."""

    compose: str
    rancher: str


def parse_rancher(text: bytes, *, file: str, lookup: Lookup) -> Mapping[str, RancherPart]:
    """What rancher-compose.yml says of each service, but its scale (model.compose.parse_scales), variables filled in.

    Raises BadInput naming file, service and key, for every key that this toolkit would not hand to the server, too.
    """
    top = load_yaml(text, file) or {}
    if not isinstance(top, dict):
        raise BadInput(f"{file}: the file should be a mapping", hint="docs/rancher.md shows one.")
    known(top, ("version", "services"), file, "")
    services = top.get("services") or {}
    if not isinstance(services, dict):
        raise BadInput(f"{file}: services should be a mapping of names", hint="docs/rancher.md shows one.")
    return {str(name): _part(body, Place(file=file, service=str(name)), lookup) for name, body in services.items()}


def for_rancher(
    manifest: Manifest, definition: Definition, parts: Mapping[str, RancherPart], files: Files
) -> Definition:
    """The definition as Rancher runs it: health is asked over the network, sidekicks go with a primary's containers.

    Raises BadInput, naming file, service and key, for what a server would refuse or silently not do.
    """
    primaries = _primaries(definition, files)
    scales = {service.name: service.scale for service in definition.services}
    services = []
    for service in definition.services:
        primary = primaries.get(service.name, "")
        if primary and service.scale not in (1, scales[primary]):
            raise BadInput(
                f"{files.rancher}: services.{service.name}.scale is {service.scale}, and it is a sidekick of {primary}",
                hint=f"Leave it out: there is one with each container of {primary}.",
            )
        part = parts.get(service.name, RancherPart())
        health = part.health or _of_manifest(manifest, service)
        _check(service, health, files)
        fixed = any(port.host for port in service.ports)
        services.append(
            msgspec.structs.replace(
                service,
                scale=scales[primary] if primary else service.scale,
                health=None,
                rancher=msgspec.structs.replace(
                    part,
                    health=health,
                    sidekick_of=primary,
                    # Beside the old one there is no room for a port of the host's, nor for an address that stays.
                    start_first=part.start_first and not fixed and not part.retain_ip,
                ),
            )
        )
    return msgspec.structs.replace(definition, services=tuple(services))


def _primaries(definition: Definition, files: Files) -> dict[str, str]:
    """Sidekick → the service whose containers it goes with."""
    names = {service.name for service in definition.services}
    found: dict[str, str] = {}
    for service in definition.services:
        for name in filter(None, re.split(r"[,\s]+", service.labels.get(SIDEKICKS, ""))):
            at = Place(file=files.compose, service=service.name, key=f"labels.{SIDEKICKS}")
            if name not in names or name == service.name:
                raise wrong(at, f"names {name!r}", f"It should be another service: {', '.join(sorted(names))}.")
            if name in found:
                raise wrong(at, f"names {name!r}, a sidekick of {found[name]}", "A sidekick has one primary.")
            found[name] = service.name
    for sidekick, primary in found.items():
        if primary in found:
            at = Place(file=files.compose, service=primary, key=f"labels.{SIDEKICKS}")
            raise wrong(at, f"names {sidekick!r}, and is a sidekick itself", "Sidekicks have no sidekicks.")
    return found


def _check(service: StackService, health: RancherHealth | None, files: Files) -> None:
    at = Place(file=files.compose, service=service.name)
    if not _NAME.fullmatch(service.name):
        raise BadInput(
            f"{files.compose}: services.{service.name}: Rancher takes no service of this name",
            hint="Use letters, digits and single dashes, at most 63, no dash at either end.",
        )
    if service.restart not in _KEPT_UP:
        raise wrong(
            at.at("restart"),
            f"is {service.restart!r}, and Rancher keeps every container up",
            'Leave it out; the label io.rancher.container.start_once: "true" runs one once.',
        )
    if service.health not in (None, NO_HEALTH) and health is None:
        raise wrong(
            at.at("healthcheck"),
            "has no effect on Rancher, which asks over the network",
            f"Give the service a health_check in {files.rancher}, or the manifest a pipeline.health.",
        )
    if service.labels.get(GLOBAL) == "true":
        raise wrong(
            at.at(f"labels.{GLOBAL}"),
            "makes a container on every host",
            "How many have to become healthy could not be told: give it a scale instead.",
        )


def _of_manifest(manifest: Manifest, service: StackService) -> RancherHealth | None:
    health = manifest.pipeline.health
    if health is None or service.name != manifest.pipeline.upstream.service:
        return None
    return _probe(health, manifest.pipeline.upstream.port)


def _probe(health: Health, port: int) -> RancherHealth:
    """The manifest's health as Rancher asks it. It has no retries while a container starts, but a time for that."""
    interval, timeout = round(health.interval * 1000), round(health.timeout * 1000)
    starting = max(60_000, interval * health.retries)
    return RancherHealth(
        port=port,
        request_line=f'GET "{health.path}" "HTTP/1.0"',
        interval=interval,
        response_timeout=timeout,
        initializing_timeout=starting,
        reinitializing_timeout=starting,
    )


def _part(body: object, place: Place, lookup: Lookup) -> RancherPart:
    if not isinstance(body, dict):
        raise BadInput(f"{place.file}: services.{place.service} should be a mapping", hint="docs/rancher.md shows one.")
    fields: dict[str, object] = {}
    for key, raw in body.items():
        at = place.at(str(key))
        if str(key).startswith("x-") or key == "scale":
            continue
        if key not in _KEYS:
            raise wrong(at, "is not supported here", f"Supported: scale, {', '.join(_KEYS)}, x-….")
        fields |= _KEYS[key](fill(raw, lookup, at), at)
    return RancherPart(**fields)  # type: ignore[arg-type]  # each parser gives its field's type


def _health(value: object, at: Place) -> dict[str, object]:
    body = _mapping(value, at)
    known(body, _HEALTH, at.file, f"services.{at.service}.health_check.")
    numbers = {
        key: as_int(number, at.at(f"health_check.{key}"))
        for key, number in body.items()
        if key not in ("request_line", "strategy", "recreate_on_quorum_strategy_config")
    }
    if not 1 <= numbers.get("port", 0) <= 65535:
        raise wrong(at, "has no port from 1 to 65535", "Rancher connects to it.")
    strategy = as_text(body.get("strategy", "recreate"), at)
    quorum = _mapping(body.get("recreate_on_quorum_strategy_config") or {}, at)
    known(quorum, ("quorum",), at.file, f"services.{at.service}.health_check.recreate_on_quorum_strategy_config.")
    if strategy not in ("none", "recreate", "recreateOnQuorum") or (strategy == "recreateOnQuorum") != bool(quorum):
        raise wrong(
            at,
            f"has the strategy {strategy!r}",
            "Known: none, recreate, and recreateOnQuorum with recreate_on_quorum_strategy_config: {quorum: N}.",
        )
    request = body.get("request_line")
    return {
        "health": RancherHealth(
            request_line="" if request is None else as_text(request, at),
            strategy=strategy,  # type: ignore[arg-type]  # checked above
            quorum=as_int(quorum.get("quorum", 0), at),
            **numbers,
        )
    }


def _strategy(value: object, at: Place) -> dict[str, object]:
    body = _mapping(value, at)
    known(body, _UPGRADE, at.file, f"services.{at.service}.upgrade_strategy.")
    batch = as_int(body.get("batch_size", 1), at.at("upgrade_strategy.batch_size"))
    interval = as_int(body.get("interval_millis", 2000), at.at("upgrade_strategy.interval_millis"))
    if batch < 1 or interval < _LEAST_INTERVAL:
        raise wrong(
            at, f"has batch_size {batch}, interval_millis {interval}", f"They start at 1 and {_LEAST_INTERVAL}."
        )
    first = as_bool(body.get("start_first", True), at.at("upgrade_strategy.start_first"))
    return {"batch_size": batch, "interval_millis": interval, "start_first": first}


def _start_on_create(value: object, at: Place) -> dict[str, object]:
    if not as_bool(value, at):
        raise wrong(at, "is false", "What is deployed is started: leave it out.")
    return {}


def _metadata(value: object, at: Place) -> dict[str, object]:
    body = _mapping(value, at)
    if len(msgspec.json.encode(body)) > _LONGEST_METADATA:
        raise wrong(at, "is longer than 1 MiB", "The server takes no more.")
    return {"metadata": body}


def _mapping(value: object, at: Place) -> dict[str, object]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise wrong(at, f"should be a mapping, not {value!r}", "docs/rancher.md shows one.")
    return value


_KEYS: Mapping[str, Callable[[object, Place], dict[str, object]]] = {
    "health_check": _health,
    "upgrade_strategy": _strategy,
    "start_on_create": _start_on_create,
    "metadata": _metadata,
    "retain_ip": lambda value, at: {"retain_ip": as_bool(value, at)},
    "drain_timeout_ms": lambda value, at: {"drain_timeout_ms": as_int(value, at)},
    "milli_cpu_reservation": lambda value, at: {"milli_cpu_reservation": as_int(value, at)},
}
