"""adopt: what evidence says is a service's gets its tags in the gateway, and a record on the platform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from pipeline.errors import Failed
from pipeline.flows.lease import Hold
from pipeline.gateways.base import Custody, Gateway
from pipeline.ledgers.base import Records
from pipeline.model.adoption import Claim
from pipeline.model.plan import writing
from pipeline.model.record import Record
from pipeline.model.route import FoundRoute, Owner, same_upstream, stack_of_upstream, tag_word


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What a taking over works with; `record` is what every record of it says."""

    gateway: Gateway
    custody: Custody
    records: Records
    record: Record
    hold: Hold
    tell: Callable[[str], None]


def adopt_one(claim: Claim, environment: str, hands: Adoption) -> None:
    """Route first, then the record: interrupted in between, the next run finds the stack still to be taken. Nothing is
    started, stopped or sent elsewhere. Raises Failed when the route was changed since it was looked at."""
    hands.hold.check()
    route = claim.route
    stack = claim.stack.name if claim.stack else stack_of_upstream(route.upstream) if route else ""
    if route is not None:
        _refuse_changed(route, hands.gateway)
        owner = Owner(environment=tag_word(environment), service=claim.service, stack=stack)
        changes = hands.custody.plan_adoption(route, owner)
        if writing(changes):
            hands.gateway.apply(changes)
    record = msgspec.structs.replace(
        hands.record,
        stack=stack,
        branch=claim.branch,
        version=claim.version,
        commit=claim.version,
        outcome="; ".join(claim.evidence),
        route_after=route.upstream if route else "",
        route=_recorded(route) if route else {},
    )
    hands.records.append(record)
    hands.tell(f"{stack} is {claim.service}'s from now on" + (f", with the route {route.label}" if route else ""))


def _recorded(route: FoundRoute) -> dict[str, object]:
    """What a registration of it would have recorded (model/drift.py)."""
    return {
        "uri": route.paths[0],
        "hosts": list(route.hosts),
        "methods": list(route.methods),
        "strip_uri": route.strip_uri,
        "preserve_host": route.preserve_host,
    }


def _refuse_changed(route: FoundRoute, gateway: Gateway) -> None:
    now = next((one for one in gateway.routes() if one.id == route.id), None)
    if now is None or not same_upstream(now.upstream, route.upstream) or now.paths != route.paths:
        raise Failed(f"the route {route.label} was changed while it was looked at", hint="Run `invoke adopt` again.")
