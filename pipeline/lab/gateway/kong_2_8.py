"""Kong 2.8.5, the reference: what the recordings of it hold."""

from __future__ import annotations

import json

from pipeline.lab.gateway import faults, tables, tables_certificates, tables_consumers, tables_plugins, tables_upstreams
from pipeline.lab.gateway.dialect import Dialect, by_name
from pipeline.lab.gateway.error_pages import by_exact_type, modern_pages
from pipeline.lab.gateway.lists import ListStyle, checked_size
from pipeline.lab.gateway.messages import Head
from pipeline.lab.gateway.pages import NginxPages
from pipeline.lab.gateway.routing import Routing
from pipeline.lab.gateway.rule import guessed_path
from pipeline.lab.gateway.schema import LIST_METHODS, PAGE_METHODS
from pipeline.lab.gateway.styles import AdminStyle, EntityStyle, ProxyStyle, Quick
from pipeline.lab.gateway.tables_vaults import VAULTS_BETA


def health_pages(method: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    """The URLs that set a target's health, which 3.x wants to be PUT."""
    places = (("upstreams", "*", "targets", "*"), ("upstreams", "*", "targets", "*", "*"))
    return {(*place, word): ("OPTIONS", method) for place in places for word in ("healthy", "unhealthy")}


_VALIDATE_METHODS = ("OPTIONS", "POST")
PAGES = {
    (): PAGE_METHODS,
    ("status",): PAGE_METHODS,
    ("endpoints",): PAGE_METHODS,
    ("tags",): LIST_METHODS,
    ("tags", "*"): PAGE_METHODS,
    ("plugins", "enabled"): PAGE_METHODS,
    ("plugins", "schema", "*"): PAGE_METHODS,
    ("schemas", "plugins", "validate"): _VALIDATE_METHODS,
    ("schemas", "plugins", "*"): PAGE_METHODS,
    ("schemas", "*", "validate"): _VALIDATE_METHODS,
    ("schemas", "*"): PAGE_METHODS,
    ("upstreams", "*", "targets", "all"): PAGE_METHODS,
    ("upstreams", "*", "health"): PAGE_METHODS,
    **health_pages("POST"),
    ("clustering", "status"): PAGE_METHODS,
    ("clustering", "data-planes"): PAGE_METHODS,
    ("config",): PAGE_METHODS,
}


def say_in_json(message: str, head: Head) -> tuple[str, bytes]:
    """Kong's own words are JSON here, whatever Accept says."""
    del head
    return "application/json; charset=utf-8", json.dumps({"message": message}, separators=(",", ":")).encode()


def _preflight(method: str, methods: tuple[str, ...]) -> Quick | None:
    """OPTIONS names the methods of a URL, whether or not the entity is there."""
    if method != "OPTIONS":
        return None
    words = ", ".join(methods)
    headers = (
        ("Allow", words),
        ("Access-Control-Allow-Methods", words),
        ("Access-Control-Allow-Headers", "Content-Type"),
    )
    return Quick(status=204, headers=headers)


ADMIN = AdminStyle(
    nginx=NginxPages(),
    fault_body=lambda fault: fault.body,
    quick=_preflight,
    entities=EntityStyle(bad_name=faults.invalid_name),
)

KONG_2_8 = Dialect(
    version="2.8.5",
    schemas=by_name(
        tables.TABLES,
        tables_upstreams.TABLES,
        tables_consumers.TABLES,
        tables_plugins.TABLES,
        tables_certificates.TABLES,
        (VAULTS_BETA,),
    ),
    pages=PAGES,
    lists=ListStyle(size=checked_size),
    admin=ADMIN,
    proxy=ProxyStyle(
        no_route="no Route matched with those values",
        errors=modern_pages("Kong Error", by_exact_type),
        say=say_in_json,
        routing=lambda store, targets: Routing(store, targets, guessed_path),
    ),
    available=lambda plugin: bool(plugin),
    configuration={"database": "sqlite", "role": "traditional", "plugins": ["bundled"]},
)
