"""The contract of gateways.base.Custody, on memory and on the lab's Kongs of both dialects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.errors import Refused
from pipeline.flows.register import plan_registration
from pipeline.gateways.base import Custody, Gateway
from pipeline.gateways.kong.any_kong import AnyKong
from pipeline.gateways.memory import MemoryGateway
from pipeline.gateways.memory_custody import MemoryCustody
from pipeline.lab.gateway.running import running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.plan import Verb
from pipeline.model.route import FoundUpstream, Owner
from tests.contracts.test_gateways import make, send, wanted

OLD = "http://proxy.cities-master-00000001:80"
OWNER = Owner(environment="local", service="cities", stack="cities-master-00000001")


@dataclass(frozen=True)
class Kept:
    gateway: Gateway
    custody: Custody
    url: str = ""
    legacy: bool = False

    def add_foreign(self, name: str, path: str, upstream: str) -> None:
        if isinstance(self.gateway, MemoryGateway):
            self.gateway.add_foreign(name, path, upstream)
        elif self.legacy:
            send(self.url, "POST", "/apis", {"name": name, "uris": [path], "upstream_url": upstream})
        else:
            send(self.url, "PUT", f"/services/{name}", {"url": upstream, "tags": ["team-a"]})
            send(self.url, "PUT", f"/services/{name}/routes/{name}", {"paths": [path]})

    def route(self, name: str):  # type: ignore[no-untyped-def]
        return next(one for one in self.gateway.routes() if one.name == name)


@pytest.fixture(params=["memory", "2.8", "3.4", "0.14"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "memory":
        gateway = MemoryGateway()
        yield Kept(gateway, MemoryCustody(gateway, (FoundUpstream(name="group", targets=("proxy.a-1:80",)),)))
        return
    with running_gateway(state=tmp_path / "gateway", version=request.param) as lab:
        opened = AnyKong(GatewayAddress(admin=lab.admin_url), clock=SystemClock(), environment="local")
        send(lab.admin_url, "POST", "/upstreams", {"name": "group"})
        send(lab.admin_url, "POST", "/upstreams/group/targets", {"target": "proxy.a-1:80"})
        send(lab.admin_url, "POST", "/upstreams", {"name": "unused"})
        yield Kept(opened, opened.custody, lab.admin_url, request.param == "0.14")
        opened.close()


def test_an_untagged_route_becomes_the_services_and_no_traffic_moves(kept: Kept) -> None:
    kept.add_foreign("ws.cities", "/ws/cities", OLD)

    changes = kept.custody.plan_adoption(kept.route("ws.cities"), OWNER)
    kept.gateway.apply(changes)

    (route,) = kept.gateway.routes()
    assert (route.name, route.paths, route.upstream.removesuffix(":80")) == (
        "cities",
        ("/ws/cities",),
        OLD.removesuffix(":80"),
    )
    assert route.owner == OWNER
    assert kept.custody.plan_adoption(route, OWNER) == ()


def test_what_was_taken_over_is_switched_by_the_next_registration(kept: Kept) -> None:
    kept.add_foreign("ws.cities", "/ws/cities", OLD)
    with pytest.raises(Refused, match="belongs to someone else"):
        plan_registration(wanted(), kept.gateway)

    kept.gateway.apply(kept.custody.plan_adoption(kept.route("ws.cities"), OWNER))
    plan = plan_registration(wanted(), kept.gateway)

    assert {change.verb for change in plan.changes} == {Verb.UPDATE}
    kept.gateway.apply(plan.changes)
    (route,) = kept.gateway.routes()
    assert route.owner.stack == wanted().stack


def test_an_adoption_can_be_put_back(kept: Kept) -> None:
    kept.add_foreign("ws.cities", "/ws/cities", OLD)
    before = kept.gateway.dump().entities

    changes = kept.custody.plan_adoption(kept.route("ws.cities"), OWNER)
    kept.gateway.apply(changes)
    kept.gateway.revert(changes)

    assert kept.gateway.dump().entities == before


def test_a_name_that_somebody_else_has_is_refused(kept: Kept) -> None:
    kept.add_foreign("ws.cities", "/ws/cities", OLD)
    kept.add_foreign("cities", "/elsewhere", "http://old.example.com")

    with pytest.raises(Refused, match="'cities'"):
        kept.custody.plan_adoption(kept.route("ws.cities"), OWNER)


def test_a_route_is_removed_with_what_only_it_leads_through_and_others_stay(kept: Kept) -> None:
    kept.add_foreign("legacy", "/legacy", "http://old.example.com")
    make(kept.gateway, wanted())

    kept.gateway.apply(kept.custody.plan_removal(kept.route("cities")))

    assert [route.name for route in kept.gateway.routes()] == ["legacy"]
    named = [one.name for one in kept.gateway.dump().entities if one.kind in ("services", "routes", "apis")]
    assert set(named) == {"legacy"}


def test_a_removal_can_be_put_back_and_done_again(kept: Kept) -> None:
    make(kept.gateway, wanted())
    route = kept.route("cities")
    changes = kept.custody.plan_removal(route)

    kept.gateway.apply(changes)
    kept.gateway.revert(changes)
    assert kept.route("cities").upstream == route.upstream
    kept.gateway.apply(changes)
    kept.gateway.apply(changes)

    assert kept.gateway.routes() == ()


def test_of_names_that_stand_for_several_targets_those_asked_for_are_listed(kept: Kept) -> None:
    assert kept.custody.upstreams({"group", "nobody"}) == (FoundUpstream(name="group", targets=("proxy.a-1:80",)),)
    assert kept.custody.upstreams(()) == ()


def test_a_service_with_other_routes_does_not_change_hands(tmp_path: Path) -> None:
    with running_gateway(state=tmp_path / "gateway") as lab:
        opened = AnyKong(GatewayAddress(admin=lab.admin_url), clock=SystemClock(), environment="local")
        send(lab.admin_url, "PUT", "/services/shared", {"url": OLD})
        for name in ("one", "two"):
            send(lab.admin_url, "PUT", f"/services/shared/routes/{name}", {"paths": [f"/{name}"]})
        kept = Kept(opened, opened.custody, lab.admin_url)

        with pytest.raises(Refused, match="shared has routes beside 'one', which would change hands"):
            kept.custody.plan_adoption(kept.route("one"), OWNER)
        kept.gateway.apply(kept.custody.plan_removal(kept.route("one")))

        assert [route.name for route in kept.gateway.routes()] == ["two"]
        opened.close()
