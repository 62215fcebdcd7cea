"""What is deployed at one moment, as `invoke status --json` tells it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.model.prune_rules import PrunePolicy
from pipeline.model.route import FoundRoute, FoundUpstream, Owner
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundContainer, FoundStack
from pipeline.model.status import Asked, status_document
from pipeline.model.surroundings import Surroundings

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
        version=name.rpartition("-")[2],
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


def told(snapshot: Snapshot, *, now: float, asked: tuple[Asked, ...] = ()) -> dict[str, Any]:
    return status_document(replace(snapshot, surroundings=Surroundings(now=now)), PrunePolicy(), asked)


def test_a_stack_serves_the_routes_whose_upstream_has_its_name() -> None:
    snapshot = Snapshot(
        environment="local", stacks=(stack(OLD, 5), stack(NEW, 10)), routes=(route(f"http://proxy.{NEW}"),)
    )

    document = told(snapshot, now=70)

    assert [(entry["stack"], entry["serves"], entry["age"]) for entry in document["stacks"]] == [
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

    document = told(Snapshot(environment="local", stacks=stacks), now=0)

    assert [entry["stack"] for entry in document["stacks"]] == ["a-2", "a-1", "b-1"]
    assert {entry["age"] for entry in document["stacks"]} == {None}


def test_a_route_of_ours_that_leads_nowhere_is_told_and_others_are_not() -> None:
    gone, foreign = route("http://proxy.gone", owner="gone"), route("http://elsewhere", owner="")

    document = told(Snapshot(environment="local", routes=(gone, foreign)), now=0)

    expected = [{"route": gone.label, "paths": ["/ws/cities"], "upstream": "http://proxy.gone"}]
    assert document["routes_without_stack"] == expected


def test_of_a_platform_that_could_not_be_read_no_route_is_said_to_lead_nowhere() -> None:
    snapshot = Snapshot(environment="local", routes=(route("http://proxy.x"),), missing=(("platform", "no answer"),))

    document = told(snapshot, now=0)

    assert document["routes_without_stack"] == []
    assert document["missing"] == [{"source": "platform", "reason": "no answer"}]


def test_an_age_is_told_by_the_platforms_clock_alone() -> None:
    document = told(
        Snapshot(environment="local", stacks=(stack(NEW, 10),), missing=(("surroundings", "no answer"),)), now=0
    )

    assert document["stacks"][0]["age"] is None


def test_what_a_route_leads_to_through_an_upstreams_targets_serves() -> None:
    group = FoundUpstream(name="cities.green", targets=(f"proxy.{OLD}:80", "10.0.0.5:32002"))
    snapshot = Snapshot(
        environment="local",
        stacks=(stack(OLD, 5), stack(NEW, 10, port="0.0.0.0:32002"), stack("towns-master-1", 3, service="towns")),
        routes=(route("http://cities.green"),),
        upstreams=(group,),
    )

    assert [len(snapshot.routes_to(one)) for one in snapshot.stacks] == [1, 1, 0]


def test_a_route_of_anyones_to_a_port_of_that_number_may_reach_a_stack_and_is_not_told_to_serve_it() -> None:
    found = stack(OLD, 5, port="0.0.0.0:32001")
    snapshot = Snapshot(environment="local", stacks=(found,), routes=(route("http://elsewhere:32001", owner=""),))

    assert (snapshot.routes_to(found), len(snapshot.may_reach(found))) == ((), 1)


@pytest.mark.parametrize("upstream", ["http://[::1", "", "not a url", "http://" + "a" * 300])
def test_a_route_that_somebody_wrote_nonsense_into_leads_to_nothing_of_ours(upstream: str) -> None:
    snapshot = Snapshot(environment="local", stacks=(stack(OLD, 5),), routes=(route(upstream),))

    assert snapshot.may_reach(snapshot.stacks[0]) == ()


def test_what_prune_would_do_and_what_the_gateway_answered_is_told_with_each_stack() -> None:
    snapshot = Snapshot(
        environment="local", stacks=(stack(OLD, 5), stack(NEW, 10)), routes=(route(f"http://proxy.{NEW}"),)
    )
    lie = Asked(service="cities", truth=False, words="OPTIONS /ws/cities: stack = x")

    entries = {entry["stack"]: entry for entry in told(snapshot, now=10_000, asked=(lie,))["stacks"]}

    assert (entries[NEW]["answers"], entries[OLD]["answers"]) == (False, None)
    assert entries[NEW]["prune"] == "keep: serves /ws/cities (route cities.local)"
    assert entries[OLD]["prune"] == "keep: is the previous release: rollback goes there"
    assert (entries[OLD]["previous"], entries[NEW]["previous"]) == (True, False)


def test_of_what_is_incomplete_it_is_told_why_prune_would_refuse() -> None:
    snapshot = Snapshot(environment="local", stacks=(stack(NEW, 10),), missing=(("gateway", "no answer"),))

    assert told(snapshot, now=20)["stacks"][0]["prune"].startswith(
        "refuse: local could not be read completely: gateway"
    )


def test_the_document_is_json_with_a_version() -> None:
    document = told(Snapshot(environment="local", stacks=(stack(NEW, 10),)), now=10)

    assert json.loads(json.dumps(document)) == document
    assert document["schema_version"] == 2
    assert sorted(document["stacks"][0]) == sorted(
        [
            "age",
            "answered",
            "answers",
            "author",
            "branch",
            "commit",
            "containers",
            "previous",
            "prune",
            "routes",
            "serves",
            "service",
            "stack",
            "state",
            "subject",
            "version",
        ]
    )
