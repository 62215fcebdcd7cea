"""What is deployed at one moment, as `invoke status --json` tells it."""

from __future__ import annotations

import json

from pipeline.model.route import FoundRoute, Owner
from pipeline.model.snapshot import Snapshot, status_document
from pipeline.model.stack import FoundContainer, FoundStack

OLD, NEW = "cities-master-00000000", "cities-master-11111111"


def stack(name: str, created: float, *, service: str = "cities", port: str = "") -> FoundStack:
    container = FoundContainer(
        id=name,
        name=f"{name}.proxy.1",
        compose_service="proxy",
        image="sha256:1",
        state="healthy",
        created=created,
        ports=(("80/tcp", port),) if port else (),
    )
    return FoundStack(
        name=name,
        service=service,
        environment="local",
        branch="master",
        commit="1" * 40,
        version="11111111",
        sameness="s",
        containers=(container,),
    )


def route(upstream: str, *, owner: str = NEW, service: str = "cities", path: str = "/ws/cities") -> FoundRoute:
    return FoundRoute(
        id="r",
        name=f"{service}.local",
        owner=Owner(service=service, environment="local", stack=owner) if owner else Owner(),
        paths=(path,),
        hosts=(),
        methods=(),
        strip_uri=False,
        preserve_host=False,
        upstream=upstream,
    )


def test_a_stack_serves_the_routes_whose_upstream_has_its_name() -> None:
    snapshot = Snapshot(
        environment="local", stacks=(stack(OLD, 5), stack(NEW, 10)), routes=(route(f"http://proxy.{NEW}"),)
    )

    document = status_document(snapshot, now=70)

    assert [(entry["stack"], entry["serves"], entry["age"]) for entry in document["stacks"]] == [  # type: ignore[attr-defined]
        (NEW, ["/ws/cities"], 60),
        (OLD, [], 65),
    ]


def test_a_stack_serves_the_routes_that_lead_to_a_port_of_its() -> None:
    snapshot = Snapshot(
        environment="local",
        stacks=(stack(OLD, 5, port="0.0.0.0:32001"), stack(NEW, 10, port="0.0.0.0:32002")),
        routes=(route("http://127.0.0.1:32002"),),
    )

    assert [len(snapshot.routes_to(one)) for one in snapshot.stacks] == [0, 1]


def test_services_are_in_order_and_within_them_the_newest_stack_first() -> None:
    stacks = (stack("b-1", 1, service="b"), stack("a-1", 1, service="a"), stack("a-2", 2, service="a"))

    document = status_document(Snapshot(environment="local", stacks=stacks), now=0)

    assert [entry["stack"] for entry in document["stacks"]] == ["a-2", "a-1", "b-1"]  # type: ignore[attr-defined]
    assert {entry["age"] for entry in document["stacks"]} == {0}  # type: ignore[attr-defined]


def test_a_route_of_ours_that_leads_nowhere_is_told_and_others_are_not() -> None:
    gone, foreign = route("http://proxy.gone", owner="gone"), route("http://elsewhere", owner="")

    document = status_document(Snapshot(environment="local", routes=(gone, foreign)), now=0)

    told = [{"route": gone.label, "paths": ["/ws/cities"], "upstream": "http://proxy.gone"}]
    assert document["routes_without_stack"] == told


def test_of_a_platform_that_could_not_be_read_no_route_is_said_to_lead_nowhere() -> None:
    snapshot = Snapshot(environment="local", routes=(route("http://proxy.x"),), missing=(("platform", "no answer"),))

    document = status_document(snapshot, now=0)

    assert document["routes_without_stack"] == []
    assert document["missing"] == [{"source": "platform", "reason": "no answer"}]


def test_the_document_is_json_with_a_version() -> None:
    document = status_document(Snapshot(environment="local", stacks=(stack(NEW, 10),)), now=10)

    assert json.loads(json.dumps(document)) == {
        "schema_version": 1,
        "environment": "local",
        "stacks": [
            {
                "service": "cities",
                "branch": "master",
                "commit": "1" * 40,
                "version": "11111111",
                "stack": NEW,
                "state": "healthy",
                "age": 0,
                "serves": [],
                "containers": [{"name": f"{NEW}.proxy.1", "service": "proxy", "state": "healthy", "image": "sha256:1"}],
            }
        ],
        "routes_without_stack": [],
        "missing": [],
    }
