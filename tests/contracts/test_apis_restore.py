"""A Kong of the legacy /apis brought back by `invoke restore`: each format, each fault, and what its counts say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from pipeline.edge.clock import SystemClock
from pipeline.edge.library import shell_library
from pipeline.errors import Refused
from pipeline.flows import restore as flow
from pipeline.flows.restore import Manner, Restoration, apply
from pipeline.gateways.kong.any_kong import AnyKong
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.gateways.memory import MemoryGateway
from pipeline.lab.gateway.running import running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.dialect import Dialect
from pipeline.model.restoration import Act, RestorePlan, Scope, Step, plan_restore
from pipeline.model.restore_script import ScriptHeader, restore_script
from pipeline.model.restore_script_reader import read_restore_script
from pipeline.model.route import Entity, GatewayState
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import filled, named_secrets
from pipeline.model.state_file import read_state_file, state_file
from tests.contracts.legacy_kong import LegacyKong, legacy_kong
from tests.contracts.test_gateways_faults import LASTING, PATIENCE, TRANSIENT, Fault
from tests.contracts.test_gateways_whole import changes_between

A, B, C, P, Q = (f"00000000-0000-4000-8000-00000000000{number}" for number in range(5))
EVERYTHING = Scope(exact=True, everything=True)
WRITES = 5
HEADER = ScriptHeader(
    subject="the whole gateway", file="restore.sh", tool_version="1", environment="stage", commit="0a1b2c3d"
)


def through_script(state: GatewayState) -> GatewayState:
    return read_restore_script(restore_script(state, HEADER, library=shell_library()), file="restore.sh")[0]


def through_json(state: GatewayState) -> GatewayState:
    return read_state_file(state_file(state, "stage"), file="dump.json")[0]


class Scene:
    """A lab gateway of Kong 0.14, the driver that goes to it by a way that can fail, and one that goes straight."""

    def __init__(self, kong: LegacyKong) -> None:
        self.kong = kong
        self.gateway = opened_at(kong.url)
        self.straight = opened_at(kong.lab.admin_url)

    def make(self, *drafts: tuple[str, str, dict[str, object]]) -> GatewayState:
        """Exactly these, and nothing on its way."""
        self.kong.wipe()
        for kind, key, fields in drafts:
            self.kong.add(kind, id=key, created_at=1_600_000_000_000, **fields)
        self.kong.way.begin()
        return self.straight.dump()

    def apply(self, plan: RestorePlan, manner: Manner) -> Restoration:
        result = apply(plan, self.gateway.restorer, manner)
        self.kong.way.begin()
        return result


OLD = (
    ("apis", A, {"name": "a", "uris": ["/old"], "methods": ["GET"], "upstream_url": "http://old"}),
    ("apis", C, {"name": "c", "uris": ["/c"], "upstream_url": "http://c"}),
    ("plugins", P, {"name": "cors", "api_id": A, "config": {"max_age": 1}}),
)
NEW = (
    ("apis", A, {"name": "a", "uris": ["/new", "/it's $(id)"], "hosts": ["h"], "upstream_url": "http://new"}),
    ("apis", B, {"name": "b", "uris": ["/b"], "upstream_url": "http://b"}),
    ("plugins", P, {"name": "cors", "api_id": A, "config": {"max_age": 2}}),
    (
        "plugins",
        Q,
        {
            "name": "rate-limiting",
            "config": {"minute": 5, "policy": "redis", "redis_host": "h", "redis_password": "s3cret"},
        },
    ),
)


def opened_at(url: str) -> AnyKong:
    return AnyKong(GatewayAddress(admin=url), clock=SystemClock(), environment="stage", patience=PATIENCE)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with legacy_kong(tmp_path_factory.mktemp("legacy")) as kong:
        scene = Scene(kong)
        yield scene
        scene.gateway.close()
        scene.straight.close()


def known(name: str) -> Secret | None:
    return Secret("s3cret") if name.startswith("KONG_SECRET_PLUGIN") else None


@pytest.mark.parametrize("through", [through_script, through_json])
def test_a_wiped_gateway_is_the_same_again_and_a_second_run_writes_nothing(
    through: Callable[[GatewayState], GatewayState], scene: Scene
) -> None:
    before = scene.make(*NEW)
    read = through(before)
    wanted, missing = filled(read, known)
    scene.kong.wipe()

    first = scene.apply(flow.plan(wanted, scene.gateway, Scope()), Manner())
    again = flow.plan(wanted, scene.gateway, Scope())

    assert read.identity.dialect is Dialect.APIS
    assert len(named_secrets(read)) == 1
    assert missing == ()
    assert first.summary() == "created 4, changed 0, deleted 0, put back 0, left 0, refused 0"
    assert scene.straight.dump() == before
    assert not again.pending


def test_the_plan_says_what_changes_field_by_field(scene: Scene) -> None:
    wanted = scene.make(*NEW)
    scene.make(*OLD)

    steps = [str(step) for level in flow.plan(wanted, scene.gateway, EVERYTHING).levels for step in level]

    assert steps[0].startswith('change apis a: hosts: null → ["h"]; methods: ["GET"] → null')
    assert 'upstream_url: "http://old" → "http://new"' in steps[0]
    assert steps[1:] == [
        "create apis b: the gateway does not have it",
        "change plugins cors: config: " + steps[2].partition("config: ")[2],
        "create plugins rate-limiting: the gateway does not have it",
        "delete apis c: not in the file",
    ]
    assert "s3cret" not in "".join(steps)


def test_nothing_is_deleted_but_with_exact_of_everything_because_no_tag_says_whose_an_api_is(scene: Scene) -> None:
    wanted = scene.make(*NEW)
    scene.make(*OLD)

    for scope in (Scope(), Scope(exact=True)):
        plan = flow.plan(wanted, scene.gateway, scope)

        assert not any(step.act is Act.DELETE for step in plan.steps)


def test_a_plugin_follows_its_api_to_the_id_that_the_gateway_has_it_by(scene: Scene) -> None:
    wanted = scene.make(*NEW[:1], NEW[2])
    scene.make(("apis", C, {"name": "a", "uris": ["/made-by-hand"], "upstream_url": "http://hand"}))

    restoration = scene.apply(flow.plan(wanted, scene.gateway, Scope()), Manner())

    assert restoration.summary().startswith("created 1, changed 1, deleted 0")
    after = scene.straight.dump()
    assert [(one.id, one.body["uris"]) for one in after.of("apis")] == [(C, ["/new", "/it's $(id)"])]
    assert [one.body["api_id"] for one in after.of("plugins")] == [C]


def test_plugins_of_one_name_on_two_apis_are_two(scene: Scene) -> None:
    both = [
        ("plugins", key, {"name": "cors", "api_id": api, "config": {"max_age": 1}}) for key, api in ((P, A), (Q, C))
    ]
    wanted = scene.make(*OLD[:2], *both)
    scene.make(*OLD[:2], both[1])

    plan = flow.plan(wanted, scene.gateway, EVERYTHING)

    assert [str(step) for level in plan.levels for step in level] == [
        "create plugins cors: the gateway does not have it"
    ]


def entity(name: str, key: str, **body: object) -> Entity:
    return Entity(kind="apis", id=key, name=name, body={"name": name, **body}, created_at=1_600_000_000_000)


def test_each_act_is_done_and_undone_however_often(scene: Scene) -> None:
    old = scene.make(*OLD)
    (api,) = (one for one in old.of("apis") if one.id == C)
    there = {one.id: one for one in old.entities}
    changed = structs.replace(there[A], body={**there[A].body, "upstream_url": "http://other", "methods": None})
    plan = plan_restore(replace(old, entities=(changed, there[C], there[P])), old, Scope())
    steps = [
        Step(act=Act.CREATE, entity=entity("b", B, uris=["/b"], upstream_url="http://b")),
        *(step for level in plan.levels for step in level),
        Step(act=Act.DELETE, entity=api, before=api),
    ]
    assert [step.act for step in steps] == [Act.CREATE, Act.CHANGE, Act.DELETE]
    restorer = scene.gateway.restorer

    for step in steps:
        for _ in range(2):
            restorer.write(step)
            assert restorer.holds(step)
        for _ in range(2):
            restorer.undo(step)
            assert not restorer.holds(step)
            assert scene.straight.dump() == old


@pytest.mark.parametrize("manner", [Manner(), Manner(transactional=True)], ids=str)
@pytest.mark.parametrize("fault", [*TRANSIENT, *LASTING], ids=lambda fault: fault.__name__)
def test_a_fault_at_any_request_of_a_restore_leaves_what_is_told(fault: Fault, manner: Manner, scene: Scene) -> None:
    new = scene.make(*NEW)
    for index in range(WRITES + 3):
        old = scene.make(*OLD)
        plan = plan_restore(new, old, EVERYTHING)
        assert sum(map(len, plan.levels)) == WRITES
        assert scene.gateway.restorer
        scene.kong.way.begin()
        scene.kong.way.faults = {index: fault}

        result = scene.apply(plan, manner)

        state = scene.straight.dump()
        straight = scene.straight.restorer
        assert result.unknown == ()
        assert all(straight.holds(step) for step in result.done)
        assert not any(straight.holds(step) for step in (*result.left, *result.put_back))
        counted = tuple(result.count(act) for act in (Act.CREATE, Act.CHANGE, Act.DELETE))
        assert counted == changes_between(old, state)
        if result.troubles:
            assert result.problem is not None
            assert result.problem.exit_code in (1, 5)
            assert not manner.transactional or state == old
        else:
            assert state == new


def test_a_file_of_the_other_dialect_is_refused_before_the_first_write(scene: Scene, tmp_path: Path) -> None:
    apis = scene.make(*NEW)
    scene.kong.wipe()
    with running_gateway(state=tmp_path / "gateway") as lab:
        newer = KongGateway(GatewayAddress(admin=lab.admin_url), clock=SystemClock())
        newer._admin.write("PUT", ("services", A), {"name": "a", "host": "h"})
        services = newer.dump()

        with pytest.raises(Refused, match=r"holds /apis of Kong 0\.14\.1, and a Kong 2\.8\.5 has none") as told:
            flow.plan(through_json(apis), newer, Scope())
        with pytest.raises(Refused, match="holds services, and this gateway is written by /apis"):
            flow.plan(through_script(services), scene.gateway, Scope())
        newer.close()

    assert "decK file" in told.value.hint
    assert scene.straight.dump().entities == ()
    assert flow.plan(through_json(services), MemoryGateway(), Scope()).pending
