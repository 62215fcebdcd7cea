"""Pure translations of what a Docker engine tells of an environment into an inventory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from pipeline.model.image import LABEL
from pipeline.model.inventory import BOOTSTRAP_LABEL, FoundImage, FoundVolume, HostConfiguration, LabPart, LeftOut
from pipeline.model.stack import Definition, Stack, StackService
from pipeline.platforms.docker_reduction import not_covered, reduced
from pipeline.platforms.labels import PART_LABEL, SECRETS_LABEL, declared_in
from pipeline.platforms.names import dashed

_FACTS = ("service", "environment", "stack", "branch", "commit", "version", "subject", "author", "actor")
_KEPT = {f"{LABEL}{name}" for name in (*_FACTS, "definition", "sameness")}
_NOT_THE_STACKS = {PART_LABEL, BOOTSTRAP_LABEL, SECRETS_LABEL}
Details = Mapping[str, Any]


def found_volumes(listed: list[Details], details: list[Details]) -> tuple[FoundVolume, ...]:
    """With who has each mounted."""
    used: dict[str, list[Details]] = {}
    for one in details:
        for name in {mount.get("Name") for mount in one["Mounts"]} - {None}:
            used.setdefault(str(name), []).append(one)
    return tuple(_volume(one, used.get(one["Name"], [])) for one in sorted(listed, key=lambda one: str(one["Name"])))


def _volume(volume: Details, used: list[Details]) -> FoundVolume:
    return FoundVolume(
        name=volume["Name"],
        driver=volume["Driver"],
        options=volume["Options"] or {},
        labels=volume["Labels"] or {},
        users=tuple(sorted(one["Name"].lstrip("/") for one in used if one["State"]["Running"])),
        sample=used[0]["Image"] if used else "",
    )


def configuration(info: Details) -> HostConfiguration:
    registries = info.get("RegistryConfig") or {}
    local = {"127.0.0.0/8", "::1/128"}
    insecure = {key for key, one in (registries.get("IndexConfigs") or {}).items() if not one.get("Secure", True)}
    return HostConfiguration(
        log_driver=info.get("LoggingDriver") or "",
        live_restore=bool(info.get("LiveRestoreEnabled")),
        insecure_registries=tuple(sorted((insecure | set(registries.get("InsecureRegistryCIDRs") or ())) - local)),
        registry_mirrors=tuple(registries.get("Mirrors") or ()),
    )


def found_stacks(details: list[Details], images: Mapping[str, Details], log_driver: str) -> tuple[Stack, ...]:
    parts: dict[str, list[Details]] = {}
    for one in details:
        parts.setdefault(one["Config"]["Labels"][f"{LABEL}stack"], []).append(one)
    return tuple(_stack(name, parts[name], images, log_driver) for name in sorted(parts))


def declared(details: list[Details]) -> dict[str, Mapping[str, str]]:
    """`stack/service` → its environment values that hold secrets, as its containers' label has them."""
    found: dict[str, Mapping[str, str]] = {}
    for one in details:
        labels = one["Config"]["Labels"]
        if SECRETS_LABEL in labels:
            key = f"{labels[f'{LABEL}stack']}/{labels[f'{LABEL}compose-service']}"
            found[key] = declared_in(labels)
    return found


def unknown(details: list[Details], images: Mapping[str, Details], network: str, log_driver: str) -> Iterator[str]:
    """What of the containers no definition says, and services whose containers are not alike."""
    first: dict[tuple[str, str], StackService] = {}
    for one in details:
        name, labels = one["Name"].lstrip("/"), one["Config"]["Labels"]
        yield from (f"{name} has {text}" for text in not_covered(one, network))
        service = _reduced(one, images, log_driver)
        if first.setdefault((labels[f"{LABEL}stack"], service.name), service) != service:
            yield f"{name} is not like the other containers of {service.name} in {labels[f'{LABEL}stack']}"


def _stack(name: str, parts: list[Details], images: Mapping[str, Details], log_driver: str) -> Stack:
    labels = _common_labels(parts, images)
    fact = {key: labels.get(f"{LABEL}{key}", "") for key in (*_FACTS, "sameness")}
    services: dict[str, StackService] = {}
    for one in parts:
        service = _reduced(one, images, log_driver)
        scale = services[service.name].scale + 1 if service.name in services else 1
        services[service.name] = msgspec.structs.replace(service, scale=scale)
    return Stack(
        name=name,
        service=fact["service"],
        environment=fact["environment"],
        branch=fact["branch"],
        commit=fact["commit"],
        version=fact["version"],
        definition=Definition(services=tuple(services.values())),
        sameness=fact["sameness"],
        labels=labels,
    )


def _reduced(one: Details, images: Mapping[str, Details], log_driver: str) -> StackService:
    labels = one["Config"]["Labels"]
    prefix = f"{labels.get(f'{LABEL}service', '')}-{dashed(labels[f'{LABEL}environment'])}-"
    return reduced(one, images[one["Image"]]["Config"], log_driver=log_driver, volume_prefix=prefix)


def _common_labels(parts: list[Details], images: Mapping[str, Details]) -> dict[str, str]:
    """The toolkit's own labels that all of the stack's containers have, but for what each has from its image."""
    found = [one["Config"]["Labels"] for one in parts]
    defaults = [images[one["Image"]]["Config"].get("Labels") or {} for one in parts]
    return {
        name: text
        for name, text in sorted(found[0].items())
        if name.startswith(LABEL)
        and name not in _NOT_THE_STACKS
        and all(labels.get(name) == text for labels in found)
        and (name in _KEPT or not all(labels.get(name) == text for labels in defaults))
    }


def found_image(key: str, image: Details, details: list[Details]) -> FoundImage:
    return FoundImage(
        id=key,
        names=tuple(sorted({one["Config"]["Image"] for one in details if one["Image"] == key})),
        digests=tuple(sorted(image.get("RepoDigests") or ())),
        size=image.get("Size") or 0,
    )


def found_lab(lab: Details, image: Details, log_driver: str) -> LabPart:
    labels, name = lab["Config"]["Labels"], lab["Name"].lstrip("/")
    named = {**lab, "Config": {**lab["Config"], "Labels": {**labels, f"{LABEL}compose-service": "gateway"}}}
    own = {key: text for key, text in labels.items() if key.startswith(f"{LABEL}lab")}
    service = reduced(named, image, log_driver=log_driver, volume_prefix="")
    ports = {port.container: port.host for port in service.ports}
    return LabPart(
        name=name,
        service=service,
        labels=dict(sorted(own.items())),
        volume=name,
        admin=f"http://127.0.0.1:{ports.get(8001, 8001)}",
        proxy=f"http://127.0.0.1:{ports.get(8000, 8000)}",
    )


def left_out(listed: list[Details], stacks: Collection[str], foreign: list[Details]) -> Iterator[LeftOut]:
    for one in listed:
        if one["Labels"].get(f"{LABEL}stack") not in stacks:
            yield LeftOut(kind="containers", name=one["Names"][0].lstrip("/"), reason="its stack is left out")
    for one in foreign:
        yield LeftOut(kind="containers", name=one["Names"][0].lstrip("/"), reason="this toolkit did not make it")


def upgrading(details: list[Details]) -> tuple[str, ...]:
    definitions: dict[str, set[str]] = {}
    for one in details:
        labels = one["Config"]["Labels"]
        definitions.setdefault(labels[f"{LABEL}stack"], set()).add(labels.get(f"{LABEL}definition", ""))
    return tuple(sorted(name for name, found in definitions.items() if len(found) > 1))


def is_ours(labels: Mapping[str, str] | None) -> bool:
    return any(name.startswith(LABEL) for name in labels or ())
