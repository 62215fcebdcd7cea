"""The plugins of one service, planned for both dialects. Pure functions."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import Refused
from pipeline.gateways.kong.entities import Fields, tags_of
from pipeline.gateways.kong.wording import PLUGINS
from pipeline.gateways.kong.writes import agrees
from pipeline.model.plan import Change, Verb
from pipeline.model.route import Route, WantedPlugin, owner_of, owner_tags, tag_word

_CONFIG_TAG = "config."
_OUR_TAGS = ("env.", "service.", "stack.", _CONFIG_TAG)
_NAMESPACE = uuid.UUID("6e0c9f4d-7c5f-5d0e-9b43-1f9a1c1b7a52")
_SCOPES = ("consumer", "consumer_id", "route", "route_id", "consumer_group")


class Marks(Protocol):
    """How a dialect tells the plugins that we set from those of others."""

    def ours(self, wanted: Route, found: Fields) -> bool:
        """Whether we set it, for this service and environment."""

    def fields(self, wanted: Route, plugin: WantedPlugin, found: Fields | None) -> dict[str, object]:
        """All that it is to hold, whether it is new or not."""

    def adopted(self, wanted: Route, plugin: WantedPlugin, found: Fields) -> dict[str, object] | None:
        """What makes someone else's ours, its configuration as it is; None where nothing can."""


class TagMarks:
    """By tags (Kong ≥ 1.1). One holds a digest of the manifest's configuration, so a key that left it is noticed."""

    def ours(self, wanted: Route, found: Fields) -> bool:
        owner = owner_of(tags_of(found))
        return (owner.service, owner.environment) == (wanted.service, tag_word(wanted.environment))

    def fields(self, wanted: Route, plugin: WantedPlugin, found: Fields | None) -> dict[str, object]:
        fields: dict[str, object] = {"name": plugin.name, "config": dict(plugin.config), "enabled": True}
        fields["tags"] = _tags(wanted, plugin, found)
        return fields | {key: found[key] for key in ("service", "created_at") if found and key in found}

    def adopted(self, wanted: Route, plugin: WantedPlugin, found: Fields) -> dict[str, object] | None:
        return {**_whole(found), "tags": _tags(wanted, plugin, found)}


class IdMarks:
    """By id, where there are no tags: ours have one that follows from environment, service and name."""

    def ours(self, wanted: Route, found: Fields) -> bool:
        return found.get("id") == plugin_id(wanted, str(found.get("name")))

    def fields(
        self,
        wanted: Route,  # noqa: ARG002  (the port's signature)
        plugin: WantedPlugin,
        found: Fields | None,
    ) -> dict[str, object]:
        fields = {"name": plugin.name, "config": dict(plugin.config), "enabled": True}
        return fields | {key: found[key] for key in ("id", "api_id", "created_at") if found and key in found}

    def adopted(
        self,
        wanted: Route,  # noqa: ARG002  (the port's signature)
        plugin: WantedPlugin,  # noqa: ARG002
        found: Fields,  # noqa: ARG002
    ) -> dict[str, object] | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A plugin that answers for every request of the service, and whose it is."""

    fields: Fields
    ours: bool


def plugin_id(wanted: Route, name: str) -> str:
    """The id of our plugin of that name: the same each time, so that a second creation changes nothing."""
    return str(uuid.uuid5(_NAMESPACE, f"{wanted.environment}/{wanted.service}/{name}"))


def plan_plugins(wanted: Route, found: tuple[Fields, ...], marks: Marks) -> tuple[Change, ...]:
    """What has to be written so that the manifest's plugins hold, given all that are on the service. Those that we set
    and that it no longer names go; those of others stay, each with a step that says so. Refused for one that the
    manifest names and someone else has set otherwise."""
    whole = {
        str(one.get("name")): _Found(fields=one, ours=marks.ours(wanted, one)) for one in found if not _is_partial(one)
    }
    steps = [_wanted_step(wanted, plugin, whole.get(plugin.name), marks) for plugin in wanted.plugins]
    names = {plugin.name for plugin in wanted.plugins}
    for name, one in sorted(whole.items()):
        if name not in names and one.ours:
            steps.append(_step(Verb.DELETE, wanted, one.fields, before=_whole(one.fields), reason="no longer wanted"))
    others = [one.fields for name, one in whole.items() if name not in names and not one.ours]
    steps += kept_plugins(wanted, (*others, *(one for one in found if _is_partial(one))), "the service")
    return tuple(step for step in steps if step is not None)


def with_plugins(changes: tuple[Change, ...], steps: tuple[Change, ...]) -> tuple[Change, ...]:
    """All of a plan: plugins come before the change that moves traffic, which is the last."""
    return (*changes[:-1], *steps, *changes[-1:])


def kept_plugins(wanted: Route, found: tuple[Fields, ...], where: str) -> Iterator[Change]:
    """A step for each that someone else has set."""
    for one in sorted(found, key=lambda one: (str(one.get("name")), str(one.get("id")))):
        yield _step(Verb.KEEP, wanted, one, reason=f"added by hand to {where}: it stays")


def _wanted_step(wanted: Route, plugin: WantedPlugin, found: _Found | None, marks: Marks) -> Change | None:
    if found is None:
        after = marks.fields(wanted, plugin, None)
        return Change(
            verb=Verb.CREATE,
            kind=PLUGINS,
            key=plugin.name,
            id=plugin_id(wanted, plugin.name),
            parent=wanted.service,
            before={},
            after=after,
            reason="the manifest names it",
        )
    holds = agrees(found.fields, {"config": plugin.config, "enabled": True})
    after = marks.fields(wanted, plugin, found.fields)
    if found.ours:
        if holds and agrees(found.fields, {"tags": after.get("tags")}):
            return None
        reason = "its configuration differs from the manifest's"
        return _step(Verb.UPDATE, wanted, found.fields, before=_whole(found.fields), after=after, reason=reason)
    if not holds:
        raise Refused(
            f"the gateway's plugin {plugin.name!r} on {wanted.service!r} was added by hand and is not as the manifest "
            "wants it",
            hint=f"Take it out of the manifest, or remove the plugin {found.fields.get('id')} there.",
        )
    adopted = marks.adopted(wanted, plugin, found.fields)
    if adopted is None:
        return _step(Verb.KEEP, wanted, found.fields, reason="added by hand, as the manifest wants it: it stays")
    reason = "added by hand, as the manifest wants it: from now on ours"
    return _step(Verb.UPDATE, wanted, found.fields, before=_whole(found.fields), after=adopted, reason=reason)


def _step(
    verb: Verb,
    wanted: Route,
    found: Fields,
    *,
    reason: str,
    before: Fields | None = None,
    after: Fields | None = None,
) -> Change:
    return Change(
        verb=verb,
        kind=PLUGINS,
        key=str(found.get("name")),
        id=str(found.get("id")),
        parent=wanted.service,
        before=before or {},
        after=after or {},
        reason=reason,
    )


def _is_partial(found: Fields) -> bool:
    """For one consumer or one route of the service only: a scope of its own."""
    return any(found.get(scope) for scope in _SCOPES)


def _whole(found: Fields) -> dict[str, object]:
    return {key: value for key, value in found.items() if key != "updated_at"}


def _tags(wanted: Route, plugin: WantedPlugin, found: Fields | None) -> list[str]:
    foreign = [tag for tag in tags_of(found or {}) if tag != "pipeline" and not tag.startswith(_OUR_TAGS)]
    owner = [tag for tag in owner_tags(wanted) if not tag.startswith("stack.")]
    return [*foreign, *owner, f"{_CONFIG_TAG}{_digest(plugin.config)}"]


def _digest(config: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]
