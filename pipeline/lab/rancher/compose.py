"""Compose files as Rancher reads them: interpolation, the keys that it knows, and the services that come of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from pipeline.lab.rancher.compose_keys import DOCKER_KEYS, RANCHER_KEYS
from pipeline.lab.rancher.go_template import TemplateError, expanded
from pipeline.lab.rancher.rows import Fields

_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))?")


class ComposeError(Exception):
    """What the compose engine says; it becomes the stack's `transitioningMessage`."""


def services_of(docker: str, rancher: str, variables: Mapping[str, str], words: Mapping[str, Any]) -> dict[str, Fields]:
    """The services of both files, merged: name → compose keys. Raises ComposeError."""
    values = {"Values": variables, **words}
    found = _read(docker, values, variables, DOCKER_KEYS)
    extra = _read(rancher, values, variables, RANCHER_KEYS | DOCKER_KEYS) if rancher.strip() else {}
    for name, keys in extra.items():
        if name not in found and not keys.keys() & {"type", "image", "lb_config"}:
            continue
        found[name] = found.get(name, {}) | keys
    for name, keys in found.items():
        if not keys.get("image") and not keys.get("type") and "external_ips" not in keys and "hostname" not in keys:
            raise ComposeError(f"Service {name} has neither an image nor a build context specified. Provide one")
    return found


def question_defaults(rancher: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The defaults of the `questions` of a catalog entry."""
    document = _parsed(rancher, values) if rancher.strip() else {}
    catalog = document.get("catalog") or document.get(".catalog") or {}
    questions = catalog.get("questions") if isinstance(catalog, dict) else None
    return {
        str(one["variable"]): _go_text(one["default"])
        for one in questions or ()
        if isinstance(one, dict) and one.get("variable") and one.get("default") is not None
    }


def interpolated(text: str, lookup: Callable[[str], str | None], key: str) -> str:
    """`$VAR`, `${VAR}` and `$$`; unset is empty, and anything else after a dollar is an error."""

    def filled(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        name = match[2] or match[3]
        if name is None:
            raise ComposeError(f'Invalid interpolation format for key "{key}": "{text}"')
        return lookup(name) or ""

    return _VARIABLE.sub(filled, text)


def _read(
    text: str, values: Mapping[str, Any], variables: Mapping[str, str], known: frozenset[str]
) -> dict[str, Fields]:
    document = _parsed(text, values)
    version = str(document.get("version", "1"))
    if version.split(".")[0] == "3":
        raise ComposeError("version 3 is not supported")
    services = document.get("services") or {} if version.split(".")[0] == "2" else document
    if not isinstance(services, dict):
        raise ComposeError("services must be a mapping")
    found: dict[str, Fields] = {}
    for name, keys in services.items():
        if version.split(".")[0] != "2" and name in ("version", "catalog", ".catalog"):
            continue
        if not isinstance(keys, dict):
            raise ComposeError(f"Service '{name}' doesn't have any configuration options")
        for key in keys:
            if key not in known:
                raise ComposeError(f"Unsupported config option for {name} service: '{key}'")
        found[str(name)] = _service(keys, variables)
    return found


def _parsed(text: str, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        document = yaml.safe_load(expanded(text, values))
    except (yaml.YAMLError, TemplateError) as error:
        raise ComposeError(" ".join(str(error).split())) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ComposeError("a compose file must be a mapping")
    return document


def _service(keys: Mapping[str, Any], variables: Mapping[str, str]) -> Fields:
    found = {key: _deep(value, variables.get, key) for key, value in keys.items()}
    if "environment" in found:
        found["environment"] = _environment(found["environment"], variables)
    return found


def _deep(value: Any, lookup: Callable[[str], str | None], key: str) -> Any:
    if isinstance(value, str):
        return interpolated(value, lookup, key)
    if isinstance(value, list):
        return [_deep(one, lookup, key) for one in value]
    if isinstance(value, dict):
        return {name: _deep(one, lookup, key) for name, one in value.items()}
    return value


def _environment(value: Any, variables: Mapping[str, str]) -> dict[str, str]:
    """A name without a value takes the variable's, and is dropped when that is unset."""
    found: dict[str, str] = {}
    pairs = value.items() if isinstance(value, dict) else [_pair(str(one)) for one in value or ()]
    for name, text in pairs:
        if text is not None:
            found[str(name)] = _go_text(text)
        elif name in variables:
            found[str(name)] = variables[name]
    return found


def _pair(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return name, value if equals else None


def _go_text(value: Any) -> str:
    """Go's %v."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
