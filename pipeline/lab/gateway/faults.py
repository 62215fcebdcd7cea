"""Kong's error answers: a status and a body with code, name, fields and message."""

from __future__ import annotations

from typing import Any

from pipeline.lab.gateway.schema import Entity, Errors


class Fault(Exception):
    """An answer that is not success; raised from wherever it is found and answered by the Admin API."""

    def __init__(self, status: int, body: Entity) -> None:
        super().__init__(body.get("message", ""))
        self.status = status
        self.body = body


def plain(status: int, message: str) -> Fault:
    """An answer that has only a message."""
    return Fault(status, {"message": message})


def not_found() -> Fault:
    """What GET answers for what is not there."""
    return plain(404, "Not found")


def method_not_allowed() -> Fault:
    """A known URL, another method."""
    return plain(405, "Method not allowed")


def unexpected() -> Fault:
    """Kong's answer to its own mistakes, some of which clients rely on."""
    return plain(500, "An unexpected error occurred")


def schema_violation(errors: Errors) -> Fault:
    """What is wrong, by field."""
    lines = [*errors.get("@entity", ()), *sorted(_lines(errors))]
    count = "schema violation" if len(lines) == 1 else f"{len(lines)} schema violations"
    return _coded(400, 2, "schema violation", f"{count} ({'; '.join(lines)})", errors)


def invalid_primary_key() -> Fault:
    """A URL that has to hold an id holds something else."""
    words = "expected a valid UUID"
    return _coded(400, 1, "invalid primary key", f"invalid primary key: '{{id=\"{words}\"}}'", {"id": words})


def primary_key_violation(key: str) -> Fault:
    """An id that is taken."""
    return _coded(400, 3, "primary key violation", f"primary key violation on key '{shown({'id': key})}'", {"id": key})


def foreign_key_violation(field: str, key: str, parent: str) -> Fault:
    """A reference to what is not there."""
    words = f"the foreign key '{shown({'id': key})}' does not reference an existing '{parent}' entity."
    return _coded(400, 4, "foreign key violation", words, {field: {"id": key}})


def still_referenced(parent: str, child: str) -> Fault:
    """A deletion that would leave a reference to nothing."""
    words = f"an existing '{child}' entity references this '{parent}' entity"
    return _coded(400, 4, "foreign key violation", words, {"@referenced_by": child})


def unique_violation(fields: Entity) -> Fault:
    """A value that is taken."""
    return _coded(409, 5, "unique constraint violation", f"UNIQUE violation detected on '{shown(fields)}'", fields)


def missing(field: str, key: str) -> Fault:
    """What PATCH answers for what is not there."""
    kind = "primary key " if field == "id" else ""
    return _coded(404, 6, "not found", f"could not find the entity with {kind}'{shown({field: key})}'", {field: key})


def invalid_offset(offset: str, why: str) -> Fault:
    """A cursor that was not made here."""
    return Fault(400, {"code": 7, "name": "invalid offset", "message": f"'{offset}' is not a valid offset: {why}"})


def invalid_size(message: str) -> Fault:
    """A page size out of range."""
    return Fault(400, {"code": 9, "name": "invalid size", "message": message})


def invalid_name(message: str) -> Fault:
    """A URL that names an entity by what cannot be a name."""
    return Fault(400, {"code": 10, "name": "invalid unique name", "message": message})


def invalid_tags() -> Fault:
    """A tag filter that mixes "and" with "or", or is malformed."""
    words = "invalid filter syntax"
    return Fault(
        400,
        {
            "code": 11,
            "name": "invalid options",
            "message": f"invalid option (tags: {words})",
            "options": {"tags": words},
        },
    )


def unresolved(field: str, key: str, value: str, parent: str) -> Fault:
    """A reference by name to what is not there."""
    words = f"the foreign key cannot be resolved with '{shown({key: value})}' for an existing '{parent}' entity"
    message = f"foreign key unresolved ({field}.{key}: {words})"
    return _coded(400, 13, "foreign keys unresolved", message, {field: {key: words}})


def shown(value: Any) -> str:
    """A value as Kong prints keys: `{id="…"}`."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}={shown(value[key])}" for key in sorted(value)) + "}"
    if value is None:
        return "null"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _coded(status: int, code: int, name: str, message: str, fields: Entity) -> Fault:
    return Fault(status, {"code": code, "name": name, "message": message, "fields": fields})


def _lines(errors: Errors) -> list[str]:
    lines: list[str] = []
    for field, error in errors.items():
        if field == "@entity":
            continue
        if isinstance(error, str):
            lines.append(f"{field}: {error}")
        else:
            for key, inner in _members(error):
                lines.append(f"{field}.{key}: {inner if isinstance(inner, str) else _pretty(inner)}")
    return lines


def _members(error: Any) -> list[tuple[str, Any]]:
    if isinstance(error, dict):
        return list(error.items())
    return [(str(index), inner) for index, inner in enumerate(error, 1) if inner is not None]


def _pretty(error: Any) -> str:
    """Errors of the second depth, printed as a Lua table."""
    lines = [(f'  "{inner}"' if isinstance(error, list) else f'  {key} = "{inner}"') for key, inner in _members(error)]
    return "{\n" + ",\n".join(lines) + "\n}"
