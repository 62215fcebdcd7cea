"""Writing an api or a plugin to a Kong with the legacy /apis (gateways.base.Restorer)."""

from __future__ import annotations

from pipeline.errors import GatewayAnswered
from pipeline.gateways.kong.apis_entities import legacy_entity
from pipeline.gateways.kong.client import Fields
from pipeline.gateways.kong.restorer import KongRestorer, whole_body
from pipeline.model.route import Entity


class ApisRestorer(KongRestorer):
    """As KongRestorer, where an entity is written at its collection, with its id in its body."""

    def require_writable(self) -> None:
        """As Restorer.require_writable."""
        self._admin.require_uris()

    def _put(self, entity: Entity) -> None:
        """A PUT replaces what is there under the id and is 404 for what is not (0.14.1): that a POST makes."""
        body = {**whole_body(entity), "id": entity.id}
        try:
            self._admin.write("PUT", (entity.kind,), body)
        except GatewayAnswered as error:
            if error.status != 404:
                raise
            self._admin.write("POST", (entity.kind,), body)

    def _stored(self, kind: str, found: Fields) -> Entity:
        return legacy_entity(kind, found)
