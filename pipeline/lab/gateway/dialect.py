"""What one version of Kong is: its schemas, its pages and the words in its headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.lab.gateway import tables, tables_certificates, tables_consumers, tables_plugins, tables_upstreams
from pipeline.lab.gateway.resources import LIST_METHODS, PAGE_METHODS
from pipeline.lab.gateway.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A version. `pages` are the URLs that are not entities: pattern (`*` is an argument) → methods."""

    version: str
    schemas: Mapping[str, Schema]
    pages: Mapping[tuple[str, ...], tuple[str, ...]]

    @property
    def server(self) -> str:
        """The Server and Via headers' word."""
        return f"kong/{self.version}"


_VALIDATE_METHODS = ("OPTIONS", "POST")
_PAGES = {
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
    ("clustering", "status"): PAGE_METHODS,
    ("clustering", "data-planes"): PAGE_METHODS,
    ("config",): PAGE_METHODS,
}

_TABLES_2_8 = (
    *tables.TABLES,
    *tables_upstreams.TABLES,
    *tables_consumers.TABLES,
    *tables_plugins.TABLES,
    *tables_certificates.TABLES,
)

KONG_2_8 = Dialect(
    version="2.8.5",
    schemas={schema.name: schema for schema in _TABLES_2_8},
    pages=_PAGES,
)
