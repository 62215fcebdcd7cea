"""Compose files: docker-compose.yml (version 2) as this toolkit reads it. Every key is supported or an error."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.errors import BadInput
from pipeline.model.compose_fill import fill, fill_environment
from pipeline.model.compose_values import (
    Place,
    as_bool,
    as_bytes,
    as_depends,
    as_health,
    as_hosts,
    as_int,
    as_labels,
    as_map,
    as_mounts,
    as_ports,
    as_restart,
    as_seconds,
    as_text,
    as_texts,
    known,
    wrong,
)
from pipeline.model.compose_yaml import load_yaml
from pipeline.model.interpolate import Lookup
from pipeline.model.manifest import ImageSource
from pipeline.model.stack import StackService

_SERVICE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeFile:
    """The services of a compose file, dependencies first, the names of its volumes, and every variable that stands
    under an `environment`, whether its value was needed or not."""

    services: tuple[StackService, ...]
    volumes: tuple[str, ...] = ()
    variables: frozenset[str] = frozenset()


def parse_compose(text: bytes, *, file: str, lookup: Lookup) -> ComposeFile:
    """The compose file in `text`, variables filled in by `lookup`. Raises BadInput naming file, service and key."""
    top = _mapping(load_yaml(text, file), file, "the file")
    known(top, ("version", "services", "volumes"), file, "")
    version = str(top.get("version", "2"))
    if not (version == "2" or version.startswith("2.")):
        raise BadInput(
            f"{file}: version {version!r} is not supported", hint="Use version '2', which Rancher 1.6 reads as well."
        )
    services = _mapping(top.get("services"), file, "services")
    if not services:
        raise BadInput(f"{file}: no services", hint="Name at least the service that the gateway sends requests to.")
    volumes = _volumes(top.get("volumes") or {}, file)
    asked: set[str] = set()
    parsed = []
    for name, body in services.items():
        place = Place(file=file, service=_service_name(name, file))
        keys = _mapping(body, file, f"services.{name}")
        parsed.append(_service(name, _interpolated(keys, lookup, asked, place), place))
    _check_volumes(parsed, volumes, file)
    return ComposeFile(services=_in_order(parsed, file), volumes=volumes, variables=frozenset(asked))


def parse_builds(text: bytes, *, file: str, lookup: Lookup) -> Mapping[str, ImageSource | None]:
    """Every compose service that is not given by an `image` alone: its `build:` entry, or None where it has neither.
    Nothing else of the file is looked at: what only running a stack needs may still be missing when it is built."""
    services = _mapping(_mapping(load_yaml(text, file), file, "the file").get("services"), file, "services")
    found: dict[str, ImageSource | None] = {}
    for name, body in services.items():
        place = Place(file=file, service=name)
        keys = _mapping(body, file, f"services.{name}")
        if "build" in keys:
            found[name] = _build(fill(keys["build"], lookup, place.at("build")), place)
        elif "image" not in keys:
            found[name] = None
    return found


def parse_scales(text: bytes, *, file: str) -> Mapping[str, int]:
    """How many containers of each service rancher-compose.yml asks for; its other keys are for Rancher alone."""
    services = _mapping(_mapping(load_yaml(text, file), file, "the file").get("services") or {}, file, "services")
    scales = {}
    for name, body in services.items():
        keys = _mapping(body, file, f"services.{name}")
        if "scale" in keys:
            scales[name] = as_int(keys["scale"], Place(file=file, service=name, key="scale"))
    return scales


def _service_name(name: str, file: str) -> str:
    """A service's name is part of a host name."""
    if not _SERVICE.fullmatch(name):
        raise BadInput(
            f"{file}: services.{name}: {name!r} cannot be a service's name", hint="Use letters, digits, - and _."
        )
    return name


def _service(name: str, body: Mapping[str, object], place: Place) -> StackService:
    fields: dict[str, object] = {"name": name, "image": ""}
    for key, value in body.items():
        at = place.at(key)
        if key == "build" or key.startswith("x-"):
            continue
        if key == "logging":
            fields |= _logging(value, at)
        elif key in _KEYS:
            target, parse = _KEYS[key]
            fields[target] = parse(value, at)
        elif key not in _WITHOUT_EFFECT:
            raise wrong(at, "is not supported here", f"Supported: {', '.join(sorted(SUPPORTED))}, x-….")
    return StackService(**fields)  # type: ignore[arg-type]  # each parser gives its field's type


def _words(value: object, at: Place) -> tuple[str, ...]:
    """A command: a list of words, or a line that is split as a shell does, as compose does."""
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise wrong(at, f"{value!r}: {error}", "Write it as a list of words.") from error
    return as_texts(value, at)


def _logging(value: object, at: Place) -> dict[str, object]:
    body = _mapping(value, at.file, str(at))
    known(body, ("driver", "options"), at.file, f"services.{at.service}.logging.")
    return {
        "log_driver": as_text(body.get("driver", ""), at),
        "log_options": as_map(body.get("options") or {}, at),
    }


_KEYS: Mapping[str, tuple[str, Callable[[object, Place], object]]] = {
    "image": ("image", as_text),
    "command": ("command", _words),
    "entrypoint": ("entrypoint", _words),
    "environment": ("environment", as_map),
    "ports": ("ports", as_ports),
    "volumes": ("mounts", as_mounts),
    "depends_on": ("depends_on", as_depends),
    "labels": ("labels", as_labels),
    "restart": ("restart", as_restart),
    "user": ("user", as_text),
    "working_dir": ("working_dir", as_text),
    "hostname": ("hostname", as_text),
    "stop_signal": ("stop_signal", as_text),
    "stop_grace_period": ("stop_seconds", as_seconds),
    "privileged": ("privileged", as_bool),
    "read_only": ("read_only", as_bool),
    "init": ("init", as_bool),
    "tty": ("tty", as_bool),
    "cap_add": ("cap_add", as_texts),
    "cap_drop": ("cap_drop", as_texts),
    "security_opt": ("security_opt", as_texts),
    "devices": ("devices", as_texts),
    "tmpfs": ("tmpfs", as_texts),
    "dns": ("dns", as_texts),
    "extra_hosts": ("extra_hosts", as_hosts),
    "sysctls": ("sysctls", as_map),
    "mem_limit": ("mem_limit", as_bytes),
    "mem_reservation": ("mem_reservation", as_bytes),
    "shm_size": ("shm_size", as_bytes),
    "cpu_shares": ("cpu_shares", as_int),
    "cpuset": ("cpuset", as_text),
    "healthcheck": ("health", as_health),
}
_WITHOUT_EFFECT = ("expose",)
SUPPORTED = (*_KEYS, *_WITHOUT_EFFECT, "build", "logging")


def _build(value: object, place: Place) -> ImageSource:
    at = place.at("build")
    if isinstance(value, str):
        return ImageSource(context=value)
    body = _mapping(value, at.file, str(at))
    known(body, ("context", "dockerfile", "target", "args"), at.file, f"services.{at.service}.build.")
    return ImageSource(
        context=as_text(body.get("context", "."), at),
        dockerfile=as_text(body.get("dockerfile", ""), at),
        target=as_text(body.get("target", ""), at),
        args=as_map(body.get("args") or {}, at),
    )


def _volumes(value: object, file: str) -> tuple[str, ...]:
    volumes = _mapping(value, file, "volumes")
    for name, body in volumes.items():
        if body:
            raise BadInput(
                f"{file}: volumes.{name} has {body!r}, which is not supported",
                hint="Only the name is: volumes belong to service and environment and use the engine's default driver.",
            )
    return tuple(sorted(volumes))


def _check_volumes(services: list[StackService], volumes: tuple[str, ...], file: str) -> None:
    for service in services:
        for mount in service.mounts:
            if mount.source and not mount.source.startswith("/") and mount.source not in volumes:
                raise BadInput(
                    f"{file}: services.{service.name}.volumes: {mount.source!r} is not under the top-level volumes",
                    hint=f"Add `{mount.source}:` to the volumes of the file.",
                )


def _in_order(services: list[StackService], file: str) -> tuple[StackService, ...]:
    """Dependencies first, else in the order of the file."""
    names = {service.name: service for service in services}
    done: dict[str, StackService] = {}

    def visit(service: StackService, path: tuple[str, ...]) -> None:
        for needed in service.depends_on:
            if needed not in names:
                raise BadInput(
                    f"{file}: services.{service.name}.depends_on: there is no service {needed!r}",
                    hint=f"Services: {', '.join(names)}.",
                )
            if needed in path:
                raise BadInput(
                    f"{file}: depends_on goes in a circle: {' → '.join((*path, needed))}", hint="Break it at one place."
                )
            if needed not in done:
                visit(names[needed], (*path, needed))
        done[service.name] = service

    for service in services:
        if service.name not in done:
            visit(service, (service.name,))
    return tuple(done.values())


def _interpolated(body: Mapping[str, object], lookup: Lookup, asked: set[str], place: Place) -> dict[str, object]:
    def remembered(name: str, optional: bool) -> str | None:
        asked.add(name)
        return lookup(name, optional)

    return {
        key: fill_environment(value, remembered, place.at(key))
        if key == "environment"
        else fill(value, lookup, place.at(key))
        for key, value in body.items()
    }


def _mapping(value: object, file: str, where: str) -> dict[str, object]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BadInput(f"{file}: {where} should be a mapping of names", hint="Look at docs/compose.md for the shape.")
    return value
