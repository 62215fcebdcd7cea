"""What a dump and a restore do when the way to the Admin API fails at any request: old or new state, truly told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from msgspec import structs

from pipeline.edge.clock import SystemClock
from pipeline.errors import PipelineError
from pipeline.flows.restore import Manner, Restoration, apply
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.model.address import GatewayAddress
from pipeline.model.restoration import Act, RestorePlan, Scope, plan_restore
from pipeline.model.route import GatewayState
from tests.contracts.test_gateways_faults import (
    LASTING,
    PATIENCE,
    TRANSIENT,
    Fault,
    Way,
    reset_after,
    reset_before,
    says,
    silent_before,
)
from tests.contracts.test_gateways_whole import changes_between
from tests.contracts.whole_gateways import Draft, Open, open_lab

S, R, U, T, C, K, P, Q = (f"00000000-0000-4000-8000-00000000000{number}" for number in range(8))
OURS = ["pipeline", "env.stage", "service.a"]
OLD: list[Draft] = [
    ("services", S, {"name": "a", "host": "old", "tags": OURS}),
    ("consumers", C, {"username": "ann", "tags": OURS}),
    ("upstreams", U, {"name": "up", "tags": OURS}),
    ("routes", R, {"name": "a", "paths": ["/old"], "service": {"id": S}}),
    ("targets", T, {"target": "h:80", "weight": 1, "upstream": {"id": U}}),
    ("plugins", P, {"name": "cors", "service": {"id": S}, "config": {"max_age": 1}, "tags": OURS}),
]
NEW: list[Draft] = [
    ("services", S, {"name": "a", "host": "new", "tags": OURS}),
    ("consumers", C, {"username": "ann", "tags": OURS}),
    ("upstreams", U, {"name": "up", "tags": OURS}),
    ("routes", R, {"name": "a", "paths": ["/new"], "service": {"id": S}}),
    ("targets", T, {"target": "h:80", "weight": 2, "upstream": {"id": U}}),
    ("key-auths", K, {"key": "s3cret", "consumer": {"id": C}}),
    ("plugins", Q, {"name": "key-auth", "service": {"id": S}, "config": {}}),
]
WRITES = 6


class Scene:
    """A lab gateway, a way to it that can fail, the driver that goes that way and one that goes straight."""

    def __init__(self, opened: Open, way: Way) -> None:
        self.opened = opened
        self.way = way
        self.gateway = KongGateway(GatewayAddress(admin=way.url), clock=SystemClock(), patience=PATIENCE)
        self.new = self._timed(opened.make(NEW))

    def begin(self) -> tuple[GatewayState, RestorePlan]:
        """The old state, and the plan from it to the new one."""
        self.way.begin()
        old = self.opened.make(OLD)
        plan = plan_restore(self.new, old, Scope(exact=True))
        assert sum(map(len, plan.levels)) == WRITES
        return old, plan

    def apply(self, plan: RestorePlan, manner: Manner) -> Restoration:
        result = apply(plan, self.gateway.restorer, manner)
        self.way.begin()
        return result

    @staticmethod
    def _timed(state: GatewayState) -> GatewayState:
        """Without times of creation: those of the old entities are other ones each time."""
        return replace(state, entities=tuple(structs.replace(one, created_at=0) for one in state.entities))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with open_lab(tmp_path_factory.mktemp("faults")) as opened:
        way = Way(int(opened.url.rpartition(":")[2]))
        thread = threading.Thread(target=way.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made = Scene(opened, way)
        yield made
        made.gateway.close()
        way.shutdown()
        way.server_close()
        thread.join()


def check_told(scene: Scene, old: GatewayState, result: Restoration) -> GatewayState:
    """The counts are the difference of two dumps, and each step's end is as it is told."""
    state = scene.opened.gateway.dump()
    straight = scene.opened.gateway.restorer
    assert all(straight.holds(step) for step in result.done)
    assert not any(straight.holds(step) for step in (*result.left, *result.put_back))
    if not result.unknown:
        counted = tuple(result.count(act) for act in (Act.CREATE, Act.CHANGE, Act.DELETE))
        assert counted == changes_between(old, state)
    ends = [step for part in (result.done, result.left, result.put_back, result.unknown) for step in part]
    assert len({step.label for step in ends}) == len(ends) == WRITES
    return state


@pytest.mark.parametrize("manner", [Manner(), Manner(keep_going=True), Manner(transactional=True)], ids=str)
@pytest.mark.parametrize("fault", [*TRANSIENT, *LASTING], ids=lambda fault: fault.__name__)
def test_a_fault_at_any_request_of_a_restore_leaves_what_is_told(fault: Fault, manner: Manner, scene: Scene) -> None:
    for index in range(WRITES + 1):
        old, plan = scene.begin()
        scene.way.faults = {index: fault}

        result = scene.apply(plan, manner)

        state = check_told(scene, old, result)
        assert result.unknown == ()
        if result.troubles:
            assert result.problem is not None
            assert result.problem.exit_code in (1, 5)
            assert not manner.transactional or state == old
        else:
            assert result.problem is None
            assert len(result.done) == WRITES
            assert not plan_restore(scene.new, state, Scope(exact=True)).pending


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize(
    "fault", [reset_before, reset_after, silent_before, says(502), says(500)], ids=lambda one: one.__name__
)
def test_a_way_that_stays_broken_is_told_truthfully(fault: Fault, transactional: bool, scene: Scene) -> None:
    for index in (2,) if fault is silent_before else (0, 2, WRITES - 1):
        old, plan = scene.begin()
        scene.way.always_from = (index, fault)

        result = scene.apply(plan, Manner(transactional=transactional))

        check_told(scene, old, result)
        assert result.problem is not None
        assert result.problem.exit_code in (1, 5)


def test_what_the_gateway_refuses_is_put_back_or_left_as_it_was_told_to(scene: Scene) -> None:
    for manner in (Manner(), Manner(keep_going=True), Manner(transactional=True)):
        old, _ = scene.begin()
        broken = tuple(
            structs.replace(one, body={**one.body, "config": {"minute": "x"}}) if one.id == Q else one
            for one in scene.new.entities
        )
        plan = plan_restore(replace(scene.new, entities=broken), old, Scope(exact=True))

        result = scene.apply(plan, manner)

        state = check_told(scene, old, result)
        assert [trouble.step.entity.id for trouble in result.troubles] == [Q]
        assert result.problem is not None
        assert "plugins key-auth could not be restored: PUT" in result.problem.what
        assert result.summary() in result.problem.what
        if manner.transactional:
            assert state == old
            assert len(result.put_back) >= 4
        if manner.keep_going:
            assert [step.entity.id for step in result.left] == [Q]


@pytest.mark.parametrize("fault", [*TRANSIENT, *LASTING], ids=lambda fault: fault.__name__)
def test_a_fault_at_any_request_of_a_dump_is_overcome_or_told(fault: Fault, scene: Scene) -> None:
    scene.begin()
    whole = scene.gateway.dump()
    requests = len(scene.way.asked)

    for index in range(1, requests):
        scene.way.begin()
        scene.way.faults = {index: fault}
        found = dump_or_error(scene.gateway)
        if isinstance(found, PipelineError):
            assert fault in LASTING
            assert found.exit_code in (1, 5)
        else:
            assert found == whole


def dump_or_error(gateway: KongGateway) -> GatewayState | PipelineError:
    try:
        return gateway.dump()
    except PipelineError as error:
        return error
