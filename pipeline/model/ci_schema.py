"""A .gitlab-ci.yml against GitLab's JSON schema: what does not fit, by job and key, and never with its value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.model.ci_rules import Finding
from pipeline.model.ci_yaml import GLOBAL

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_HINT = "https://docs.gitlab.com/ci/yaml/ has the key."
_SHOWN = 8


def fits_schema(content: Mapping[str, Any], schema: bytes) -> tuple[Finding, ...]:
    """Every place that does not fit, once each."""
    from jsonschema import Draft7Validator

    validator = Draft7Validator(json.loads(schema))
    return tuple(_findings(validator.iter_errors(content)))


def _findings(errors: Iterable[ValidationError]) -> Iterator[Finding]:
    for error in sorted(errors, key=lambda one: [str(part) for part in one.absolute_path]):
        deepest = _telling(error)
        path = [str(part) for part in deepest.absolute_path]
        of_a_job = bool(path) and path[0] not in GLOBAL
        key = ".".join(path[1:] if of_a_job else path)
        yield Finding(job=path[0] if of_a_job else "", key=key, what=_words(deepest), hint=_HINT)


def _telling(error: ValidationError) -> ValidationError:
    """Of alternatives that all fail the one that was meant: the one that got furthest into the value, and of those the
    one that says most. A `type` that does not fit only says that another alternative was meant."""
    from jsonschema.exceptions import best_match

    while error.context:
        deepest = max(len(one.absolute_path) for one in error.context)
        meant = [one for one in error.context if len(one.absolute_path) == deepest]
        others = [one for one in meant if one.validator != "type"]
        chosen = best_match(iter(others or meant))
        if chosen is None:
            return error
        error = chosen
    return error


def _words(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        schema: Any = error.schema
        unknown = sorted(set(error.instance) - set(schema.get("properties", {})))
        return f"unknown key: {', '.join(unknown[:_SHOWN])}"
    if error.validator == "type":
        return f"should be of type {' or '.join(wanted) if isinstance(wanted, list) else wanted}"
    if error.validator == "enum":
        return f"should be one of {', '.join(map(str, wanted[:_SHOWN]))}"
    if error.validator == "required" and isinstance(error.instance, Mapping):
        return f"missing: {', '.join(key for key in wanted if key not in error.instance)}"
    return f"does not fit ({error.validator} in GitLab's schema)"
