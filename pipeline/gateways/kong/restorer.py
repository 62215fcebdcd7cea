"""Writing an entity of any kind to a Kong, whole, in part or back as it was (gateways.base.Restorer)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from pipeline.errors import GatewayAnswered, PipelineError, Unreachable
from pipeline.gateways.kong.client import AdminClient, Fields
from pipeline.gateways.kong.stored import to_entity
from pipeline.gateways.kong.writes import unclear
from pipeline.model.kinds import kind_of
from pipeline.model.restoration import Act, Difference, Step, differences
from pipeline.model.route import Entity

_ALREADY = (400, 409)


class KongRestorer:
    """Restores by one Admin API. A PUT names every field and the time of creation, or it would reset them."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin

    def require_writable(self) -> None:
        """As Restorer.require_writable."""
        self._admin.require_writable()

    def write(self, step: Step) -> None:
        """As Restorer.write."""
        self._surely(lambda: self._send(step), lambda: self.holds(step))

    def undo(self, step: Step) -> None:
        """As Restorer.undo."""
        reverse = _reversed(step)
        self._surely(lambda: self._send(reverse), lambda: self.holds(reverse))

    def holds(self, step: Step) -> bool:
        """As Restorer.holds."""
        entity = step.entity
        found = self._admin.find(*_item(entity))
        if step.act is Act.DELETE or found is None:
            return (found is None) is (step.act is Act.DELETE)
        if kind_of(entity.kind).membership:
            return True
        # A newer server shows fields that the file does not know.
        return not differences(structs.replace(entity, partial=True), self._stored(entity.kind, found))

    def _stored(self, kind: str, found: Fields) -> Entity:
        """What the server shows, as a dump would hold it."""
        return to_entity(kind_of(kind), dict(found))

    def _surely(self, send: Callable[[], None], holds: Callable[[], bool]) -> None:
        try:
            send()
        except (Unreachable, GatewayAnswered) as error:
            if not unclear(error):
                raise
            if not holds():
                self._again(send, holds)

    def _again(self, send: Callable[[], None], holds: Callable[[], bool]) -> None:
        try:
            send()
        except PipelineError as error:
            if not unclear(error) or not holds():
                raise

    def _send(self, step: Step) -> None:
        entity = step.entity
        if step.act is Act.DELETE:
            self._delete(entity)
        elif step.act is Act.CHANGE and not step.whole:
            changed = {one.field: one.after for one in step.differences}
            self._admin.write("PATCH", _item(entity), changed)
        elif kind_of(entity.kind).creates_by_post:
            self._post(entity)
        else:
            self._put(entity)

    def _put(self, entity: Entity) -> None:
        """Makes it all that it is to be, whether it is there or not."""
        self._admin.write("PUT", _item(entity), whole_body(entity))

    def _post(self, entity: Entity) -> None:
        """Creates what no PUT creates; one that is there already is changed."""
        kind = kind_of(entity.kind)
        collection = _item(entity)[:-1]
        if kind.membership:
            try:
                self._admin.write("POST", collection, {"consumer": _reference(entity, "consumer")})
            except GatewayAnswered as error:
                if error.status != 409:
                    raise
            return
        body = {**whole_body(entity), "id": entity.id}
        try:
            self._admin.write("POST", _plain_collection(entity), body)
        except GatewayAnswered as error:
            if error.status not in _ALREADY or self._admin.find(*_item(entity)) is None:
                raise
            self._admin.write("PATCH", _item(entity), body)

    def _delete(self, entity: Entity) -> None:
        try:
            self._admin.write("DELETE", _item(entity))
        except GatewayAnswered as error:
            # What stands below another entity: 404 when it is not there (Kong 2.8).
            if error.status != 404:
                raise


def _reversed(step: Step) -> Step:
    """The step that makes an entity what it was."""
    if step.before is None:
        return Step(act=Act.DELETE, entity=step.entity, reason=step.reason)
    if step.act is Act.DELETE:
        return Step(act=Act.CREATE, entity=step.before)
    back = tuple(Difference(field=one.field, before=one.after, after=one.before) for one in step.differences)
    # A hash that is written is hashed again: only what was changed is written back.
    whole = not (kind_of(step.entity.kind).hashed or kind_of(step.entity.kind).creates_by_post)
    return Step(
        act=Act.CHANGE,
        entity=structs.replace(step.before, partial=not whole),
        before=step.entity,
        differences=back,
        whole=whole,
    )


def _item(entity: Entity) -> tuple[str, ...]:
    """The words of an entity's own address."""
    kind = kind_of(entity.kind)
    if not kind.parent:
        return (entity.kind, entity.id)
    key = _reference(entity, "consumer") if kind.membership else entity.id
    return (*_plain_collection(entity), key)


def _plain_collection(entity: Entity) -> tuple[str, ...]:
    kind = kind_of(entity.kind)
    return (kind.references[kind.parent], _reference(entity, kind.parent), kind.listing[0])


def _reference(entity: Entity, field: str) -> str:
    value = entity.body.get(field)
    return str(value.get("id")) if isinstance(value, Mapping) else ""


def whole_body(entity: Entity) -> dict[str, Any]:
    """All fields that are written, with its own time of creation."""
    times = {"created_at": entity.created_at} if entity.created_at else {}
    return {**entity.body, **times}
