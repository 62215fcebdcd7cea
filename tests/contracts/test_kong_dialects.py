"""Which dialect a Kong is spoken to in: its answers decide, unless the setting does, and pay no request for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from urllib.request import Request, urlopen

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.errors import Failed, Refused
from pipeline.flows.register import plan_registration
from pipeline.gateways.kong.any_kong import AnyKong
from pipeline.lab.gateway.running import running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.dialect import Dialect
from pipeline.model.plan import kept
from pipeline.model.route import Route, WantedPlugin
from tests.contracts.legacy_kong import LegacyKong, legacy_kong
from tests.contracts.test_gateways_faults import Way
from tests.contracts.test_gateways_recorded import Answer, Replay, replay

__all__ = ["replay"]

WANTED = Route(
    service="cities",
    environment="local",
    stack="cities-master-0a1b2c3d",
    uri="/ws/cities",
    upstream="http://proxy.cities-master-0a1b2c3d",
    plugins=(WantedPlugin(name="rate-limiting", config={"minute": 5}),),
)


@pytest.fixture
def modern(tmp_path: Path) -> Iterator[Way]:
    with running_gateway(state=tmp_path / "gateway") as lab:
        way = Way(int(lab.admin_url.rpartition(":")[2]))
        thread = Thread(target=way.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        gateway = opened(lab.admin_url)
        gateway.apply(gateway.plan(WANTED))
        gateway.close()
        yield way
        way.shutdown()
        way.server_close()
        thread.join()


@pytest.fixture
def legacy(tmp_path: Path) -> Iterator[LegacyKong]:
    with legacy_kong(tmp_path) as server:
        yield server


def opened(url: str, dialect: Dialect | None = None) -> AnyKong:
    return AnyKong(GatewayAddress(admin=url), clock=SystemClock(), environment="local", dialect=dialect)


def test_nothing_to_do_takes_three_requests_on_services_and_routes(modern: Way) -> None:
    gateway = opened(modern.url)

    plan = plan_registration(WANTED, gateway)
    gateway.close()

    assert plan.changes == ()
    assert modern.asked == [
        "GET /services/cities",
        "GET /services/cities/routes?size=1000",
        "GET /services/cities/plugins?size=1000",
    ]


def test_a_plugin_by_hand_on_the_route_is_named_when_something_is_written(modern: Way) -> None:
    body = b'{"name": "key-auth"}'
    asked = Request(f"{modern.url}/routes/cities/plugins", body, {"Content-Type": "application/json"})
    urlopen(asked).close()
    gateway = opened(modern.url)

    steps = gateway.plan(replace(WANTED, stack="cities-master-22222222"))
    gateway.close()

    assert [str(step) for step in kept(steps)] == ["keep plugins key-auth: added by hand to the route: it stays"]


def test_a_modern_kong_says_why_it_is_spoken_to_by_services(modern: Way) -> None:
    gateway = opened(modern.url)

    identity = gateway.identity()
    gateway.close()

    assert (identity.dialect, identity.because) == (Dialect.SERVICES, "a Kong 2.8.5 has no /apis")


def test_a_kong_that_carries_the_service_as_an_api_goes_on_so(legacy: LegacyKong) -> None:
    legacy.add("apis", name="cities", uris=["/ws/cities"], upstream_url="http://h")
    gateway = opened(legacy.url)

    gateway.plan(WANTED)
    identity = gateway.identity()
    gateway.close()

    assert (identity.dialect, identity.because) == (Dialect.APIS, "it has the api cities")


def test_the_setting_wins_over_the_answers(legacy: LegacyKong) -> None:
    gateway = opened(legacy.url, Dialect.SERVICES)

    assert (gateway.identity().dialect, gateway.identity().because) == (
        Dialect.SERVICES,
        "gateway.dialect says so",
    )
    with pytest.raises(Refused, match="its routes have no names and no tags") as caught:
        gateway.plan(WANTED)
    gateway.close()

    assert "gateway.dialect" in caught.value.hint


def test_a_kong_without_apis_that_is_forced_to_them_is_told(modern: Way) -> None:
    gateway = opened(modern.url, Dialect.APIS)

    with pytest.raises(Failed, match="has no /apis") as caught:
        gateway.routes()
    gateway.close()

    assert "gateway.dialect" in caught.value.hint


def test_a_kong_1_0_is_refused(replay: Replay) -> None:
    replay.answers["GET /"] = Answer(body={"version": "1.0.3"})
    gateway = opened(replay.url)

    with pytest.raises(Refused, match=r"is 1\.0\.3: its routes have no names and no tags"):
        gateway.plan(WANTED)
    gateway.close()


def test_a_kong_without_a_database_is_refused_with_what_to_do(replay: Replay) -> None:
    replay.answers["GET /"] = Answer(body={"version": "3.4.2", "configuration": {"database": "off"}})
    gateway = opened(replay.url)

    with pytest.raises(Refused, match="runs without a database") as caught:
        gateway.plan(WANTED)
    gateway.close()

    assert "declarative" in caught.value.hint
