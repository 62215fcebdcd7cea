"""Records and leases: what a verb did, and who may do something now. Both are kept on the platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

RECORD_VERSION = 1


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing done to one service of one environment. `at` in seconds since 1970 by the platform's clock, `seconds`
    how long it took; `route` is what else a registered route says (model/drift.py), `definition` the stack's
    (Definition.text, secrets by name), for the way back."""

    schema_version: int = RECORD_VERSION
    verb: str
    service: str
    environment: str
    at: float = 0.0
    actor: str = ""
    stack: str = ""
    branch: str = ""
    commit: str = ""
    subject: str = ""
    author: str = ""
    version: str = ""
    images: dict[str, str] = {}
    outcome: str = ""
    route_before: str = ""
    route_after: str = ""
    route: dict[str, Any] = {}
    stack_before: str = ""
    version_before: str = ""
    seconds: float = 0.0
    pipeline_url: str = ""
    pipeline_iid: int = 0
    definition: str = ""
    sameness: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to change one service of one environment. `expires` by the platform's clock, `now` is that clock when
    the lease was read."""

    name: str
    token: str
    holder: str
    taken: float
    expires: float
    now: float

    @property
    def expired(self) -> bool:
        return self.now >= self.expires


def lease_name(environment: str, service: str) -> str:
    """No two environments share one: `_` is in none of their names."""
    return f"{environment.replace('/', '_')}.{service}"


def encode_record(record: Record) -> bytes:
    return msgspec.json.encode(record, order="deterministic")


def decode_record(text: bytes) -> Record:
    """The record in `text`; one from a newer toolkit keeps what this one knows of it. Raises ValueError for a text that
    is no record."""
    return msgspec.json.decode(text, type=Record)
