"""Routes: what makes a service's URI reach a stack, and what a gateway holds as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from pipeline.model.dialect import Dialect

PIPELINE_TAG = "pipeline"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPlugin:
    """A plugin on a service's requests. Of `config` only what is named is ours; the gateway adds its defaults."""

    name: str
    config: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What one of our services wants of the gateway: requests matching uri, hosts and methods go to `upstream`.

    `upstream` is a URL without a path (`http://proxy.cities-master-0a1b2c3d:80`); empty `hosts` or `methods` match all.
    """

    service: str
    environment: str
    stack: str
    uri: str
    upstream: str
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    strip_uri: bool = False
    preserve_host: bool = False
    plugins: tuple[WantedPlugin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose an entity of the gateway is, as its tags say: all empty for one that this toolkit did not make."""

    environment: str = ""
    service: str = ""
    stack: str = ""

    @property
    def ours(self) -> bool:
        return bool(self.service)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRoute:
    """A route as the gateway has it, ours or anyone's. `upstream` is empty when it leads nowhere."""

    id: str
    name: str
    paths: tuple[str, ...]
    hosts: tuple[str, ...]
    methods: tuple[str, ...]
    strip_uri: bool
    preserve_host: bool
    upstream: str
    owner: Owner

    @property
    def label(self) -> str:
        return self.name or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundUpstream:
    """A name in a gateway that stands for several targets (`host:port`); a route whose upstream's host it is leads to
    each of them."""

    name: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayIdentity:
    """Which server this is and whose: `environments` are those that its entities' tags name. `dialect` is how it is
    spoken to, `because` says why."""

    product: str
    version: str
    environments: tuple[str, ...] = ()
    dialect: Dialect = Dialect.SERVICES
    because: str = ""


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """One entity of a gateway as it would be written: `kind` is Kong's collection name (`services`, model/kinds.py),
    `body` its fields, each secret in it a Secret (in one that was read from a file perhaps a Variable).

    What the server makes is apart: `id`, and `created_at` (seconds), by which it orders equal routes; `updated_at` is
    in no dump. A file may give less: `made_up` says that it has no id, `partial` that it leaves fields out. A Struct,
    because a dump makes ten thousands of them.
    """

    kind: str
    id: str
    name: str
    body: Mapping[str, object]
    created_at: int | float = 0
    made_up: bool = False
    partial: bool = False

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name or self.id}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Excluded:
    """What a gateway has and its dump does not: how many of which kind, and why."""

    kind: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayState:
    """A whole gateway at one moment: every entity, and how many of what is not among them. Listed by the server is one
    or the other."""

    identity: GatewayIdentity
    entities: tuple[Entity, ...]
    excluded: tuple[Excluded, ...] = ()

    def of(self, kind: str) -> tuple[Entity, ...]:
        return tuple(entity for entity in self.entities if entity.kind == kind)


def owner_tags(route: Route) -> tuple[str, ...]:
    """The tags of ownership, without `:` (older servers refuse it)."""
    return tags_of_owner(Owner(environment=route.environment, service=route.service, stack=route.stack))


def tags_of_owner(owner: Owner) -> tuple[str, ...]:
    """The tags that say so; that of the stack is the last."""
    return (PIPELINE_TAG, f"env.{tag_word(owner.environment)}", f"service.{owner.service}", f"stack.{owner.stack}")


def tag_word(value: str) -> str:
    """`review/x` as a tag may hold it: servers refuse `/` and `,` in tags."""
    return value.replace("/", ".").replace(",", ".").replace(" ", ".")


def owner_of(tags: tuple[str, ...]) -> Owner:
    """Whose an entity is; one without the tag `pipeline` is nobody's, whatever else its tags say."""
    if PIPELINE_TAG not in tags:
        return Owner()
    found = {prefix: value for prefix, _, value in (tag.partition(".") for tag in tags) if value}
    return Owner(environment=found.get("env", ""), service=found.get("service", ""), stack=found.get("stack", ""))


def environments_in(tagged: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Those that the tags of several entities of ours name, sorted."""
    named = {tag for tags in tagged if PIPELINE_TAG in tags for tag in tags if tag.startswith("env.")}
    return tuple(sorted({tag.removeprefix("env.") for tag in named} - {""}))


def stack_of_upstream(upstream: str) -> str:
    """`http://proxy.cities-master-0a1b2c3d:80` → `cities-master-0a1b2c3d`; empty when the host is not of that shape."""
    host = urlsplit(upstream).hostname or ""
    _, _, stack = host.partition(".")
    return "" if "." in stack else stack


def same_upstream(one: str, other: str) -> bool:
    """Whether two upstream URLs lead to the same place: a protocol's own port may be left out."""
    return _plain(one) == _plain(other)


def overlaps(wanted: Route, found: FoundRoute) -> bool:
    """Whether both would answer the same request for the wanted path: same path, and hosts and methods that meet."""
    return wanted.uri in found.paths and _meet(wanted.hosts, found.hosts) and _meet(wanted.methods, found.methods)


def _plain(upstream: str) -> str:
    for protocol, port in (("http", ":80"), ("https", ":443")):
        if upstream.startswith(f"{protocol}://"):
            return upstream.removesuffix(port)
    return upstream


def _meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return (not one and not other) or bool(set(one) & set(other))
