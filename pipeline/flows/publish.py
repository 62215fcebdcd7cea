"""publish: a uri is made to lead to an upstream, whoever made its route. The first pipeline's `carl update_api`."""

from __future__ import annotations

from pipeline.gateways.base import GatewayByUri
from pipeline.model.plan import Change, Verb
from pipeline.model.uri_route import UriRoute


def publish(wanted: UriRoute, gateway: GatewayByUri) -> tuple[Change, ...]:
    """The changes that were written; none when the uri led there already, as on a second call. Raises Refused when
    something else would move, and what writing raises: then all is as before, or the error says what is not."""
    changes = gateway.plan_uri(wanted)
    gateway.apply(changes)
    return changes


def words(wanted: UriRoute, changes: tuple[Change, ...]) -> str:
    """What was done, in one line."""
    if not changes:
        return f"unchanged: {wanted.uri} goes to {wanted.upstream}"
    created = any(change.verb is Verb.CREATE for change in changes)
    done = "; ".join(str(change) for change in changes)
    return f"{'created' if created else 'updated'}: {wanted.uri} goes to {wanted.upstream} ({done})"
