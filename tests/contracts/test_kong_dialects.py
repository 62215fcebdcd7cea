"""Which dialect a Kong is spoken to in: its answers decide, unless the setting does, and pay no request for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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

WANTED = Route(
    service="cities",
    environment="local",
    stack="cities-master-0a1b2c3d",
    uri="/ws/cities",
    upstream="http://proxy.cities-master-0a1b2c3d",
    plugins=(WantedPlugin(name="rate-limiting", config={"minute": 5}),),
)


class Counting(ThreadingHTTPServer):
    """Passes requests on to an Admin API and writes them down."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Counting

    def reply(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        content = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
        headers = {"Content-Type": "application/json"} if content else {}
        asked = Request(self.server.target + self.path, content, headers, method=self.command)
        with urlopen(asked) as answer:
            body = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_PATCH = do_POST = reply

    def log_message(self, format: str, *words: object) -> None:
        """Says nothing."""


@pytest.fixture
def modern(tmp_path: Path) -> Iterator[Counting]:
    with running_gateway(state=tmp_path / "gateway") as lab:
        server = Counting(lab.admin_url)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        gateway = opened(lab.admin_url)
        gateway.apply(gateway.plan(WANTED))
        gateway.close()
        yield server
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def legacy() -> Iterator[LegacyKong]:
    with legacy_kong() as server:
        yield server


def opened(url: str, dialect: Dialect | None = None) -> AnyKong:
    return AnyKong(GatewayAddress(admin=url), clock=SystemClock(), environment="local", dialect=dialect)


def test_nothing_to_do_takes_three_requests_on_services_and_routes(modern: Counting) -> None:
    gateway = opened(modern.url)

    plan = plan_registration(WANTED, gateway)
    gateway.close()

    assert plan.changes == ()
    assert modern.requests == [
        "GET /services/cities",
        "GET /services/cities/routes?size=1000",
        "GET /services/cities/plugins?size=1000",
    ]


def test_a_plugin_by_hand_on_the_route_is_named_when_something_is_written(modern: Counting) -> None:
    body = b'{"name": "key-auth"}'
    asked = Request(f"{modern.target}/routes/cities/plugins", body, {"Content-Type": "application/json"})
    urlopen(asked).close()
    gateway = opened(modern.target)

    steps = gateway.plan(replace(WANTED, stack="cities-master-22222222"))
    gateway.close()

    assert [str(step) for step in kept(steps)] == ["keep plugins key-auth: added by hand to the route: it stays"]


def test_a_modern_kong_says_why_it_is_spoken_to_by_services(modern: Counting) -> None:
    gateway = opened(modern.target)

    identity = gateway.identity()
    gateway.close()

    assert (identity.dialect, identity.because) == (Dialect.SERVICES, "a Kong 2.8.5 has no /apis")


def test_a_kong_that_carries_the_service_as_an_api_goes_on_so(legacy: LegacyKong) -> None:
    legacy.answer("POST", ["apis"], {}, {"name": "cities", "uris": ["/ws/cities"], "upstream_url": "http://h"})
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


def test_a_kong_without_apis_that_is_forced_to_them_is_told(modern: Counting) -> None:
    gateway = opened(modern.target, Dialect.APIS)

    with pytest.raises(Failed, match="has no /apis") as caught:
        gateway.routes()
    gateway.close()

    assert "gateway.dialect" in caught.value.hint


def test_a_kong_1_0_is_refused(legacy: LegacyKong) -> None:
    legacy.version = "1.0.3"
    legacy.tables.clear()
    gateway = opened(legacy.url)

    with pytest.raises(Refused, match=r"is 1\.0\.3: its routes have no names and no tags"):
        gateway.plan(WANTED)
    gateway.close()


def test_a_kong_without_a_database_is_refused_with_what_to_do(legacy: LegacyKong) -> None:
    legacy.version, legacy.database = "3.4.2", "off"
    legacy.tables.clear()
    gateway = opened(legacy.url)

    with pytest.raises(Refused, match="runs without a database") as caught:
        gateway.plan(WANTED)
    gateway.close()

    assert "declarative" in caught.value.hint
