"""Watching one stack come up: what the server's events tell, with a look now and then; looks alone when there are none.

A flow asks a few times a second. Each answer from here costs no request, but for one look every 15 s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from pipeline.edge.rancher_client import RancherClient
from pipeline.edge.rancher_stream import EventStream, StreamEnded
from pipeline.model.clock import Clock
from pipeline.model.rancher import ContainerRow, ServiceRow

_LOOK_SECONDS = 15.0
_FIRST_POLL_SECONDS = 1.0
_LONGEST_POLL_SECONDS = 5.0
_REOPEN_SECONDS = 30.0

Row = TypeVar("Row", ServiceRow, ContainerRow)


class _Content(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()


class _Event(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_type: str | None = None
    data: _Content | None = None


class Watch:
    """The services and containers of one stack, kept true by events until it is closed."""

    def __init__(self, client: RancherClient, stack_id: str, clock: Clock) -> None:
        self.stack_id = stack_id
        self._client = client
        self._clock = clock
        self._stream: EventStream | None = None
        self._services: dict[str, ServiceRow] = {}
        self._containers: dict[str, ContainerRow] = {}
        self._look_at = 0.0
        self._open_at = 0.0
        self._pause = _FIRST_POLL_SECONDS

    def current(self) -> tuple[tuple[ServiceRow, ...], tuple[ContainerRow, ...]]:
        """What there is now, as far as the server has told."""
        self._open()
        self._hear()
        if self._clock.monotonic() >= self._look_at:
            self._look()
        return tuple(self._services.values()), tuple(self._containers.values())

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> None:
        """Before the first look, so that nothing is missed between the two."""
        if self._stream is not None or self._clock.monotonic() < self._open_at:
            return
        try:
            self._stream = EventStream(self._client)
            self._look_at = 0.0
        except StreamEnded:
            self._open_at = self._clock.monotonic() + _REOPEN_SECONDS

    def _hear(self) -> None:
        if self._stream is None:
            return
        try:
            frames = self._stream.waiting()
        except StreamEnded:
            self.close()
            self._look_at = 0.0
            return
        for frame in frames:
            try:
                event = msgspec.json.decode(frame, type=_Event)
            except msgspec.DecodeError:
                continue
            if event.name == "resource.change" and event.data is not None:
                self._take(event.resource_type or "", event.data.resource)

    def _take(self, kind: str, resource: msgspec.Raw) -> None:
        """Events are whole resources; what the server coalesces is the newest of them."""
        try:
            if kind.lower().endswith("service"):
                self._put(self._services, msgspec.json.decode(resource, type=ServiceRow))
            elif kind in ("container", "instance"):
                self._put(self._containers, msgspec.json.decode(resource, type=ContainerRow))
        except msgspec.DecodeError:
            self._look_at = 0.0

    def _put(self, rows: dict[str, Row], row: Row) -> None:
        if row.stack_id == self.stack_id:
            rows[row.id] = row

    def _look(self) -> None:
        self._services = _by_id(self._client.every("services", ServiceRow, stackId=self.stack_id))
        self._containers = _by_id(self._client.every("containers", ContainerRow, stackId=self.stack_id))
        if self._stream is None:
            self._look_at = self._clock.monotonic() + self._pause
            self._pause = min(self._pause * 1.5, _LONGEST_POLL_SECONDS)
        else:
            self._look_at = self._clock.monotonic() + _LOOK_SECONDS


def _by_id(rows: Iterable[Row]) -> dict[str, Row]:
    return {row.id: row for row in rows}
