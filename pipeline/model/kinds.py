"""What a gateway can hold: one row for each kind of entity, with all that a dump or a restore has to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of entity, by the name of its collection in the Admin API.

    `parent` is the field that says below which entity it is listed and written, for those that have no collection of
    their own; `listing` its words there. `references` are fields that hold `{"id": …}`, `lists` fields that hold ids,
    `ids` fields that hold one; all name the kind that is meant. `key` is what tells two of them apart for people.
    `server_made` fields are in no dump, `volatile` ones are and count as equal, `nullable` ones are unset where a file
    does not name them. `secrets` are fields that nobody may see, `hashed` those of them that the server hashes on every
    write and gives back as a hash only; `hides_secrets` has secrets below these fields, too. `word` stands in
    variables' names, `deck` is where decK keeps it: a collection, or a field below `deck_parent`.
    """

    name: str
    word: str
    key: tuple[str, ...] = ("name",)
    parent: str = ""
    listing: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    nullable: tuple[str, ...] = ("tags",)
    server_made: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    hides_secrets: tuple[str, ...] = ()
    creates_by_post: bool = False
    membership: bool = False
    deck: str = ""
    deck_parent: str = ""


def _credential(name: str, word: str, deck: str, **fields: tuple[str, ...]) -> Kind:
    return Kind(
        name=name,
        word=word,
        deck=deck,
        deck_parent="consumer",
        references={"consumer": "consumers"},
        key=fields.pop("key"),
        **fields,  # type: ignore[arg-type]  # the fields of Kind that hold names
    )


KINDS: tuple[Kind, ...] = (
    Kind(
        name="services",
        word="service",
        references={"client_certificate": "certificates"},
        lists={"ca_certificates": "ca_certificates"},
        nullable=("path", "client_certificate", "tls_verify", "tls_verify_depth", "ca_certificates", "tags", "name"),
        deck="services",
    ),
    Kind(
        name="routes",
        word="route",
        references={"service": "services"},
        nullable=("name", "methods", "hosts", "paths", "headers", "snis", "sources", "destinations", "tags", "service"),
        deck="routes",
        deck_parent="service",
    ),
    Kind(
        name="upstreams",
        word="upstream",
        references={"client_certificate": "certificates"},
        nullable=(
            "hash_on_header",
            "hash_fallback_header",
            "hash_on_cookie",
            "host_header",
            "client_certificate",
            "tags",
        ),
        deck="upstreams",
    ),
    Kind(
        name="targets",
        word="target",
        key=("upstream", "target"),
        parent="upstream",
        # The plain listing hides targets of weight 0 (Kong 2.8 and 3.4).
        listing=("targets", "all"),
        references={"upstream": "upstreams"},
        # A PUT makes none (Kong 2.8).
        creates_by_post=True,
        deck="targets",
        deck_parent="upstream",
    ),
    Kind(
        name="plugins",
        word="plugin",
        key=("name", "service", "route", "consumer", "consumer_group", "instance_name"),
        references={
            "service": "services",
            "route": "routes",
            "consumer": "consumers",
            "consumer_group": "consumer_groups",
        },
        # On a legacy Kong.
        ids={"api_id": "apis"},
        nullable=("service", "route", "consumer", "consumer_group", "instance_name", "ordering", "tags"),
        hides_secrets=("config",),
        deck="plugins",
    ),
    Kind(
        name="consumers",
        word="consumer",
        key=("username", "custom_id"),
        nullable=("username", "custom_id", "tags"),
        deck="consumers",
    ),
    _credential(
        "key-auths", "key-auth", "keyauth_credentials", key=("consumer", "key"), secrets=("key",), volatile=("ttl",)
    ),
    _credential(
        "basic-auths",
        "basic-auth",
        "basicauth_credentials",
        key=("username",),
        secrets=("password",),
        hashed=("password",),
    ),
    _credential("hmac-auths", "hmac-auth", "hmacauth_credentials", key=("username",), secrets=("secret",)),
    _credential("jwts", "jwt", "jwt_secrets", key=("key",), secrets=("secret",)),
    _credential("oauth2", "oauth2", "oauth2_credentials", key=("client_id",), secrets=("client_secret",)),
    _credential("acls", "acl", "acls", key=("consumer", "group")),
    Kind(name="consumer_groups", word="consumer-group", deck="consumer_groups"),
    Kind(
        name="consumer_group_consumers",
        word="consumer-group-member",
        key=("consumer_group", "consumer"),
        parent="consumer_group",
        listing=("consumers",),
        references={"consumer_group": "consumer_groups", "consumer": "consumers"},
        creates_by_post=True,
        membership=True,
        deck="groups",
        deck_parent="consumer",
    ),
    Kind(
        name="certificates",
        word="certificate",
        key=("cert",),
        # The names are entities of their own.
        server_made=("snis",),
        nullable=("cert_alt", "key_alt", "tags"),
        secrets=("key", "key_alt"),
        deck="certificates",
    ),
    Kind(name="snis", word="sni", references={"certificate": "certificates"}, deck="snis", deck_parent="certificate"),
    Kind(
        name="ca_certificates",
        word="ca-certificate",
        key=("cert",),
        server_made=("cert_digest",),
        deck="ca_certificates",
    ),
    Kind(name="vaults", word="vault", key=("prefix",), hides_secrets=("config",), deck="vaults"),
)

# What stands in the place of services and routes on a legacy Kong (0.10 – 0.14).
_APIS = Kind(name="apis", word="api", nullable=("hosts", "uris", "methods"))

SERVER_MADE = ("id", "created_at", "updated_at")
_BY_NAME = {kind.name: kind for kind in (*KINDS, _APIS)}


def kind_of(name: str) -> Kind:
    """The row of a kind; of one that this toolkit does not know, a row that says so little that it can be written."""
    return _BY_NAME.get(name) or Kind(name=name, word=name)


def is_known(name: str) -> bool:
    return name in _BY_NAME


@cache
def rank(name: str) -> int:
    """When an entity may be written: after all of lower rank, among which is everything that it refers to."""
    kind = kind_of(name)
    others = (*kind.references.values(), *kind.lists.values(), *kind.ids.values())
    return max((rank(other) + 1 for other in others), default=0)


def referred(kind: Kind, body: Mapping[str, object]) -> tuple[tuple[str, str, str], ...]:
    """What an entity refers to: field, kind and id of each."""
    found = [
        (name, other, str(value["id"]))
        for name, other in kind.references.items()
        if isinstance(value := body.get(name), Mapping) and value.get("id")
    ]
    for name, other in kind.lists.items():
        ids = body.get(name)
        found += [(name, other, str(one)) for one in ids] if isinstance(ids, list | tuple) else []
    found += [(name, other, str(key)) for name, other in kind.ids.items() if (key := body.get(name))]
    return tuple(found)
