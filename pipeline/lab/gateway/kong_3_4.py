"""Kong 3.4.2 with `router_flavor = traditional`: what the recordings of it hold."""

from __future__ import annotations

from dataclasses import replace

from pipeline.lab.gateway.dialect import Dialect, by_name
from pipeline.lab.gateway.error_pages import by_quality, modern_pages
from pipeline.lab.gateway.kong_2_8 import ADMIN, PAGES, health_pages
from pipeline.lab.gateway.lists import ListStyle, checked_size
from pipeline.lab.gateway.routing import Routing
from pipeline.lab.gateway.rule import marked_path
from pipeline.lab.gateway.schema import ITEM_METHODS, LIST_METHODS, PAGE_METHODS
from pipeline.lab.gateway.styles import ProxyStyle
from pipeline.lab.gateway.tables_3_4 import TABLES

_VERSION = "3.4.2"
_PRIORITIES = {
    "acl": 950,
    "basic-auth": 1100,
    "correlation-id": 1,
    "cors": 2000,
    "file-log": 9,
    "ip-restriction": 990,
    "jwt": 1450,
    "key-auth": 1250,
    "rate-limiting": 910,
    "request-termination": 2,
}
_ERRORS = modern_pages("Error", by_quality)

KONG_3_4 = Dialect(
    version=_VERSION,
    schemas=by_name(TABLES),
    pages={
        **PAGES,
        **health_pages("PUT"),
        ("timers",): PAGE_METHODS,
        ("filter-chains",): LIST_METHODS,
        ("filter-chains", "*"): ITEM_METHODS,
        ("services", "*", "filter-chains"): LIST_METHODS,
        ("routes", "*", "filter-chains"): LIST_METHODS,
    },
    lists=ListStyle(tag=r"[ !-+\-.0-~\u0080-\U0010ffff]", size=checked_size, next_carries_size=True),
    admin=replace(ADMIN, echoes_origin=True),
    proxy=ProxyStyle(
        no_route="no Route matched with those values",
        errors=_ERRORS,
        say=_ERRORS.said,
        routing=lambda store, targets: Routing(store, targets, marked_path),
        strict=True,
    ),
    available=lambda plugin: {"version": _VERSION, "priority": _PRIORITIES[plugin]},
    configuration={
        "database": "sqlite",
        "role": "traditional",
        "router_flavor": "traditional",
        "plugins": ["bundled"],
    },
)
