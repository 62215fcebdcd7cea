"""What a planned change is in each dialect of a Kong's Admin API: which method, at which path, with which fields."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.gateways.kong.writes import Request
from pipeline.model.plan import Change

PLUGINS = "plugins"


class ServicesWording:
    """Services and routes: PUT creates (a second one changes nothing), PATCH changes only fields of ours. A plugin is
    always written whole, because a PATCH leaves what its configuration no longer names."""

    def place(self, change: Change) -> tuple[str, ...]:
        return change.kind, change.id or change.key

    def create(self, change: Change, fields: Mapping[str, object]) -> Request:
        place = self.place(change)
        return Request(
            method="PUT", words=("services", change.parent, *place) if change.parent else place, fields=fields
        )

    def update(self, change: Change, fields: Mapping[str, object]) -> Request:
        return Request(method="PUT" if change.kind == PLUGINS else "PATCH", words=self.place(change), fields=fields)


class ApisWording:
    """The legacy /apis (Kong 0.10 – 0.14): only POST creates, and takes an id of ours (recorded on 0.14.1); PUT is on
    the collection alone and wants `created_at`, so PATCH changes an api. A plugin is written whole, as above."""

    def place(self, change: Change) -> tuple[str, ...]:
        return change.kind, change.id or change.key

    def create(self, change: Change, fields: Mapping[str, object]) -> Request:
        words = ("apis", change.parent, change.kind) if change.parent else (change.kind,)
        new_id = {"id": change.id} if change.id else {}
        return Request(method="POST", words=words, fields={"name": change.key, **new_id, **fields})

    def update(self, change: Change, fields: Mapping[str, object]) -> Request:
        if change.kind == PLUGINS:
            return Request(method="PUT", words=(PLUGINS,), fields={"name": change.key, "id": change.id, **fields})
        return Request(method="PATCH", words=self.place(change), fields=fields)
