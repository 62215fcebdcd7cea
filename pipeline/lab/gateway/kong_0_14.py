"""Kong 0.14.1, which has apis beside services and routes: what the recordings of it hold."""

from __future__ import annotations

from pipeline.lab.gateway import faults, tables_0_14, tables_legacy
from pipeline.lab.gateway.dialect import Dialect, by_name
from pipeline.lab.gateway.error_pages import OLD_PAGES
from pipeline.lab.gateway.faults import Fault
from pipeline.lab.gateway.kong_2_8 import health_pages, say_in_json
from pipeline.lab.gateway.lists import DEFAULT_SIZE, ListStyle
from pipeline.lab.gateway.messages import encoded
from pipeline.lab.gateway.old_routing import OldRouting
from pipeline.lab.gateway.outgoing import OLD_HEADERS
from pipeline.lab.gateway.pages import NginxPages
from pipeline.lab.gateway.schema import PAGE_METHODS, Entity
from pipeline.lab.gateway.styles import AdminStyle, EntityStyle, ProxyStyle, Quick
from pipeline.lab.gateway.targets import TARGET_HISTORY

_NGINX = "openresty/1.13.6.2"


def _size(values: list[str | bool] | None) -> int:
    """A page's size: what is no positive number is a failure of Kong's, what is too large is cut."""
    if values is None:
        return DEFAULT_SIZE
    try:
        size = int(float(values[0])) if isinstance(values[0], str) else 0
    except (ValueError, OverflowError):
        size = 0
    if size <= 0:
        raise faults.unexpected()
    return min(size, 1000)


def _fault_body(fault: Fault) -> Entity:
    """A coded fault names the database too, and says more of a bad offset."""
    if "code" not in fault.body:
        return fault.body
    words = str(fault.body["message"]).replace("is not a valid offset", "is not a valid offset for this strategy")
    return {**fault.body, "message": words, "strategy": "postgres"}


def _quick(method: str, methods: tuple[str, ...]) -> Quick | None:
    """HEAD and OPTIONS look at no entity, and nginx answers them in its own name."""
    del methods
    if method == "HEAD":
        return Quick(status=200, headers=(("Content-Type", "application/json"),), server=_NGINX)
    if method == "OPTIONS":
        headers = (
            ("Access-Control-Allow-Methods", "GET, HEAD, PUT, PATCH, POST, DELETE"),
            ("Access-Control-Allow-Headers", "Content-Type"),
        )
        return Quick(status=204, headers=headers, server=_NGINX)
    return None


def _encode(content: Entity) -> bytes:
    """Slashes are escaped, and a line ends (cjson and ngx.say)."""
    return encoded(content).replace(b"/", b"\\/") + b"\n"


def _bad_name(words: str) -> Fault:
    """What cannot be a name is a failure of Kong's own here."""
    del words
    return faults.unexpected()


KONG_0_14 = Dialect(
    version="0.14.1",
    schemas=by_name(tables_0_14.TABLES, tables_legacy.TABLES),
    legacy=tables_legacy.LEGACY,
    pages={
        (): PAGE_METHODS,
        ("status",): PAGE_METHODS,
        ("plugins", "enabled"): PAGE_METHODS,
        ("plugins", "schema", "*"): PAGE_METHODS,
        ("upstreams", "*", "targets", "all"): PAGE_METHODS,
        ("upstreams", "*", "health"): PAGE_METHODS,
        **{pattern: methods for pattern, methods in health_pages("POST").items() if len(pattern) == 5},
    },
    lists=ListStyle(size=_size, shows_nested_nulls=False, names_parent_by_id=True, bare_filters=True),
    admin=AdminStyle(
        nginx=NginxPages(body='<body bgcolor="white">', foot=f"<hr><center>{_NGINX}</center>\n"),
        fault_body=_fault_body,
        quick=_quick,
        entities=EntityStyle(
            bad_name=_bad_name,
            chooses_id=False,
            keeps_created_at=False,
            resolves_names=False,
            shows_nulls=False,
            checks_nulls_first=True,
        ),
        encode=_encode,
        reads_multipart=False,
    ),
    proxy=ProxyStyle(
        no_route="no route and no API found with those values",
        errors=OLD_PAGES,
        say=say_in_json,
        routing=OldRouting,
        targets=TARGET_HISTORY,
        headers=OLD_HEADERS,
        chunked=True,
    ),
    available=lambda plugin: bool(plugin),
    about={"prng_seeds": {}},
    configuration={"database": "sqlite", "plugins": ["bundled"]},
)
