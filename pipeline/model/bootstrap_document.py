"""environment.json: what is written down of an environment, and how much of what was listed that is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.errors import BadInput, Failed
from pipeline.model.bootstrap_kit import kit_of
from pipeline.model.interpolate import as_written
from pipeline.model.inventory import Carried, FoundVolume, Inventory, LeftOut
from pipeline.model.route import GatewayState, tag_word
from pipeline.model.stack import Stack
from pipeline.model.state_file import state_document

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Of one kind: how many were listed, how many of those are written down, which are not and why."""

    kind: str
    listed: int
    exported: int
    left_out: tuple[LeftOut, ...]


def snapshot_of(inventory: Inventory, state: GatewayState) -> dict[str, object]:
    """All that a second environment has to have in common with this one. No clock, no secret, nothing that is the
    engine's own choice. Same environment, same document."""
    gateway = state_document(state, tag_word(inventory.environment))
    host = inventory.host
    return {
        "engine": {
            "log_driver": host.log_driver,
            "live_restore": host.live_restore,
            "insecure_registries": list(host.insecure_registries),
            "registry_mirrors": list(host.registry_mirrors),
        },
        "network": _network(inventory),
        "platform": {
            "driver": inventory.driver,
            "registries": [{"address": one.address, "user": one.user} for one in inventory.registries],
        },
        "volumes": [_volume(one) for one in inventory.volumes],
        "images": sorted({service.image for _, service in inventory.services()}),
        "stacks": [_stack(one) for one in inventory.stacks],
        "lab": _lab(inventory),
        "gateway": {
            "product": state.identity.product,
            "dialect": state.identity.dialect.value,
            "entities": gateway["entities"],
        },
    }


def environment_text(
    snapshot: Mapping[str, object],
    inventory: Inventory,
    counts: tuple[Count, ...],
    *,
    carried: Mapping[str, Carried],
    variables: tuple[str, ...],
) -> str:
    """The file. Failed when something was listed that is neither written down nor left out for a reason."""
    environment = inventory.environment
    for one in counts:
        left_out = sum(left.count for left in one.left_out)
        if one.listed != one.exported + left_out:
            raise Failed(
                f"{environment}: {one.listed} {one.kind} are listed, {one.exported} would be written down and "
                f"{left_out} left out",
                hint="Something came or went meanwhile: run it again when nothing is being deployed.",
            )
    document = {
        "schema_version": SCHEMA_VERSION,
        "environment": environment,
        "steps": [{"script": script, "hosts": hosts} for script, hosts in kit_of(inventory.driver).steps],
        "variables": sorted(variables),
        "carried": {name: {"path": one.path, "sha256": one.sha256} for name, one in carried.items()},
        "counts": {one.kind: _count(one) for one in counts},
        "snapshot": snapshot,
    }
    # Ten times as fast as the standard library, whose encoder is plain Python where it indents.
    text = msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=1)
    return text.decode() + "\n"


def read_environment(text: bytes, *, file: str) -> dict[str, Any]:
    """The document of an environment.json. BadInput for what is none, or one of a newer toolkit."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{file} is not JSON: {error}", hint="Write it anew with `invoke bootstrap`.") from error
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise BadInput(f"{file} is not of this toolkit's version", hint="Write it anew with `invoke bootstrap`.")
    return document


def _count(one: Count) -> dict[str, object]:
    reasons: dict[str, list[LeftOut]] = {}
    for left in one.left_out:
        reasons.setdefault(left.reason, []).append(left)
    excluded = [
        {"reason": reason, "count": sum(left.count for left in found), "names": sorted(left.name for left in found)}
        for reason, found in sorted(reasons.items())
    ]
    return {"listed": one.listed, "exported": one.exported, "excluded": excluded}


def _network(inventory: Inventory) -> dict[str, object] | None:
    found = inventory.network
    if found is None:
        return None
    return {
        "name": found.name,
        "driver": found.driver,
        "options": dict(found.options),
        "internal": found.internal,
    }


def _volume(volume: FoundVolume) -> dict[str, object]:
    return {
        "name": volume.name,
        "driver": volume.driver,
        "options": dict(volume.options),
        "labels": dict(volume.labels),
    }


def _stack(stack: Stack) -> dict[str, object]:
    return {
        "name": stack.name,
        "service": stack.service,
        "branch": stack.branch,
        "commit": stack.commit,
        "version": stack.version,
        "labels": dict(stack.labels),
        "services": [_service(one) for one in stack.definition.services],
    }


def _service(service: msgspec.Struct) -> dict[str, Any]:
    written: dict[str, Any] = msgspec.to_builtins(service)
    if "environment" in written:
        written["environment"] = {name: as_written(text) for name, text in written["environment"].items()}
    return written


def _lab(inventory: Inventory) -> dict[str, object] | None:
    lab = inventory.lab
    return None if lab is None else {"name": lab.name, "service": _service(lab.service), "labels": dict(lab.labels)}
