"""Entity types of Kong's old data layer (until 0.14): apis, plugins, upstreams, targets, credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pipeline.lab.gateway.schema import Entity


class Type(Enum):
    """The type of a value; its own value is how Kong's messages call it, with the article."""

    ID = ""
    TIMESTAMP = "a timestamp"
    STRING = "a string"
    NUMBER = "a number"
    BOOLEAN = "a boolean"
    ARRAY = "an array"
    TABLE = "a table"
    URL = "a url"


class Mode(Enum):
    """What a validation is for: a POST, a PATCH, or a PUT of what exists."""

    INSERT = "insert"
    PARTIAL = "partial"
    FULL = "full"


Check = Callable[[Any, Entity], str | None]
"""Looks at a value (None: not given) and at the entity, which it may change; answers with what is wrong."""

SelfCheck = Callable[[Entity], str | None]
"""Looks at a whole record, once its fields are right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyField:
    """One field. `made` ones (id, created_at) come from the database when a POST leaves them out."""

    name: str
    type: Type = Type.STRING
    required: bool = False
    made: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    check: Check | None = None
    trims: bool = True
    record: Callable[[Entity], LegacyRecord | str | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyRecord:
    """Fields and rules over all of them, one for POST alone. `no_consumer` is what a plugin's schema says besides."""

    fields: tuple[LegacyField, ...]
    check: SelfCheck | None = None
    check_on_insert: SelfCheck | None = None
    no_consumer: bool = False

    def field(self, name: str) -> LegacyField | None:
        """The field called so."""
        return next((field for field in self.fields if field.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyType:
    """An entity type: its record, how URLs name it, and what is said of a second one of the same.

    `key` is the field by which URLs may name an entity (empty: only its id), `primary` are the fields that a PUT on the
    list has to have in order to replace, `finish` is given what is to be stored and what was. `append_only` ones are
    never changed: a newer one counts. `whole_seconds` says how exact `created_at` is.
    """

    name: str
    record: LegacyRecord
    key: str = ""
    primary: tuple[str, ...] = ("id",)
    twin: Mapping[str, str] | None = None
    finish: Callable[[Entity, Entity | None], None] | None = None
    whole_seconds: bool = True
    append_only: bool = False


ID = LegacyField(name="id", type=Type.ID, required=True, made=True)
CREATED_AT = LegacyField(name="created_at", type=Type.TIMESTAMP, required=True, made=True)


def text(name: str, *choices: str, default: str | None = None, required: bool = False) -> LegacyField:
    """A string, perhaps one of a closed list."""
    return LegacyField(name=name, choices=choices, default=default, required=required)


def number(name: str, check: Check | None = None, *, default: float | None = None) -> LegacyField:
    """A number."""
    return LegacyField(name=name, type=Type.NUMBER, default=default, check=check)


def flag(name: str, *, default: bool | None = None) -> LegacyField:
    """True or false."""
    return LegacyField(name=name, type=Type.BOOLEAN, default=default)


def listing(
    name: str, check: Check | None = None, *, default: Any = None, choices: tuple[str, ...] = ()
) -> LegacyField:
    """An array, which may be sent as a text with commas."""
    return LegacyField(name=name, type=Type.ARRAY, check=check, default=default, choices=choices)


def table(name: str, record: LegacyRecord) -> LegacyField:
    """A nested record."""
    return LegacyField(name=name, type=Type.TABLE, record=lambda _: record, default={})
