"""Names and ids of entities where a gateway or a file gives none. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import NAMESPACE_URL, uuid5

_NAMES = ("name", "username", "custom_id", "target", "group", "client_id", "prefix")


def name_of(found: Mapping[str, object]) -> str:
    """What people call it; empty where only a secret or an id tells it apart."""
    for key in _NAMES:
        value = found.get(key)
        if value and isinstance(value, str):
            return value
    return ""


def made_up_id(kind: str, *key: str) -> str:
    """The id of an entity that has none: the same for the same key, always."""
    return str(uuid5(NAMESPACE_URL, "/".join(("invoke-pipeline", kind, *key))))


def membership_id(group: str, consumer: str) -> str:
    """Being a member of a group is no entity of the gateway's: this id is ours alone."""
    return made_up_id("consumer_group_consumers", group, consumer)
