"""A registration that sets, changes and removes plugins, with a fault at each of its writes, in both dialects."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.errors import PipelineError
from pipeline.gateways.kong.any_kong import AnyKong
from pipeline.lab.gateway.running import running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.plan import Change, Verb
from pipeline.model.route import Route, WantedPlugin
from tests.contracts.test_gateways_faults import (
    PATIENCE,
    Fault,
    Way,
    broken_json,
    reset_after,
    reset_before,
    says,
    truncated,
)

OLD = Route(
    service="cities",
    environment="local",
    stack="cities-master-11111111",
    uri="/ws/cities",
    upstream="http://proxy.cities-master-11111111",
    plugins=(
        WantedPlugin(name="rate-limiting", config={"minute": 5}),
        WantedPlugin(name="key-auth", config={"key_names": ["a"]}),
    ),
)
NEW = replace(
    OLD,
    stack="cities-master-22222222",
    upstream="http://proxy.cities-master-22222222",
    plugins=(
        WantedPlugin(name="rate-limiting", config={"minute": 7}),
        WantedPlugin(name="correlation-id", config={"header_name": "X-Id"}),
    ),
)
VERBS = (Verb.UPDATE, Verb.CREATE, Verb.DELETE, Verb.UPDATE)
PASSING = (reset_before, reset_after, truncated, says(503), says(502, after=True), says(429))
LASTING = (says(500), says(500, after=True), says(400), broken_json)


@dataclass(frozen=True)
class Scene:
    """A gateway with the old registration, by a way that can fail and straight."""

    way: Way
    gateway: AnyKong
    straight: AnyKong
    kinds: tuple[str, ...]

    def state(self) -> list[dict[str, object]]:
        admin = self.straight._admin
        listed = [one for kind in self.kinds for one in admin.listing(kind) or ()]
        bare = [{key: value for key, value in one.items() if key != "updated_at"} for one in listed]
        return sorted(bare, key=lambda one: str(one["id"]))


@contextmanager
def scene_at(url: str, kinds: tuple[str, ...]) -> Iterator[Scene]:
    way = Way(int(url.rpartition(":")[2]))
    thread = threading.Thread(target=way.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    straight = AnyKong(GatewayAddress(admin=url), clock=SystemClock(), environment="local")
    gateway = AnyKong(GatewayAddress(admin=way.url), clock=SystemClock(), environment="local", patience=PATIENCE)
    straight.apply(straight.plan(OLD))
    yield Scene(way, gateway, straight, kinds)
    gateway.close()
    straight.close()
    way.shutdown()
    way.server_close()
    thread.join()


@pytest.fixture(
    params=[("2.8", ("services", "routes", "plugins")), ("0.14", ("apis", "plugins"))], ids=["kong-2.8", "kong-0.14"]
)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    version, kinds = request.param
    with (
        running_gateway(state=tmp_path / "gateway", version=version) as lab,
        scene_at(lab.admin_url, kinds) as made,
    ):
        yield made


@pytest.mark.parametrize("write", range(len(VERBS)))
@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.__name__)
def test_a_fault_that_passes_is_overcome_and_the_way_back_is_whole(fault: Fault, write: int, scene: Scene) -> None:
    before = scene.state()
    changes = scene.gateway.plan(NEW)
    assert tuple(change.verb for change in changes) == VERBS
    scene.way.begin()
    scene.way.faults = {write: fault}

    scene.gateway.apply(changes)

    assert scene.gateway.plan(NEW) == ()
    scene.gateway.revert(changes)
    assert scene.state() == before


@pytest.mark.parametrize("write", range(len(VERBS)))
@pytest.mark.parametrize("fault", LASTING, ids=lambda fault: fault.__name__)
def test_a_fault_that_lasts_leaves_the_old_state_or_the_new(fault: Fault, write: int, scene: Scene) -> None:
    before = scene.state()
    changes = scene.gateway.plan(NEW)
    scene.way.begin()
    scene.way.faults = {write: fault}

    error = _error_of(scene, changes)

    if error is None:
        assert scene.gateway.plan(NEW) == ()
        return
    assert error.exit_code == 1
    assert "could not be put back" not in str(error)
    assert scene.state() == before


def _error_of(scene: Scene, changes: tuple[Change, ...]) -> PipelineError | None:
    try:
        scene.gateway.apply(changes)
    except PipelineError as error:
        return error
    return None
