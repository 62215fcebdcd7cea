"""What one version of Kong is: its schemas, its pages, and its habits on both ports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.lab.gateway.legacy_schema import LegacyType
from pipeline.lab.gateway.lists import ListStyle
from pipeline.lab.gateway.schema import Schema
from pipeline.lab.gateway.styles import AdminStyle, ProxyStyle


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A version. `pages` are the URLs that are not entities: pattern (`*` is an argument) → methods.

    `legacy` are the types of the old data layer, which have an API of their own. `available` makes what `GET /` says
    of a plugin, `configuration` is what it says of the settings, `about` what it says besides.
    """

    version: str
    schemas: Mapping[str, Schema]
    pages: Mapping[tuple[str, ...], tuple[str, ...]]
    lists: ListStyle
    admin: AdminStyle
    proxy: ProxyStyle
    available: Callable[[str], Any]
    configuration: Mapping[str, Any]
    legacy: Mapping[str, LegacyType] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """The Server and Via headers' word."""
        return f"kong/{self.version}"


def by_name(*tables: Iterable[Schema]) -> dict[str, Schema]:
    """Schemas from several tables, by their names."""
    return {schema.name: schema for table in tables for schema in table}
