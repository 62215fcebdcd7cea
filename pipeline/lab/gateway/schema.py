"""What an entity type looks like: fields, rules and references as tables, from which everything else follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

Entity = dict[str, Any]
"""An entity as its JSON object: field name → value. Every field of the schema is present; None is null."""

Errors = dict[str, Any]
"""Field name → message, or → the errors of its members; `@entity` → the messages of the cross-field rules."""


LIST_METHODS = ("GET", "HEAD", "OPTIONS", "POST")
ITEM_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")
PAGE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Methods:
    """The methods of a type's URLs, in the order of an Allow header; a URL without methods does not exist.

    `nested_item_under` and `parents` are the types under which, and through which, an entity has a URL (None: all).
    """

    list: tuple[str, ...] = LIST_METHODS
    item: tuple[str, ...] = ITEM_METHODS
    nested_list: tuple[str, ...] = LIST_METHODS
    nested_item: tuple[str, ...] = ITEM_METHODS
    parent: tuple[str, ...] = ITEM_METHODS
    nested_item_under: frozenset[str] | None = None
    parents: frozenset[str] | None = None


class Kind(Enum):
    """The type of a field's values; the value is the noun that Kong's messages use."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ARRAY = "array"
    SET = "set"
    MAP = "map"
    RECORD = "record"
    FOREIGN = "foreign"


class Auto(Enum):
    """What fills a field that a request leaves out."""

    UUID = "uuid"
    CREATED = "created"
    UPDATED = "updated"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule for a value: `check` answers with the message when it is broken. `key` is its name in `GET /schemas`."""

    check: Callable[[Any], str | None]
    key: str = ""
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `rules` stand in the order in which Kong checks them: the first broken one is the message."""

    name: str = ""
    kind: Kind = Kind.STRING
    required: bool = False
    default: Any = None
    has_default: bool = False
    auto: Auto | None = None
    unique: bool = False
    uuid: bool = False
    rules: tuple[Rule, ...] = ()
    elements: Field | None = None
    keys: Field | None = None
    values: Field | None = None
    fields: tuple[Field, ...] = ()
    reference: str = ""
    cascades: bool = False
    at_least_one_of: tuple[str, ...] = ()
    empties_become_objects: bool = False
    dangling: bool = False
    null_id: str = "missing primary key"
    first_error_only: bool = False

    def named(self, name: str) -> Field:
        """The field called so, of a record."""
        return next(field for field in self.fields if field.name == name)


def reference(value: Any) -> Any:
    """The id that a reference holds: `{"id": …}`, or (0.14) the id itself."""
    return value["id"] if isinstance(value, dict) else value


Check = Callable[[Entity, Errors], None]
"""A cross-field rule: reads the entity, adds what is wrong to the errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subschema:
    """What differs for one value of a schema's `subschema_key`: replaced fields and more checks."""

    fields: Mapping[str, Field]
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """A list of names in an entity's body that stands for children: their type, their key and their reference.

    `put_names` decides which names a PUT leaves, given the body's (None: it has none), the name in the URL (None: an
    id) and whether the entity is new; its None leaves the children as they are.
    """

    field: str
    child: str
    key: str
    reference: str
    missing: str
    put_names: Callable[[list[str] | None, str | None, bool], list[str] | None]
    missing_id_is_coded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One entity type.

    `endpoint_key` is the field by which URLs may name an entity (None: only its id). `nested_name` is its segment under
    a parent, where that is not its own name; `nested_key` the field by which URLs may name it there. `unique_together`
    are fields that only together may not repeat. `partial_checks` look at what a PATCH names. `normalise` brings a
    right entity into its stored form, given what the request said. `filters` are the fields by which a list can be
    narrowed. What stands below them are Kong's habits that differ from type to type.
    """

    name: str
    fields: tuple[Field, ...]
    endpoint_key: str | None = "name"
    path: str = ""
    nested_name: str = ""
    unique_together: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    subschema_key: str = ""
    subschemas: Mapping[str, Subschema] | None = None
    subschema_error: str = "unknown type: {}"
    shorthand: Callable[[Entity], Errors] | None = None
    normalise: Callable[[Entity, Entity], None] | None = None
    inline: Inline | None = None
    nested_key: str = ""
    nested_key_form: Callable[[str], str | None] | None = None
    filters: tuple[str, ...] = ()
    missing_nested_delete: int = 204
    missing_patch_is_plain: bool = False
    missing_parent_is_unexpected: frozenset[str] = frozenset({"DELETE"})
    creates_by_put: bool = True
    replaces_by_post: bool = False
    partial_checks: tuple[Check, ...] = ()
    methods: Methods = Methods()
    fraction_of_second: bool = False
    newest_first: bool = False
    top_level: bool = True

    def with_fields(self, changed: Mapping[str, Field] | None = None, **added: tuple[Field, ...]) -> Schema:
        """The same type with other fields in the place of some, and new ones after some (`created_at=(…,)`)."""
        kept = ((changed or {}).get(field.name, field) for field in self.fields)
        return replace(self, fields=tuple(one for field in kept for one in (field, *added.get(field.name, ()))))

    def field(self, name: str) -> Field | None:
        """The field called so."""
        return next((field for field in self.fields if field.name == name), None)

    def named(self, name: str) -> Field:
        """The field called so, which is there."""
        return next(field for field in self.fields if field.name == name)

    @property
    def foreign(self) -> tuple[Field, ...]:
        """The fields that refer to other entities."""
        return tuple(field for field in self.fields if field.kind is Kind.FOREIGN)

    @property
    def unique(self) -> tuple[str, ...]:
        """The names of the fields that may not repeat."""
        return tuple(field.name for field in self.fields if field.unique)

    @property
    def url_name(self) -> str:
        """Its segment at the top of the Admin API."""
        return self.path or self.name
