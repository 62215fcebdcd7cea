"""What differs between versions apart from their schemas: the habits of the Admin port and of the proxy port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.lab.gateway.error_pages import ErrorPages
from pipeline.lab.gateway.faults import Fault
from pipeline.lab.gateway.messages import Head, encoded
from pipeline.lab.gateway.outgoing import MODERN_HEADERS, HeaderStyle
from pipeline.lab.gateway.pages import NginxPages
from pipeline.lab.gateway.routing import Routes
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.store import Store
from pipeline.lab.gateway.targets import TARGET_ENTITIES, TargetStyle


@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    """An answer for which no entity is looked at; `server` replaces Kong's own word."""

    status: int
    headers: tuple[tuple[str, str], ...]
    server: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityStyle:
    """What happens to entities.

    `bad_name` answers to a URL's segment that cannot be a name. A POST may choose the id, a body may set
    `created_at`, a reference may be by name, one entity and a list below a parent are shown with their nulls,
    and a PATCH of what is not there is refused for a null before it is a 404: each is a habit that a version
    has or has not.
    """

    bad_name: Callable[[str], Fault]
    chooses_id: bool = True
    keeps_created_at: bool = True
    resolves_names: bool = True
    shows_nulls: bool = True
    checks_nulls_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminStyle:
    """The Admin port: nginx's pages, a fault's body, what CORS and OPTIONS answer.

    `quick` answers by the method alone, given those that the URL has; `encode` makes JSON.
    """

    nginx: NginxPages
    fault_body: Callable[[Fault], Entity]
    quick: Callable[[str, tuple[str, ...]], Quick | None]
    entities: EntityStyle
    echoes_origin: bool = False
    encode: Callable[[Entity], bytes] = encoded
    reads_multipart: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyStyle:
    """The proxy port: its words and pages, and what it does to paths and headers.

    `say` gives content type and body for what Kong itself answers. `routing` finds the routes of a store. `strict`
    refuses spaces in targets and hosts. `chunked` pages have no length, and name the server.
    """

    no_route: str
    errors: ErrorPages
    say: Callable[[str, Head], tuple[str, bytes]]
    routing: Callable[[Store, TargetStyle], Routes]
    targets: TargetStyle = TARGET_ENTITIES
    headers: HeaderStyle = MODERN_HEADERS
    strict: bool = False
    chunked: bool = False
