"""register on real connections: the Kong driver, the lab gateway, its proxy and stacks that answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.edge.http import Access, HttpFront
from pipeline.errors import Failed
from pipeline.flows.register import CheckPolicy, plan_registration, register
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.lab.gateway.running import running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.manifest import Verify
from pipeline.model.registration import Outcome, Registration
from pipeline.model.route import Route

POLICY = CheckPolicy(answers=3, spread=0.2, deadline=1.5, silence=0.3, pause=0.05)
StartStack = Callable[[str], str]


class Stack(ThreadingHTTPServer):
    """Answers OPTIONS with its name, as the cities service does."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.name = name


class _Answers(BaseHTTPRequestHandler):
    server: Stack

    def do_OPTIONS(self) -> None:
        content = json.dumps({"stack": self.server.name, "host": self.headers["Host"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *words: object) -> None:
        """Says nothing."""


@pytest.fixture
def start_stack() -> Iterator[StartStack]:
    servers: list[tuple[Stack, threading.Thread]] = []

    def start(name: str) -> str:
        server = Stack(name)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Scene:
    """A gateway by its driver, and its proxy."""

    gateway: KongGateway
    front: HttpFront

    def register(self, wanted: Route, front: HttpFront | None = None, **options: object) -> Registration:
        return register(
            wanted,
            verify=Verify(),
            facts={"stack": wanted.stack},
            gateway=self.gateway,
            front=front or self.front,
            clock=SystemClock(),
            policy=POLICY,
            **options,  # type: ignore[arg-type]  # keywords pass through
        )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with running_gateway(state=tmp_path / "gateway") as lab:
        gateway = KongGateway(GatewayAddress(admin=lab.admin_url), clock=SystemClock())
        yield Scene(gateway, HttpFront(Access(url=lab.proxy_url), clock=SystemClock()))
        gateway.close()


def route(stack: str, upstream: str, *hosts: str) -> Route:
    return Route(
        service="cities", environment="local", stack=stack, uri="/ws/cities", upstream=upstream, hosts=tuple(hosts)
    )


def test_a_release_is_registered_switched_and_left_alone(scene: Scene, start_stack: StartStack) -> None:
    old, new = route("old", start_stack("old")), route("new", start_stack("new"))

    assert [scene.register(wanted).outcome for wanted in (old, new, new)] == [
        Outcome.CREATED,
        Outcome.SWITCHED,
        Outcome.UNCHANGED,
    ]


def test_a_plan_that_was_made_before_is_not_made_again(scene: Scene, start_stack: StartStack) -> None:
    wanted = route("old", start_stack("old"), "api.example.com")
    plan = plan_registration(wanted, scene.gateway)

    assert scene.register(wanted, plan=plan).changes == plan.changes


def test_a_stack_that_is_another_than_it_should_be_gets_no_traffic(scene: Scene, start_stack: StartStack) -> None:
    old = route("old", start_stack("old"))
    scene.register(old)

    with pytest.raises(Failed, match='expected status 200, stack = "new", was answered stack = "other"'):
        scene.register(route("new", start_stack("other")))

    assert scene.gateway.plan(old) == ()


def test_a_stack_that_is_not_there_gets_no_traffic(scene: Scene, start_stack: StartStack) -> None:
    with pytest.raises(Failed, match=r"was answered status 502: [^;]*; the new route was removed again"):
        scene.register(route("new", "http://127.0.0.1:9"))

    assert scene.gateway.dump().entities == ()


def test_a_proxy_that_is_not_there_leaves_the_switch_unverified(scene: Scene, start_stack: StartStack) -> None:
    nowhere = HttpFront(Access(url="http://127.0.0.1:9"), clock=SystemClock())
    wanted = route("new", start_stack("new"))

    done = scene.register(wanted, nowhere)

    assert "http://127.0.0.1:9/ws/cities does not answer: connection refused" in str(done.problem)
    assert scene.gateway.plan(wanted) == ()
