"""What differs between versions apart from their schemas: the habits of the Admin port and of the proxy port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.lab.gateway.error_pages import ErrorPages
from pipeline.lab.gateway.faults import Fault
from pipeline.lab.gateway.messages import Head
from pipeline.lab.gateway.pages import NginxPages
from pipeline.lab.gateway.rule import PathReader
from pipeline.lab.gateway.schema import Entity


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminStyle:
    """The Admin port: nginx's pages, a fault's body, what CORS and OPTIONS answer."""

    nginx: NginxPages
    fault_body: Callable[[Fault], Entity]
    echoes_origin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyStyle:
    """The proxy port: its words and pages, and what it does to paths and headers.

    `say` gives content type and body for what Kong itself answers. `path_of` reads a route's path.
    `strict` refuses spaces in targets and hosts.
    """

    no_route: str
    errors: ErrorPages
    say: Callable[[str, Head], tuple[str, bytes]]
    path_of: PathReader
    strict: bool = False
