"""The Kong driver against what real Kongs answered (tests/recordings), and against answers that are none of a Kong."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.edge.json_api import Patience
from pipeline.errors import Failed, GatewayAnswered, PipelineError, Refused
from pipeline.gateways.kong.entities import found_route, upstream_of
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.gateways.kong.stored import to_entity
from pipeline.model.address import GatewayAddress
from pipeline.model.kinds import KINDS, is_known, kind_of
from pipeline.model.route import Excluded, Route
from pipeline.model.secret import Secret

RECORDINGS = Path(__file__).parents[1] / "recordings"
VERSIONS = ("2.8.5", "3.4.2")
WANTED = Route(
    service="cities", environment="local", stack="cities-x", uri="/ws/cities", upstream="http://proxy.cities-x"
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the replay server gives for a path."""

    status: int = 200
    body: Any = None
    kind: str = "application/json; charset=utf-8"


class Replay(ThreadingHTTPServer):
    """Answers each path as it is told; everything else as a Kong answers what it does not have."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.default = Answer(status=404, body={"message": "Not found"})
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Replay

    def reply(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.headers.append(dict(self.headers))
        self.server.paths.append(self.path)
        answer = self.server.answers.get(f"{self.command} {self.path}", self.server.default)
        body = answer.body() if callable(answer.body) else answer.body
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST = reply

    def log_message(self, format: str, *words: object) -> None:
        """Says nothing."""


@pytest.fixture
def replay() -> Iterator[Replay]:
    server = Replay()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def gateway(replay: Replay) -> Iterator[KongGateway]:
    patience = Patience(read=2, tries=1)
    address = GatewayAddress(admin=replay.url, token=Secret("s3cret"))
    opened = KongGateway(address, clock=SystemClock(), patience=patience)
    yield opened
    opened.close()


def exchanges(version: str, scenario: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RECORDINGS / f"kong-{version}" / f"{scenario}.json").read_text())
    return found


def every_answer() -> Iterator[tuple[str, int, Any]]:
    for file in sorted(RECORDINGS.glob("kong-[23]*/*.json")):
        for exchange in json.loads(file.read_text()):
            answer = exchange["response"]
            # The concurrent scenarios hold a list of statuses.
            if isinstance(answer["status"], int) and not str(exchange.get("note", "")).startswith("PROXY"):
                yield file.parent.name, answer["status"], answer["body"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_kong_is_recognised_by_its_root(version: str, replay: Replay, gateway: KongGateway) -> None:
    root = exchanges(version, "root_and_status")[0]
    assert root["request"]["path"] == "/"
    replay.answers["GET /"] = Answer(body=root["response"]["body"])
    replay.answers["GET /services?size=1000&tags=pipeline"] = Answer(body={"data": [], "next": None})

    assert (gateway.identity().product, gateway.identity().version) == ("kong", version)
    assert replay.headers[0]["Kong-Admin-Token"] == "s3cret"


def test_every_recorded_refusal_is_told_in_kongs_own_words(replay: Replay, gateway: KongGateway) -> None:
    refusals = {json.dumps(body): (status, body) for _, status, body in every_answer() if status >= 400 and body}
    assert len(refusals) > 100

    for status, body in refusals.values():
        replay.default = Answer(status=status, body=body)
        with pytest.raises(GatewayAnswered) as caught:
            gateway._admin.write("PATCH", ("services", "x"), {})
        assert caught.value.status == status
        assert caught.value.body == body
        assert (body["message"] if isinstance(body, dict) and "message" in body else "") in str(caught.value)


def test_every_recorded_service_and_route_can_be_read(replay: Replay) -> None:
    bodies = [body for _, status, body in every_answer() if status < 300 and isinstance(body, dict)]
    lists = [body["data"] for body in bodies if isinstance(body.get("data"), list)]
    entities = [one for one in [*bodies, *(one for page in lists for one in page)] if isinstance(one, dict)]
    services = [one for one in entities if "id" in one and "retries" in one]
    routes = [one for one in entities if "id" in one and "strip_path" in one]
    assert len(services) > 100
    assert len(routes) > 50

    for service in services:
        assert upstream_of(service).startswith(service["protocol"])
        entity = to_entity(kind_of("services"), dict(service))
        assert {**entity.body, "id": entity.id, "created_at": entity.created_at} == {
            key: value for key, value in service.items() if key != "updated_at"
        }
    for route in routes:
        found = found_route(route, None)
        assert (found.id, found.name) == (route["id"], route["name"] or "")
        assert found.paths == tuple(route["paths"] or ())


def test_recorded_pages_are_followed_to_the_end_by_their_offset(replay: Replay, gateway: KongGateway) -> None:
    pages = [one["response"]["body"] for one in exchanges("2.8.5", "pagination")[:3]]
    query = "GET /services?size=1000"
    for page in pages:
        assert "size" not in str(page["next"])
        replay.answers[query] = Answer(body=page)
        query = f"GET /services?size=1000&offset={page.get('offset')}"

    found = gateway._admin.listing("services")

    assert found is not None
    assert len({entity["id"] for entity in found}) == len(found) == 250


def test_an_offset_that_is_no_longer_taken_begins_the_listing_anew(replay: Replay, gateway: KongGateway) -> None:
    refusal = next(one for one in exchanges("2.8.5", "pagination") if one["request"]["path"] == "/services?offset=bad")
    first = {"data": [{"id": "1"}], "offset": "gone", "next": "/services?offset=gone"}
    replay.answers["GET /services?size=1000"] = Answer(body=first)
    replay.answers["GET /services?size=1000&offset=gone"] = Answer(**_of(refusal))

    with pytest.raises(GatewayAnswered, match="is not a valid offset"):
        gateway._admin.listing("services")

    assert len(replay.headers) == 4


@pytest.mark.parametrize("version", VERSIONS)
def test_an_empty_list_that_comes_as_an_object_is_empty(version: str, replay: Replay, gateway: KongGateway) -> None:
    nothing = next(one for one in exchanges(version, "tags") if one["request"]["path"] == "/tags/zzz")
    assert nothing["response"]["body"]["data"] == {}
    replay.answers["GET /tags/zzz?size=1000"] = Answer(**_of(nothing))

    assert gateway._admin.listing("tags", "zzz") == ()


def test_a_kong_without_a_database_is_refused_before_anything_is_written(replay: Replay, gateway: KongGateway) -> None:
    replay.answers["GET /"] = Answer(body={"version": "3.4.2", "configuration": {"database": "off"}})

    with pytest.raises(Refused, match="runs without a database") as caught:
        gateway.plan(WANTED)

    assert "declarative" in caught.value.hint


@pytest.mark.parametrize("version", ["0.14.1", "1.0.3"])
def test_a_kong_whose_routes_have_no_tags_is_refused(version: str, replay: Replay, gateway: KongGateway) -> None:
    replay.answers["GET /"] = Answer(body={"version": version})
    replay.answers["GET /services/cities"] = Answer(body={"id": "1", "name": "cities", "host": "h"})

    with pytest.raises(Refused, match=rf"is {version}: its routes have no names and no tags"):
        gateway.plan(WANTED)


def test_pages_that_never_end_are_told(replay: Replay, gateway: KongGateway) -> None:
    page = Answer(body={"data": [{"id": "1"}], "offset": "same"})
    replay.answers |= {"GET /services?size=1000": page, "GET /services?size=1000&offset=same": page}

    with pytest.raises(Failed, match="/services gives the same page again and again"):
        gateway._admin.listing("services")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(body={"hello": "world"}), "is not the Admin API of a Kong"),
        (Answer(body=b"<html>nginx</html>", kind="text/html"), "with text/html where JSON was expected"),
        (Answer(status=401, body={"message": "Unauthorized"}), "answered 401: Unauthorized"),
        (Answer(status=404, body={"message": "no Route matched with those values"}), "is not the Admin API of a Kong"),
        (Answer(body=[1]), r"answered 200: \[1\]"),
    ],
)
def test_what_is_not_an_admin_api_is_told(answer: Answer, words: str, replay: Replay, gateway: KongGateway) -> None:
    replay.answers["GET /"] = answer

    with pytest.raises((Failed, GatewayAnswered), match=words):
        gateway.identity()


def test_a_missing_token_is_hinted_at(replay: Replay, gateway: KongGateway) -> None:
    replay.default = Answer(status=401, body={"message": "Unauthorized"})

    with pytest.raises(PipelineError) as caught:
        gateway.routes()

    assert "KONG_ADMIN_TOKEN" in caught.value.hint


def pages(replay: Replay, **collections: list[dict[str, object]]) -> None:
    """A Kong that has these collections (`_` for `-`), each on one page."""
    replay.answers["GET /"] = Answer(body={"version": "2.8.5"})
    for name, data in {"services": [], "routes": [], **collections}.items():
        replay.answers[f"GET /{name}?size=1000"] = Answer(body={"data": data, "next": None})


def test_kinds_that_are_not_known_are_found_by_the_servers_own_list_and_counted(
    replay: Replay, gateway: KongGateway
) -> None:
    pages(replay, sessions=[{"id": "1"}, {"id": "2"}], keys=[{"id": "3"}], tags=[{"id": "4"}])
    urls = ["/", "/sessions", "/sessions/{sessions}", "/keys", "/keys/{keys}", "/status", "/tags", "/tags/{tags}"]
    replay.answers["GET /endpoints"] = Answer(body={"data": [*urls, "/services", "/services/{services}"]})

    assert gateway.dump().excluded == (
        Excluded(kind="keys", count=1, reason="a kind that this toolkit does not know"),
        Excluded(kind="sessions", count=2, reason="made at run time"),
    )


def test_a_kind_that_is_not_known_and_not_in_use_is_absent(replay: Replay, gateway: KongGateway) -> None:
    pages(replay)
    replay.answers["GET /endpoints"] = Answer(body={"data": ["/filter-chains", "/filter-chains/{filter_chains}"]})
    words = {"message": "this endpoint is only available when wasm is enabled"}
    replay.answers["GET /filter-chains?size=1000"] = Answer(status=400, body=words)

    assert gateway.dump().excluded == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_kong_has_these_kinds_that_are_not_known(version: str, replay: Replay, gateway: KongGateway) -> None:
    pages(replay)
    listed = next(one for one in exchanges(version, "root_and_status") if one["request"]["path"] == "/endpoints")
    replay.answers["GET /endpoints"] = Answer(body=listed["response"]["body"])

    gateway.dump()

    asked = {path.partition("?")[0].strip("/") for path in replay.paths}
    unknown = {"acme_storage", "oauth2_tokens", "sessions", "workspaces"}
    unknown |= {"vaults-beta"} if version == "2.8.5" else {"filter-chains", "key-sets", "keys"}
    assert {name for name in asked if name and name != "endpoints" and not is_known(name)} == unknown


def test_a_reference_to_nothing_that_stays_is_named_and_left_away(replay: Replay, gateway: KongGateway) -> None:
    pages(replay, plugins=[{"id": "p", "name": "cors", "service": {"id": "gone"}}, {"id": "q", "name": "cors"}])

    state = gateway.dump()

    assert [one.id for one in state.entities] == ["q"]
    reason = "refer to what the gateway does not have"
    assert state.excluded == (Excluded(kind="plugins", count=1, reason=reason),)


def test_every_target_is_listed_and_of_an_address_the_newest_counts(replay: Replay, gateway: KongGateway) -> None:
    pages(replay, upstreams=[{"id": "u", "name": "up"}])
    targets = [
        {"id": "1", "target": "h:80", "weight": 5, "created_at": 1.5, "upstream": {"id": "u"}},
        {"id": "2", "target": "h:80", "weight": 0, "created_at": 2.5, "upstream": {"id": "u"}},
    ]
    replay.answers["GET /upstreams/u/targets/all?size=1000"] = Answer(body={"data": targets})

    state = gateway.dump()

    assert [(one.id, one.body["weight"], one.created_at) for one in state.of("targets")] == [("2", 0, 2.5)]
    assert [(one.kind, one.count) for one in state.excluded] == [("targets", 1)]


def test_the_members_of_a_group_are_listed_below_it(replay: Replay, gateway: KongGateway) -> None:
    pages(replay, consumer_groups=[{"id": "g", "name": "gold"}], consumers=[{"id": "c", "username": "ann"}])
    replay.answers["GET /consumer_groups/g/consumers?size=1000"] = Answer(body={"consumers": [{"id": "c"}]})

    (member,) = gateway.dump().of("consumer_group_consumers")

    assert member.body == {"consumer": {"id": "c"}, "consumer_group": {"id": "g"}}


def test_a_dump_asks_once_for_each_page_kind_upstream_group_and_plugin(replay: Replay, gateway: KongGateway) -> None:
    pages(
        replay,
        upstreams=[{"id": "u", "name": "up"}],
        consumer_groups=[{"id": "g", "name": "gold"}],
        plugins=[{"id": str(number), "name": "http-log", "config": {"a": "b"}} for number in range(5)],
    )
    replay.answers["GET /routes?size=1000"] = Answer(body={"data": [{"id": "1"}], "offset": "x"})
    replay.answers["GET /routes?size=1000&offset=x"] = Answer(body={"data": [{"id": "2"}]})

    gateway.dump()

    kinds = [f"/{kind.name}?size=1000" for kind in KINDS if not kind.parent]
    below = ["/upstreams/u/targets/all?size=1000", "/consumer_groups/g/consumers?size=1000"]
    more = ["/", "/endpoints", "/routes?size=1000&offset=x", "/schemas/plugins/http-log"]
    assert sorted(replay.paths) == sorted([*kinds, *below, *more])


def test_what_a_servers_schema_marks_is_secret(replay: Replay, gateway: KongGateway) -> None:
    pages(replay, plugins=[{"id": "p", "name": "http-log", "config": {"http_endpoint": "http://u:p@h", "x": "y"}}])
    fields = [{"config": {"type": "record", "fields": [{"http_endpoint": {"type": "string", "referenceable": True}}]}}]
    replay.answers["GET /schemas/plugins/http-log"] = Answer(body={"fields": fields})

    (plugin,) = gateway.dump().entities

    assert plugin.body["config"] == {"http_endpoint": Secret("http://u:p@h"), "x": "y"}


def test_a_gateway_that_does_not_hold_still_is_not_dumped(replay: Replay, gateway: KongGateway) -> None:
    pages(replay)
    numbers = itertools.count()
    replay.answers["GET /routes?size=1000"] = Answer(
        body=lambda: {"data": [{"id": f"r{next(numbers)}", "service": {"id": "gone"}}], "next": None}
    )

    with pytest.raises(Failed, match="changed each of 3 times"):
        gateway.dump()


def _of(exchange: dict[str, Any]) -> dict[str, Any]:
    return {"status": exchange["response"]["status"], "body": exchange["response"]["body"]}
