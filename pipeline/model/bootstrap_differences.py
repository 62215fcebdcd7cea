"""Two snapshots compared: every difference in words, by stack, by route, by whatever else it is in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN = 60
_FIELDS = 8
_WHOLE = (
    *(("engine", "the engine"), ("network", "the network")),
    *(("platform", "the platform"), ("lab", "the lab gateway")),
)
Document = Mapping[str, Any]


def differences(old: Document, new: Document) -> tuple[str, ...]:
    """What is not the same in `new`, the snapshot of an environment.json. None when they are equal."""
    found: list[str] = []
    for key, word in (("stacks", "stack"), ("volumes", "volume")):
        found += _listed(word, _by_name(old.get(key)), _by_name(new.get(key)))
    found += _listed("", _entities(old), _entities(new))
    for image in sorted({*old.get("images", ())} ^ {*new.get("images", ())}):
        found.append(f"image {image}: {'no longer there' if image in old.get('images', ()) else 'new'}")
    for key, word in _WHOLE:
        found += [f"{word}: {text}" for text in changes(old.get(key), new.get(key))]
    gateways = [
        {key: value for key, value in one.get("gateway", {}).items() if key != "entities"} for one in (old, new)
    ]
    found += [f"the gateway: {text}" for text in changes(*gateways)]
    return tuple(found)


def _listed(word: str, old: Document, new: Document) -> Iterator[str]:
    for name in sorted({*old, *new}):
        label = f"{word} {name}".strip()
        if name not in new:
            yield f"{label}: no longer there"
        elif name not in old:
            yield f"{label}: new"
        elif old[name] != new[name]:
            yield f"{label}: {'; '.join(changes(old[name], new[name]))}"


def _by_name(listed: Any) -> Document:
    """Services within a stack by their names, too: one that moved is no difference of all after it."""
    found = {one["name"]: dict(one) for one in listed or ()}
    for one in found.values():
        if "services" in one:
            one["order"] = [service["name"] for service in one["services"]]
            one["services"] = {service["name"]: service for service in one["services"]}
    return found


def _entities(document: Document) -> Document:
    """Kind and name in front, the id where a name is shared or missing."""
    entities = document.get("gateway", {}).get("entities", ())
    labels = [f"{one['kind'].removesuffix('s')} {one['name'] or one['id']}" for one in entities]
    shared = {label for label, count in Counter(labels).items() if count > 1}
    return {
        f"{label} ({one['id']})" if label in shared else label: one for label, one in zip(labels, entities, strict=True)
    }


def changes(old: Any, new: Any) -> list[str]:
    """The fields of two documents that differ, the first few of them."""
    found = list(_walk(old, new, ""))
    return [*found[:_FIELDS], *([f"{len(found) - _FIELDS} more"] if len(found) > _FIELDS else [])]


def _walk(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _walk(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield f"{path or 'it'} was {_shown(old)}, is {_shown(new)}"


def _shown(value: Any) -> str:
    if value is None:
        return "not there"
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
