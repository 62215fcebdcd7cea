"""A gateway's entities as a decK state file (docs of decK: `_format_version`, nested in what they belong to)."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.model.kinds import Kind, kind_of
from pipeline.model.route import Entity, GatewayState
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import Hidden, Path, named_secrets, with_hidden
from pipeline.model.yaml_text import Raw, yaml_text

_SCOPES = ("service", "route", "consumer", "consumer_group")
_TOP = ("", "")
Below = dict[tuple[str, str], list[Entity]]
"""Kind and id of what they stand below (both empty for the top) → entities."""


def deck_file(state: GatewayState) -> str:
    """The state file: sorted, without what is not set, ids and times of creation kept (by those Kong decides between
    equal routes). Same state, same bytes. A secret is `${{ env "DECK_…" }}`.

    The format cannot say that a plugin's field is null although its default is not, nor that a secret ends in several
    line ends.
    """
    variables = {
        (one.entity.kind, one.entity.id, one.path): deck_variable(one.variable) for one in named_secrets(state)
    }
    below: Below = {}
    for entity in state.entities:
        below.setdefault(_parent(entity)[0], []).append(entity)
    groups = {entity.id: entity.name for entity in state.of("consumer_groups")}

    def written(parent: tuple[str, str]) -> dict[str, object]:
        """decK's field → the entities that stand there, each with what is below it."""
        found: dict[str, list[dict[str, object]]] = {}
        for entity in below.get(parent, ()):
            kind = kind_of(entity.kind)
            fields = _fields(entity, kind, variables) if not kind.membership else {"name": groups.get(_group(entity))}
            fields.pop(_parent(entity)[1], None)
            found.setdefault(kind.deck, []).append(fields | written((entity.kind, entity.id)))
        return dict(found)

    return yaml_text({"_format_version": _format_version(state.identity.version)} | written(_TOP))


def deck_variable(name: str) -> str:
    """The variable's name for decK, which wants its own prefix."""
    return f"DECK_{name.removeprefix('KONG_')}"


def _format_version(version: str) -> str:
    """3.0 since Kong 3.0, where a regular expression in `paths` begins with `~`."""
    major = version.partition(".")[0]
    return "3.0" if major.isdecimal() and int(major) >= 3 else "1.1"


def _fields(entity: Entity, kind: Kind, variables: Mapping[tuple[str, str, Path], str]) -> dict[str, object]:
    def template(path: Path, hidden: Hidden) -> Raw:
        name = variables[entity.kind, entity.id, path]
        return Raw(f'${{{{ env "{name}" | indent INDENT }}}}', clip=isinstance(hidden, Secret) and hidden.ends_a_line)

    found = with_hidden(entity.body, template)
    assert isinstance(found, dict)  # noqa: S101  (a body is one)
    fields: dict[str, object] = {"id": entity.id} | {key: value for key, value in found.items() if value is not None}
    if entity.created_at:
        fields["created_at"] = entity.created_at
    for name in kind.references:
        value = fields.get(name)
        if isinstance(value, Mapping) and kind.name in ("plugins", "services"):
            fields[name] = str(value.get("id"))
    return fields


def _parent(entity: Entity) -> tuple[tuple[str, str], str]:
    """The entity below which it stands and the field that says so; an empty field for the top."""
    kind = kind_of(entity.kind)
    names = [kind.deck_parent] if kind.deck_parent else list(_SCOPES) if kind.name == "plugins" else []
    found = [(name, value["id"]) for name in names if isinstance(value := entity.body.get(name), Mapping)]
    if len(found) != 1:
        return _TOP, ""
    name, key = found[0]
    return (kind.references[name], str(key)), name


def _group(entity: Entity) -> str:
    value = entity.body.get("consumer_group")
    return str(value.get("id")) if isinstance(value, Mapping) else ""
