"""The contract of every restorer (gateways.base.Restorer), on memory and on a Kong's Admin API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pipeline.edge.clock import SystemClock
from pipeline.errors import GatewayAnswered, Refused
from pipeline.gateways.base import Gateway, Restorer
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.gateways.memory import MemoryGateway
from pipeline.lab.gateway.running import running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.restoration import Act, Scope, Step, plan_restore
from pipeline.model.route import Entity, GatewayState
from pipeline.model.secret import Secret
from tests.contracts.test_gateways_recorded import Answer, Replay

ID = "11111111-1111-4111-8111-11111111111"


@dataclass(frozen=True)
class Driven:
    """A gateway, and what restores it."""

    gateway: Gateway
    restorer: Restorer


@contextmanager
def memory(folder: Path) -> Iterator[Driven]:
    gateway = MemoryGateway()
    yield Driven(gateway, gateway)


@contextmanager
def kong(folder: Path) -> Iterator[Driven]:
    with running_gateway(state=folder / "gateway") as lab:
        gateway = KongGateway(GatewayAddress(admin=lab.admin_url), clock=SystemClock())
        yield Driven(gateway, gateway.restorer)
        gateway.close()


@pytest.fixture(params=[memory, kong], ids=["memory", "kong"])
def driven(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driven]:
    with request.param(tmp_path) as opened:
        yield opened


def entity(kind: str, number: int, **body: object) -> Entity:
    name = str(body.get("name") or body.get("username") or body.get("target") or "")
    return Entity(kind=kind, id=f"{ID}{number}", name=name, body=body, created_at=1_700_000_000)


UPSTREAM = entity("upstreams", 1, name="up.local", slots=10)
TARGET = entity("targets", 2, upstream={"id": UPSTREAM.id}, target="h:80", weight=5)
CONSUMER = entity("consumers", 3, username="ann")
KEY = entity("key-auths", 4, consumer={"id": CONSUMER.id}, key=Secret("s3cret"))
PLUGIN = entity("plugins", 5, name="key-auth", consumer=None, config={"key_names": ["k"]})
ALL = (UPSTREAM, TARGET, CONSUMER, KEY, PLUGIN)


def create(one: Entity) -> Step:
    return Step(act=Act.CREATE, entity=one)


def found(driven: Driven, one: Entity) -> Entity | None:
    return next((other for other in driven.gateway.dump().entities if other.id == one.id), None)


def made(driven: Driven) -> GatewayState:
    for one in ALL:
        driven.restorer.write(create(one))
    return driven.gateway.dump()


@pytest.mark.parametrize("count", [1, 2])
def test_what_was_created_is_there_by_its_id_and_time_however_often(count: int, driven: Driven) -> None:
    for _ in range(count):
        made(driven)

    for one in ALL:
        other = found(driven, one)
        assert other is not None
        assert other.created_at == one.created_at
        assert driven.restorer.holds(create(one))
        body: dict[str, Any] = dict(other.body)
        assert all(body[key] == value for key, value in one.body.items() if key != "config")


def test_undoing_a_creation_leaves_nothing_however_often(driven: Driven) -> None:
    made(driven)

    for _ in range(2):
        for one in reversed(ALL):
            driven.restorer.undo(create(one))

        assert driven.gateway.dump().entities == ()
        assert not any(driven.restorer.holds(create(one)) for one in ALL)


CHANGES = [
    structs.replace(UPSTREAM, body={**UPSTREAM.body, "slots": 20}),
    structs.replace(TARGET, body={**TARGET.body, "weight": 0}),
    structs.replace(CONSUMER, body={**CONSUMER.body, "username": "bob"}, name="bob"),
    structs.replace(KEY, body={**KEY.body, "key": Secret("other")}),
]


@pytest.mark.parametrize("changed", CHANGES, ids=lambda one: one.kind)
def test_a_change_is_written_and_put_back_however_often(changed: Entity, driven: Driven) -> None:
    before = made(driven)
    wanted = replace(before, entities=tuple(changed if one.id == changed.id else one for one in before.entities))
    (step,) = (step for level in plan_restore(wanted, before, Scope()).levels for step in level)

    for _ in range(2):
        driven.restorer.write(step)

        assert driven.restorer.holds(step)
        assert not plan_restore(wanted, driven.gateway.dump(), Scope()).pending
    for _ in range(2):
        driven.restorer.undo(step)

        assert driven.gateway.dump() == before
        assert not driven.restorer.holds(step)


@pytest.mark.parametrize("one", [TARGET, KEY, PLUGIN], ids=lambda one: one.kind)
def test_a_deletion_is_done_and_put_back_however_often(one: Entity, driven: Driven) -> None:
    before = made(driven)
    there = found(driven, one)
    assert there is not None
    step = Step(act=Act.DELETE, entity=there, before=there)

    for _ in range(2):
        driven.restorer.write(step)

        assert driven.restorer.holds(step)
        assert found(driven, one) is None
    for _ in range(2):
        driven.restorer.undo(step)

        assert driven.gateway.dump() == before


def test_what_a_kong_refuses_carries_its_own_words(tmp_path: Path) -> None:
    with kong(tmp_path) as driven, pytest.raises(GatewayAnswered, match="schema violation"):
        driven.restorer.write(create(entity("upstreams", 9, name="not a host")))


@pytest.fixture
def replay() -> Iterator[Replay]:
    import threading

    server = Replay()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_kong_without_a_database_can_be_dumped_and_not_written_to(replay: Replay) -> None:
    replay.answers["GET /"] = Answer(body={"version": "2.8.5", "configuration": {"database": "off"}})
    for name in ("services", "routes"):
        replay.answers[f"GET /{name}?size=1000"] = Answer(body={"data": [], "next": None})
    gateway = KongGateway(GatewayAddress(admin=replay.url), clock=SystemClock())

    assert gateway.dump().entities == ()
    with pytest.raises(Refused, match="without a database"):
        gateway.restorer.require_writable()
    gateway.close()


def test_a_member_of_a_group_is_posted_below_it_and_removed_there(replay: Replay) -> None:
    member = entity("consumer_group_consumers", 7, consumer={"id": "c"}, consumer_group={"id": "g"})
    replay.answers["POST /consumer_groups/g/consumers"] = Answer(status=409, body={"message": "is in it already"})
    replay.answers["DELETE /consumer_groups/g/consumers/c"] = Answer(status=204, body=b"")
    gateway = KongGateway(GatewayAddress(admin=replay.url), clock=SystemClock())

    gateway.restorer.write(create(member))
    gateway.restorer.undo(create(member))

    assert replay.paths == ["/consumer_groups/g/consumers", "/consumer_groups/g/consumers/c"]
    gateway.close()
