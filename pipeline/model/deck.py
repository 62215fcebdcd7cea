"""A gateway's entities as a decK state file (docs of decK: `_format_version`, entities nested under services)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

from pipeline.model.route import Entity, GatewayState

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z_/-]*")
_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf")


def deck_file(state: GatewayState) -> str:
    """The state file: sorted, without clocks and without what is not set, ids kept. Same state, same bytes.

    The order of creation, by which Kong decides between equal routes, has no place in this format.
    """
    services = [_fields(entity) | _routes_of(state, entity) for entity in state.of("services")]
    detached = [_fields(entity) for entity in state.of("routes") if not _service(entity)]
    content: dict[str, object] = {"_format_version": _format_version(state.identity.version)}
    if services:
        content["services"] = services
    if detached:
        content["routes"] = detached
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=True, width=1_000_000, default_flow_style=False)
    # decK renders `${{ … }}` before it reads the YAML; \x24 is a dollar sign to YAML alone. All values are in quotes.
    return text.replace("${{", "\\x24{{")


class _Dumper(yaml.SafeDumper):
    """Quotes every text but plain words: readers of YAML 1.1 and 1.2 see a number in different ones."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  (the library's signature)
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _represent_text)


def _format_version(version: str) -> str:
    """3.0 since Kong 3.0, where a regular expression in `paths` begins with `~`."""
    major = version.partition(".")[0]
    return "3.0" if major.isdecimal() and int(major) >= 3 else "1.1"


def _fields(entity: Entity) -> dict[str, object]:
    set_fields = {key: _plain(value) for key, value in entity.body.items() if value is not None and key != "service"}
    return {"id": entity.id, **set_fields}


def _plain(value: object) -> object:
    """Tuples as lists: YAML's safe types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _routes_of(state: GatewayState, service: Entity) -> dict[str, object]:
    routes = [_fields(route) for route in state.of("routes") if _service(route) in (service.id, service.name)]
    return {"routes": routes} if routes else {}


def _service(route: Entity) -> str:
    service = route.body.get("service")
    found = service.get("id") if isinstance(service, Mapping) else service
    return str(found) if found else ""
