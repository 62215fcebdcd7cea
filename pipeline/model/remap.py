"""--remap: what another place calls by other names. The file is read strictly, the environment told in its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from pipeline.errors import BadInput, Refused
from pipeline.model.image import LABEL
from pipeline.model.inventory import Inventory, LabPart, with_services
from pipeline.model.lead import leads
from pipeline.model.remap_words import Words
from pipeline.model.route import Entity, GatewayState, tag_word
from pipeline.model.stack import Mount, Stack, StackService

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENVIRONMENT = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:/[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)?")
_SHOWN = 5


class Remap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Old → new, by what it is: hosts of registries, domains with all below them, addresses, folders of the host,
    names of upstreams, beginnings of URLs. `credentials`: `service.compose service.NAME` → the variable that will have
    it. `environment` is the new name of the whole."""

    registry: dict[str, str] = {}
    domains: dict[str, str] = {}
    addresses: dict[str, str] = {}
    volumes: dict[str, str] = {}
    upstreams: dict[str, str] = {}
    urls: dict[str, str] = {}
    credentials: dict[str, str] = {}
    environment: str = ""


NO_REMAP = Remap()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remapped:
    """An environment in new words. `old` are places, each with what it still calls by an old name; `unused` are entries
    of the file that nothing had."""

    inventory: Inventory
    state: GatewayState
    old: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def parse_remap(value: object, *, file: str) -> Remap:
    """The file's content. BadInput with the path of what is wrong."""
    try:
        remap = msgspec.convert(value if value is not None else {}, Remap)
    except msgspec.ValidationError as error:
        raise BadInput(f"{file}: {error}", hint=f"Known: {', '.join(Remap.__struct_fields__)}.") from error
    for name in ("registry", "domains", "addresses", "volumes", "upstreams", "urls"):
        for old, new in getattr(remap, name).items():
            if not old or not new or old == new:
                raise BadInput(f"{file}: {name}.{old}: {new!r} should be another name", hint="Write OLD: NEW.")
    for key, variable in remap.credentials.items():
        if key.count(".") != 2 or not _VARIABLE.fullmatch(variable):
            raise BadInput(
                f"{file}: credentials.{key}: {variable!r}",
                hint="Write `service.compose_service.NAME: VARIABLE`; the value is supplied when the scripts run.",
            )
    if remap.environment and not _ENVIRONMENT.fullmatch(remap.environment):
        raise BadInput(f"{file}: environment: {remap.environment!r}", hint="Use a-z, 0-9 and -, as in production-2.")
    return remap


def remapped(inventory: Inventory, state: GatewayState, remap: Remap) -> Remapped:
    """The same environment elsewhere. Refused when two routes that differ would be one."""
    if remap == NO_REMAP:
        return Remapped(inventory=inventory, state=state)
    tables = {name: getattr(remap, name) for name in ("urls", "domains", "addresses", "upstreams")}
    words = Words(tables, registry=remap.registry, volumes=remap.volumes)
    images = tuple(
        replace(one, names=tuple(map(words.image, one.names)), digests=tuple(map(words.image, one.digests)))
        for one in inventory.images
    )
    moved = replace(
        inventory,
        stacks=tuple(_stack(stack, words) for stack in inventory.stacks),
        images=images,
        registries=tuple(replace(one, address=words.host(one.address)) for one in inventory.registries),
    )
    new_state = replace(state, entities=tuple(_entity(entity, words) for entity in state.entities))
    _refuse_equal_routes(state, new_state)
    if remap.environment and remap.environment != inventory.environment:
        moved, new_state = renamed(moved, new_state, remap.environment)
    return Remapped(
        inventory=moved, state=new_state, old=tuple(_still(moved, new_state, words)), unused=tuple(words.unused())
    )


def _stack(stack: Stack, words: Words) -> Stack:
    return with_services(stack, tuple(_service(one, words) for one in stack.definition.services))


def _service(service: StackService, words: Words) -> StackService:
    """Every text of it but its own name; a folder of the host by the table of folders, an image by that of registries
    (Inventory.images has those)."""
    found: dict[str, Any] = {
        name: words.anywhere(getattr(service, name)) for name in service.__struct_fields__ if name not in _OWN
    }
    if service.health is not None:
        found["health"] = msgspec.structs.replace(service.health, test=words.anywhere(service.health.test))
    found["mounts"] = tuple(_mount(one, words) for one in service.mounts)
    found["ports"] = tuple(
        msgspec.structs.replace(one, address=words.text(one.address)) if one.address else one for one in service.ports
    )
    if service.rancher is not None:
        metadata = words.anywhere(service.rancher.metadata)
        found["rancher"] = msgspec.structs.replace(service.rancher, metadata=metadata)
    return msgspec.structs.replace(service, **found)


_OWN = ("name", "image", "depends_on", "mounts", "health", "ports", "rancher")


def _mount(mount: Mount, words: Words) -> Mount:
    source = words.path(mount.source) if mount.source.startswith("/") else mount.source
    return msgspec.structs.replace(mount, source=source)


def _entity(entity: Entity, words: Words) -> Entity:
    body = words.anywhere(entity.body)
    return (
        msgspec.structs.replace(entity, body=body, name=words.text(entity.name)) if isinstance(body, dict) else entity
    )


def _refuse_equal_routes(old: GatewayState, new: GatewayState) -> None:
    before: dict[tuple[tuple[str, ...], ...], set[object]] = {}
    labels: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for was, now in zip(leads(old), leads(new), strict=True):
        before.setdefault(now.matches, set()).add(was.matches)
        labels.setdefault(now.matches, []).append(now.label)
    for matches, found in before.items():
        if len(found) > 1:
            raise Refused(
                f"the remap makes routes equal: {', '.join(labels[matches][:_SHOWN])}",
                hint="Requests of one would reach the other: give their hosts different new names.",
            )


def _still(inventory: Inventory, state: GatewayState, words: Words) -> Iterator[str]:
    """Every place that still has an old name, with that name."""
    for stack, service in inventory.services():
        for name in service.__struct_fields__:
            for path, text in _texts(getattr(service, name), name):
                yield from (f"{stack.service}.{service.name}.{path}: {old}" for old in words.old_names(text))
    for entity in state.entities:
        for path, text in _texts(entity.body, ""):
            yield from (f"{entity.label}{path}: {old}" for old in words.old_names(text))


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _texts(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, Mapping):
        for key in sorted(value):
            yield from _texts(value[key], f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from _texts(one, f"{path}.{index}")


def renamed(inventory: Inventory, state: GatewayState, environment: str) -> tuple[Inventory, GatewayState]:
    """The same under another environment's name: labels, volumes, tags. Aliases and URLs have none in them."""
    old, new = (name.replace("/", "-") for name in (inventory.environment, environment))
    label = f"{LABEL}environment"
    volumes = tuple(
        replace(
            one,
            name=_volume_name(one.name, one.labels.get(f"{LABEL}service", ""), old, new),
            labels={**one.labels, label: environment},
        )
        for one in inventory.volumes
    )
    stacks = tuple(
        replace(one, environment=environment, labels={**one.labels, label: environment}) for one in inventory.stacks
    )
    network = inventory.network
    found = replace(
        inventory,
        environment=environment,
        volumes=volumes,
        stacks=stacks,
        network=replace(network, name=_suffix(network.name, old, new)) if network else None,
        lab=_lab(inventory.lab, environment, old, new) if inventory.lab else None,
    )
    tags = {f"env.{tag_word(inventory.environment)}": f"env.{tag_word(environment)}"}
    return found, replace(state, entities=tuple(_tagged(entity, tags) for entity in state.entities))


def _tagged(entity: Entity, tags: Mapping[str, str]) -> Entity:
    found = entity.body.get("tags")
    if not isinstance(found, list):
        return entity
    return msgspec.structs.replace(entity, body={**entity.body, "tags": [tags.get(tag, tag) for tag in found]})


def _lab(lab: LabPart, environment: str, old: str, new: str) -> LabPart:
    name = _suffix(lab.name, old, new)
    words = tuple(lab.service.command or ())
    command = tuple(
        environment if before == "--environment" else word for before, word in zip(("", *words), words, strict=False)
    )
    mounts = tuple(
        msgspec.structs.replace(one, source=name if one.source == lab.volume else one.source)
        for one in lab.service.mounts
    )
    return replace(
        lab,
        name=name,
        volume=name,
        labels={**lab.labels, f"{LABEL}lab-environment": environment},
        service=msgspec.structs.replace(lab.service, command=command or lab.service.command, mounts=mounts),
    )


def _suffix(name: str, old: str, new: str) -> str:
    return f"{name.removesuffix(old)}{new}" if name.endswith(f"-{old}") else name


def _volume_name(name: str, service: str, old: str, new: str) -> str:
    prefix = f"{service}-{old}-"
    return f"{service}-{new}-{name.removeprefix(prefix)}" if name.startswith(prefix) else name
