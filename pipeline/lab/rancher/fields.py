"""Fields and types: what a schema says of them, and what a value sent for one must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.lab.rancher.faults import invalid

NAME_CHARS = "a-zA-Z0-9-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a type. `access`: c(reate), r(ead), u(pdate); `o` is read in the answer to POST only."""

    type: str = "string"
    access: str = "cru"
    required: bool = False
    nullable: bool = True
    default: Any = None
    min: int | None = None
    max: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    chars: str = ""
    options: tuple[str, ...] = ()
    unique: bool = False

    def schema(self, methods: str) -> dict[str, Any]:
        """The field as a schema shows it to a caller who may use `methods` on the type."""
        shown: dict[str, Any] = {
            "type": self.type,
            "nullable": self.nullable,
            "required": self.required,
            "create": "c" in self.access and "c" in methods,
            "update": "u" in self.access and "u" in methods,
            "default": self.default,
        }
        optional: dict[str, Any] = {
            "min": self.min,
            "max": self.max,
            "minLength": self.min_length,
            "maxLength": self.max_length,
            "validChars": self.chars or None,
            "options": list(self.options) or None,
            "unique": self.unique or None,
            "readOnCreateOnly": "o" in self.access or None,
        }
        return shown | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """An action's input and output types; an empty one is none."""

    input: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One type of the API. `user`, `admin` and `project` are the methods (crud) by scope; empty is invisible."""

    name: str
    plural: str = ""
    table: str = ""
    fields: Mapping[str, Field] = field(default_factory=dict)
    filters: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    actions: Mapping[str, Action] = field(default_factory=dict)
    user: str = ""
    admin: str | None = None
    project: str = ""
    subtypes: tuple[str, ...] = ()
    value_only: bool = False

    @property
    def plural_name(self) -> str:
        if self.plural:
            return self.plural
        return self.name + ("es" if self.name.endswith(("s", "ch", "x")) else "s")


def checked(kind: Kind, kinds: Mapping[str, Kind], given: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
    """What of `given` may be written, validated; unknown and read-only fields are dropped in silence, as Cattle does.

    Creating fills defaults and asks for what is required. Raises Fault 422.
    """
    found: dict[str, Any] = {}
    for name, rule in kind.fields.items():
        if ("c" if creating else "u") not in rule.access:
            continue
        if name not in given or (creating and given[name] is None):
            if creating and rule.required and rule.default is None:
                raise invalid("MissingRequired", name)
            if creating and (rule.default is not None or not kind.value_only):
                found[name] = _copied(rule.default)
            continue
        found[name] = _value(name, rule, rule.type, kinds, given[name])
    return found


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list) else value


def _value(name: str, rule: Field, kind: str, kinds: Mapping[str, Kind], value: Any) -> Any:
    if value is None:
        if not rule.nullable or rule.required:
            raise invalid("NotNullable", name)
        return None
    if kind.startswith("array["):
        values = value if isinstance(value, list) else [value]
        return [_value(name, Field(nullable=False), kind[6:-1], kinds, one) for one in values]
    if kind.startswith("map["):
        if not isinstance(value, dict):
            raise invalid("InvalidFormat", name)
        return {key: _value(name, Field(), kind[4:-1], kinds, one) for key, one in value.items()}
    if kind in kinds and kinds[kind].value_only:
        if not isinstance(value, dict):
            raise invalid("InvalidFormat", name)
        return checked(kinds[kind], kinds, value, creating=True) | {"type": kind}
    return _scalar(name, rule, kind, value)


def _scalar(name: str, rule: Field, kind: str, value: Any) -> Any:
    if kind == "int":
        return _number(name, rule, value)
    if kind == "boolean":
        return value.strip().lower() == "true" if isinstance(value, str) else bool(value)
    if kind in ("string", "enum", "password", "blob", "float", "date"):
        return _text(name, rule, value)
    return value


def _number(name: str, rule: Field, value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid("InvalidFormat", name) from error
    if rule.min is not None and number < rule.min:
        raise invalid("MinLimitExceeded", name)
    if rule.max is not None and number > rule.max:
        raise invalid("MaxLimitExceeded", name)
    return number


def _text(name: str, rule: Field, value: Any) -> Any:
    if isinstance(value, dict | list):
        raise invalid("InvalidFormat", name)
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if rule.options and text not in rule.options:
        raise invalid("InvalidOption", name)
    # Lengths come before characters.
    if rule.min_length is not None and len(text) < rule.min_length:
        raise invalid("MinLengthExceeded", name)
    if rule.max_length is not None and len(text) > rule.max_length:
        raise invalid("MaxLengthExceeded", name)
    if rule.chars and not re.fullmatch(f"[{rule.chars}]*", text):
        raise invalid("InvalidCharacters", name)
    return text
