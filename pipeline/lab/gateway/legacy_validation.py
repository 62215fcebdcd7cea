"""Checks an entity as Kong's old data layer does (source: kong/dao/schemas_validation.lua of 0.14.1)."""

from __future__ import annotations

import copy
import re
from typing import Any
from urllib.parse import urlsplit

from pipeline.lab.gateway.legacy_schema import LegacyField, LegacyRecord, Mode, Type
from pipeline.lab.gateway.schema import Entity, Errors

_MISSING = object()


class SelfCheckFailed(Exception):
    """The fields are right, the whole is not; the message says why."""


def problems(record: LegacyRecord, entity: Entity, mode: Mode) -> Errors:
    """What is wrong, by field; empty when nothing is. Reads texts as what is wanted. Raises SelfCheckFailed."""
    errors: Errors = {}
    if mode is not Mode.PARTIAL:
        for name in [name for name, value in entity.items() if value is None and record.field(name) is not None]:
            del entity[name]
        for field in record.fields:
            if field.name not in entity and field.default is not None:
                entity[field.name] = field.default() if callable(field.default) else copy.deepcopy(field.default)
    for field in record.fields:
        _check_field(field, entity, mode, errors)
    for name in entity:
        if record.field(name) is None:
            _add(errors, name, f"{name} is an unknown field")
    if not errors:
        _check_whole(record, entity, mode)
    return errors


def _check_whole(record: LegacyRecord, entity: Entity, mode: Mode) -> None:
    nulls = [name for name, value in entity.items() if value is None]
    for name in nulls:
        del entity[name]
    for check in (record.check, record.check_on_insert if mode is Mode.INSERT else None):
        message = check(entity) if check is not None else None
        if message is not None:
            raise SelfCheckFailed(message)
    entity.update(dict.fromkeys(nulls))


def _check_field(field: LegacyField, entity: Entity, mode: Mode, errors: Errors) -> None:
    name = field.name
    if entity.get(name) is not None:
        right, entity[name] = _coerced(field, entity[name])
        if not right:
            _add(errors, name, f"{name} is not {field.type.value}")
            return
        _check_choice(field, entity[name], errors)
    if field.record is not None:
        _check_record(field, entity, mode, errors)
    value = entity.get(name, _MISSING)
    absent = value is _MISSING or value is None or value == ""
    named = mode is not Mode.PARTIAL or value is not _MISSING
    if field.required and absent and (mode is Mode.FULL or (named and not field.made)):
        _add(errors, name, f"{name} is required")
    if named and field.check is not None and name not in errors:
        wrong = field.check(None if value is _MISSING else value, entity)
        if wrong is not None:
            _add(errors, name, wrong)


def _check_choice(field: LegacyField, value: Any, errors: Errors) -> None:
    given = value if isinstance(value, list) else [value]
    wrong = next((one for one in given if field.choices and one not in field.choices), None)
    if wrong is not None:
        allowed = '", "'.join(field.choices)
        _add(errors, field.name, f'"{wrong}" is not allowed. Allowed values are: "{allowed}"')


def _check_record(field: LegacyField, entity: Entity, mode: Mode, errors: Errors) -> None:
    record = field.record(entity) if field.record is not None else None
    if isinstance(record, str):
        _add(errors, field.name, record)
    if not isinstance(record, LegacyRecord):
        return
    if field.name not in entity:
        for inner in record.fields:
            if inner.default is not None:
                entity[field.name] = {}
            elif inner.required:
                _add(errors, field.name, f"{field.name}.{inner.name} is required")
    if isinstance(entity.get(field.name), dict):
        try:
            for name, error in problems(record, entity[field.name], mode).items():
                _add(errors, f"{field.name}.{name}", error)
        except SelfCheckFailed as failure:
            _add(errors, field.name, str(failure))


def _add(errors: Errors, name: str, error: Any) -> None:
    """Several errors of one field make a list."""
    if name not in errors:
        errors[name] = error
    else:
        earlier = errors[name]
        errors[name] = [*earlier, error] if isinstance(earlier, list) else [earlier, error]


def _coerced(field: LegacyField, value: Any) -> tuple[bool, Any]:
    """Whether a value is of the field's type, and the value: texts are read as what the field wants."""
    if isinstance(value, str):
        text = value.strip() if field.trims else value
        return _read(field.type, text)
    if field.type is Type.ARRAY:
        return isinstance(value, list) or value == {}, value or []
    if field.type is Type.TABLE:
        return isinstance(value, dict | list), value or {}
    if field.type in (Type.NUMBER, Type.TIMESTAMP):
        right = isinstance(value, int | float) and not isinstance(value, bool)
        return right and (field.type is Type.NUMBER or value > 0), _whole(value)
    if field.type is Type.BOOLEAN:
        return isinstance(value, bool), value
    return field.type is Type.ID, value


def _read(wanted: Type, text: str) -> tuple[bool, Any]:
    if wanted is Type.BOOLEAN:
        return text.lower() in ("true", "false"), text.lower() == "true"
    if wanted is Type.ARRAY:
        return True, _split(text)
    if wanted in (Type.NUMBER, Type.TIMESTAMP):
        try:
            return True, _whole(float(text))
        except ValueError:
            return False, None
    if wanted is Type.URL:
        return _is_url(text), text
    return wanted in (Type.STRING, Type.ID), text


def _split(text: str) -> list[str]:
    """The members of a text with commas; `\\,` is a comma inside of one."""
    return [part.strip().replace("\\,", ",") for part in re.split(r"(?<!\\),", text)] if text else []


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def emptied(value: object) -> object:
    """A value in which empty lists are empty objects."""
    if isinstance(value, dict):
        return {name: emptied(inner) for name, inner in value.items()}
    return {} if value == [] else value
