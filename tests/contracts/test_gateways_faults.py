"""What a Kong driver does when the way to the Admin API fails: old state or new state, never between, truly told."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.edge.json_api import Patience
from pipeline.errors import Failed, GatewayAnswered, PipelineError, Unreachable
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.gateways.kong.stored import to_entity
from pipeline.lab.gateway.running import running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.kinds import kind_of
from pipeline.model.plan import Change
from pipeline.model.route import Entity, Route

Fault = Callable[["Passage"], None]
PATIENCE = Patience(connect=1, read=0.4, total=2.5, tries=3, first_pause=0.01)
OLD, NEW = "cities-master-11111111", "cities-master-22222222"


class Passage(BaseHTTPRequestHandler):
    """Hands each request on to the gateway, but those that a fault is planned for."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Way

    def handle_request(self) -> None:
        fault = self.server.next_fault(self.command, self.path)
        self.content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault is not None:
            fault(self)
        else:
            self.answer(*self.forward())

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST = handle_request

    def forward(self) -> tuple[int, str, bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.target, timeout=10)
        headers = {"Content-Type": "application/json"} if self.content else {}
        connection.request(self.command, self.path, self.content or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers.get("Content-Type", ""), content

    def answer(self, status: int, kind: str, content: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), *headers):
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, format: str, *words: object) -> None:
        """Says nothing."""


class Way(ThreadingHTTPServer):
    """The way to the Admin API. Requests are counted from 0; `faults` are by number, or one for `always` from there."""

    daemon_threads = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), Passage)
        self.target = target
        self.asked: list[str] = []
        self.faults: dict[int, Fault] = {}
        self.always_from: tuple[int, Fault] | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            number = len(self.asked)
            self.asked.append(f"{method} {path}")
        if self.always_from and number >= self.always_from[0]:
            return self.always_from[1]
        return self.faults.get(number)

    def begin(self) -> None:
        self.asked.clear()
        self.faults.clear()
        self.always_from = None

    @property
    def writes(self) -> list[str]:
        return [asked for asked in self.asked if not asked.startswith("GET ")]

    def handle_error(self, request: object, address: object) -> None:
        """A connection that was reset on purpose is no news."""


def reset_before(passage: Passage) -> None:
    passage.reset()


def reset_after(passage: Passage) -> None:
    passage.forward()
    passage.reset()


def silent_before(passage: Passage) -> None:
    time.sleep(0.7)
    passage.close_connection = True


def silent_after(passage: Passage) -> None:
    passage.forward()
    silent_before(passage)


def says(status: int, *headers: tuple[str, str], after: bool = False) -> Fault:
    def say(passage: Passage) -> None:
        if after:
            passage.forward()
        passage.answer(status, "application/json", b'{"message":"said on the way"}', *headers)

    say.__name__ = f"says_{status}{'_after' if after else ''}{'_retry_after' if headers else ''}"
    return say


def truncated(passage: Passage) -> None:
    status, kind, content = passage.forward()
    passage.send_response(status)
    passage.send_header("Content-Type", kind)
    passage.send_header("Content-Length", str(len(content) + 10))
    passage.end_headers()
    passage.wfile.write(content[: len(content) // 2])
    passage.close_connection = True


def broken_json(passage: Passage) -> None:
    passage.forward()
    passage.answer(200, "application/json", b'{"id": ')


def html(passage: Passage) -> None:
    passage.answer(200, "text/html", b"<html>a captive portal</html>")


TRANSIENT: tuple[Fault, ...] = (
    reset_before,
    reset_after,
    silent_before,
    silent_after,
    truncated,
    says(429, ("Retry-After", "0")),
    says(429),
    says(502),
    says(502, after=True),
    says(503),
    says(504, after=True),
)
LASTING: tuple[Fault, ...] = (says(500), says(500, after=True), broken_json, html, says(400), says(403))


class Scene:
    """A lab gateway, a way to it that can fail, the driver that goes that way and one that goes straight."""

    def __init__(self, way: Way, straight: KongGateway) -> None:
        self.way = way
        self.straight = straight
        self.gateway = KongGateway(GatewayAddress(admin=way.url), clock=SystemClock(), patience=PATIENCE)

    def state(self, *kinds: str) -> tuple[Entity, ...]:
        """What Gateway.dump has, without the counts of what is not exported: many cases ask often."""
        admin = self.straight._admin
        listings = ((kind, admin.listing(kind) or ()) for kind in kinds or ("routes", "services"))
        return tuple(to_entity(kind_of(kind), dict(found)) for kind, listed in listings for found in listed)

    def empty(self) -> None:
        """Removes what is there, so that one gateway serves all cases."""
        self.way.begin()
        for entity in self.state():
            self.straight._admin.write("DELETE", (entity.kind, entity.id))

    def make(self, route: Route) -> tuple[Entity, ...]:
        self.straight.apply(self.straight.plan(route))
        return self.state()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running_gateway(state=tmp_path_factory.mktemp("lab") / "gateway") as lab:
        way = Way(int(lab.admin_url.rpartition(":")[2]))
        thread = threading.Thread(target=way.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        straight = KongGateway(GatewayAddress(admin=lab.admin_url), clock=SystemClock())
        scene = Scene(way, straight)
        yield scene
        scene.gateway.close()
        straight.close()
        way.shutdown()
        way.server_close()
        thread.join()


@pytest.fixture
def scene(opened: Scene) -> Iterator[Scene]:
    opened.empty()
    yield opened
    opened.gateway.close()
    opened.empty()


def route(stack: str, **fields: object) -> Route:
    wanted = Route(
        service="cities", environment="local", stack=stack, uri="/ws/cities", upstream=f"http://proxy.{stack}"
    )
    return replace(wanted, **fields)  # type: ignore[arg-type]  # the fields of Route


def test_the_decision_that_nothing_differs_takes_three_requests_at_most_and_no_write(scene: Scene) -> None:
    scene.make(route(OLD))

    assert scene.gateway.plan(route(OLD)) == ()

    assert len(scene.way.asked) <= 3
    assert scene.way.writes == []


def test_the_switch_is_one_patch(scene: Scene) -> None:
    scene.make(route(OLD))

    scene.gateway.apply(scene.gateway.plan(route(NEW)))

    (write,) = scene.way.writes
    assert write.startswith("PATCH /services/")


def test_a_new_route_is_two_puts(scene: Scene) -> None:
    scene.gateway.apply(scene.gateway.plan(route(NEW)))

    assert scene.way.writes == ["PUT /services/cities", "PUT /services/cities/routes/cities"]


@pytest.mark.parametrize("write", [0, 1])
@pytest.mark.parametrize("new", [True, False], ids=["created", "updated"])
@pytest.mark.parametrize("fault", TRANSIENT, ids=lambda fault: fault.__name__)
def test_a_fault_that_passes_is_overcome(fault: Fault, new: bool, write: int, scene: Scene) -> None:
    before = scene.state() if new else scene.make(route(OLD))
    wanted = route(NEW, hosts=("a.example.com",))
    changes = scene.gateway.plan(wanted)
    assert len(changes) == 2
    scene.way.begin()
    scene.way.faults = {write: fault}

    scene.gateway.apply(changes)

    assert scene.gateway.plan(wanted) == ()
    scene.gateway.revert(changes)
    assert scene.state() == before


@pytest.mark.parametrize("write", [0, 1])
@pytest.mark.parametrize("new", [True, False], ids=["created", "updated"])
@pytest.mark.parametrize("fault", LASTING, ids=lambda fault: fault.__name__)
def test_a_refusal_or_an_unreadable_answer_leaves_old_or_new_state(
    fault: Fault, new: bool, write: int, scene: Scene
) -> None:
    before = scene.state() if new else scene.make(route(OLD))
    wanted = route(NEW, hosts=("a.example.com",))
    changes = scene.gateway.plan(wanted)
    scene.way.begin()
    scene.way.faults = {write: fault}

    error = _error_of(scene, changes)

    if error is None:
        assert scene.gateway.plan(wanted) == ()
        return
    assert isinstance(error, GatewayAnswered)
    assert error.exit_code == 1
    assert scene.state() == before, error
    assert "could not be put back" not in str(error)


@pytest.mark.parametrize("from_write", [0, 1])
@pytest.mark.parametrize("fault", [reset_before, reset_after, silent_before], ids=lambda fault: fault.__name__)
def test_a_way_that_stays_broken_is_told_truthfully(fault: Fault, from_write: int, scene: Scene) -> None:
    before = scene.make(route(OLD))
    changes = scene.gateway.plan(route(NEW, hosts=("a.example.com",)))
    scene.way.begin()
    scene.way.always_from = (from_write, fault)

    with pytest.raises((Failed, Unreachable)) as caught:
        scene.gateway.apply(changes)

    told = str(caught.value).partition("could not be put back: ")[2]
    changed = [entity for entity in scene.state() if entity not in before]
    assert all(f"{entity.kind} cities" in told for entity in changed)


def test_a_refused_write_carries_the_gateways_own_words(scene: Scene) -> None:
    before = scene.make(route(OLD))

    with pytest.raises(GatewayAnswered) as caught:
        scene.gateway.apply(scene.gateway.plan(route(NEW, hosts=("no host",))))

    assert caught.value.status == 400
    assert isinstance(caught.value.body, dict)
    assert "hosts" in caught.value.body["fields"]
    assert "routes cities could not be written: PATCH" in str(caught.value)
    assert "nothing was changed" in str(caught.value)
    assert scene.state() == before


def test_a_new_service_whose_route_is_refused_is_removed_again(scene: Scene) -> None:
    with pytest.raises(GatewayAnswered, match="put back as before: services cities"):
        scene.gateway.apply(scene.gateway.plan(route(NEW, hosts=("no host",))))

    assert scene.state() == ()


@pytest.mark.parametrize("write", [0, 1])
@pytest.mark.parametrize("new", [True, False], ids=["created", "updated"])
def test_ctrl_c_in_the_middle_of_a_write_leaves_the_old_state(new: bool, write: int, scene: Scene) -> None:
    before = scene.state() if new else scene.make(route(OLD))
    changes = scene.gateway.plan(route(NEW, hosts=("a.example.com",)))
    sends, send = [], scene.gateway._admin.write

    def interrupted(method: str, words: tuple[str, ...], fields: object = None) -> object:
        sends.append(method)
        result = send(method, words, fields)  # type: ignore[arg-type]  # handed through
        if len(sends) == write + 1:
            raise KeyboardInterrupt
        return result

    scene.gateway._admin.write = interrupted  # type: ignore[method-assign, assignment]  # a key pressed at this moment
    try:
        with pytest.raises(KeyboardInterrupt):
            scene.gateway.apply(changes)
    finally:
        scene.gateway._admin.write = send  # type: ignore[method-assign]  # as it was

    assert scene.state() == before


def test_what_someone_added_by_hand_survives_a_switch(scene: Scene) -> None:
    scene.make(route(OLD))
    admin = scene.straight._admin
    admin.write("PATCH", ("services", "cities"), {"read_timeout": 1234, "tags": [*_tags(scene), "by-hand"]})
    admin.write("PATCH", ("routes", "cities"), {"headers": {"x-a": ["1"]}, "regex_priority": 7})
    created = [entity.created_at for entity in scene.state()]

    scene.make(route(NEW, strip_uri=True))

    found_route, found_service = scene.state()
    assert found_service.body["read_timeout"] == 1234
    assert "by-hand" in str(found_service.body["tags"])
    assert found_route.body["headers"] == {"x-a": ["1"]}
    assert found_route.body["regex_priority"] == 7
    assert [entity.created_at for entity in scene.state()] == created
    assert scene.gateway.plan(route(NEW, strip_uri=True)) == ()


def test_our_route_is_found_again_when_someone_renamed_it(scene: Scene) -> None:
    scene.make(route(OLD))
    scene.straight._admin.write("PATCH", ("routes", "cities"), {"name": "renamed"})

    scene.make(route(NEW, strip_uri=True))

    assert [entity.name for entity in scene.state("routes")] == ["renamed"]


def test_a_listing_goes_to_its_end_and_survives_an_entity_that_disappears(scene: Scene) -> None:
    admin = scene.straight._admin
    for number in range(1010):
        admin.write("PUT", ("services", f"s{number:04d}"), {"host": "h"})
    ids = sorted(entity.id for entity in scene.state("services"))

    def remove_the_boundary(passage: Passage) -> None:
        answer = passage.forward()
        admin.write("DELETE", ("services", ids[999]))
        passage.answer(*answer)

    scene.way.begin()
    scene.way.faults = {0: remove_the_boundary}
    found = scene.gateway._admin.listing("services")

    assert found is not None
    assert sorted(str(entity["id"]) for entity in found) == ids
    assert scene.way.asked[0] == "GET /services?size=1000"
    assert scene.way.asked[1].startswith("GET /services?size=1000&offset=")
    assert len(scene.way.asked) == 2


def _error_of(scene: Scene, changes: Sequence[Change]) -> PipelineError | None:
    try:
        scene.gateway.apply(changes)
    except PipelineError as error:
        return error
    return None


def _tags(scene: Scene) -> list[str]:
    (service,) = scene.state("services")
    tags = service.body["tags"]
    assert isinstance(tags, list)
    return tags
