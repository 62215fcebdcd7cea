from __future__ import annotations

import pytest
from msgspec import structs

from pipeline.model.restoration import Act, RestorePlan, Scope, Step, plan_restore
from pipeline.model.route import Entity, GatewayIdentity, GatewayState
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import Variable

OURS = ["pipeline", "env.stage", "service.x"]


def entity(kind: str, id: str, **body: object) -> Entity:
    name = body.get("name") or body.get("username") or ""
    return Entity(kind=kind, id=id, name=str(name), body=body, created_at=7)


def state(*entities: Entity) -> GatewayState:
    return GatewayState(identity=GatewayIdentity(product="kong", version="2.8.5"), entities=entities)


def plan(wanted: GatewayState, found: GatewayState, *, exact: bool = False, everything: bool = False) -> RestorePlan:
    return plan_restore(wanted, found, Scope(exact=exact, everything=everything))


def acts(made: RestorePlan) -> list[tuple[str, str]]:
    return [(str(step.act), step.label) for step in made.steps]


SERVICE = entity("services", "s", name="a", host="h", path=None, tags=OURS)
ROUTE = entity("routes", "r", name="a", paths=["/a"], service={"id": "s"}, tags=OURS)
PLUGIN = entity("plugins", "p", name="cors", service={"id": "s"}, route=None, config={"max_age": 1}, tags=None)


def test_what_is_not_there_is_created_what_it_refers_to_first() -> None:
    made = plan(state(PLUGIN, ROUTE, SERVICE), state())

    assert [[step.label for step in level] for level in made.levels] == [["services a"], ["routes a"], ["plugins cors"]]
    assert str(made.steps[0]) == "create services a: the gateway does not have it"


def test_what_is_as_it_should_be_is_kept() -> None:
    made = plan(state(SERVICE, ROUTE), state(SERVICE, ROUTE))

    assert acts(made) == [("keep", "services a"), ("keep", "routes a")]
    assert not made.pending


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "other"}, 'host: "other" → "h"'),
        ({"path": "/x"}, 'path: "/x" → null'),
        ({"tags": ["a"]}, 'tags: ["a"] → ["pipeline", "env.stage", "service.x"]'),
        ({"tags": []}, 'tags: [] → ["pipeline", "env.stage", "service.x"]'),
    ],
)
def test_a_change_names_each_field_before_and_after(fields: dict[str, object], words: str) -> None:
    made = plan(state(SERVICE), state(structs.replace(SERVICE, body={**SERVICE.body, **fields})))

    assert str(made.steps[0]) == f"change services a: {words}"


def test_another_time_of_creation_is_a_change_because_it_decides_between_equal_routes() -> None:
    made = plan(state(ROUTE, SERVICE), state(structs.replace(ROUTE, created_at=8), SERVICE))

    assert [str(step) for level in made.levels for step in level] == ["change routes a: created_at: 8 → 7"]


def test_no_secret_is_in_a_plan() -> None:
    old = entity("key-auths", "k", consumer={"id": "c"}, key=Secret("old-secret"))
    new = entity("key-auths", "k", consumer={"id": "c"}, key=Secret("new-secret"))

    (step,) = plan(state(new), state(old)).levels[0]

    assert str(step) == 'change key-auths k: key: "[secret]" → "[secret]"'
    assert "-secret" not in repr(step)


def test_a_file_that_leaves_fields_out_changes_only_what_it_names() -> None:
    partial = structs.replace(entity("plugins", "p", name="cors", config={"max_age": 2}), partial=True, created_at=0)

    (step,) = plan(state(partial), state(PLUGIN, SERVICE)).levels[0]

    assert [one.field for one in step.differences] == ["config"]
    assert not step.whole
    same = structs.replace(partial, body={"name": "cors", "config": {}})
    assert not plan(state(same), state(PLUGIN, SERVICE)).pending


def test_a_whole_entity_unsets_what_it_does_not_name() -> None:
    found = entity("services", "s", name="a", host="h", path="/x", tags=OURS, port=80)

    (step,) = plan(state(entity("services", "s", name="a", host="h", tags=OURS)), state(found)).levels[0]

    assert [str(one) for one in step.differences] == ['path: "/x" → null']


def test_an_entity_that_the_gateway_has_under_another_id_keeps_it_and_so_does_what_refers_to_it() -> None:
    here = entity("services", "other", name="a", host="old", tags=OURS)

    made = plan(state(SERVICE, ROUTE), state(here))

    change, create = (step for level in made.levels for step in level)
    assert (change.act, change.entity.id) == (Act.CHANGE, "other")
    assert (create.act, create.entity.body["service"]) == (Act.CREATE, {"id": "other"})


def test_two_routes_without_a_name_are_not_taken_for_each_other() -> None:
    one, other = entity("routes", "1", paths=["/a"]), entity("routes", "2", paths=["/a"])

    assert acts(plan(state(one), state(other))) == [("create", "routes 1"), ("keep", "routes 2")]


def test_nothing_is_deleted_unless_told_to() -> None:
    assert not plan(state(), state(SERVICE, ROUTE)).pending


def test_exact_deletes_what_is_ours_children_first() -> None:
    made = plan(state(), state(SERVICE, ROUTE), exact=True)

    assert [[step.label for step in level] for level in made.levels] == [["routes a"], ["services a"]]
    assert {step.act for step in made.steps} == {Act.DELETE}


def test_exact_keeps_what_someone_else_made_and_whatever_that_refers_to() -> None:
    made = plan(state(), state(SERVICE, ROUTE, PLUGIN), exact=True)

    reasons = {step.label: (step.act, step.reason) for step in made.steps}
    assert reasons == {
        "plugins cors": (Act.KEEP, "someone else's"),
        "services a": (Act.KEEP, "plugins cors refers to it"),
        "routes a": (Act.DELETE, "not in the file"),
    }


def test_exact_of_all_deletes_everything_that_is_not_in_the_file() -> None:
    made = plan(state(SERVICE), state(SERVICE, ROUTE, PLUGIN), exact=True, everything=True)

    assert acts(made) == [("keep", "services a"), ("delete", "routes a"), ("delete", "plugins cors")]


HASHED = entity("basic-auths", "b", username="ann", consumer={"id": "c"}, password=Variable("X"), tags=None)


def test_a_credential_whose_hash_is_all_that_is_known_is_refused() -> None:
    made = plan(state(HASHED), state())

    assert [step.label for step in made.refused] == ["basic-auths ann"]
    assert not made.pending


def test_a_credential_that_is_there_is_not_refused_whatever_its_id_and_its_hash() -> None:
    there = structs.replace(HASHED, body={**HASHED.body, "password": Secret("hash")})

    assert acts(plan(state(HASHED), state(there))) == [("keep", "basic-auths ann")]
    assert acts(plan(state(HASHED), state(structs.replace(there, id="issued-anew", created_at=7)))) == [
        ("keep", "basic-auths ann")
    ]


def test_a_change_of_a_hashed_credential_writes_all_but_the_hash() -> None:
    there = structs.replace(HASHED, body={**HASHED.body, "password": Secret("hash"), "tags": ["x"]})

    (step,) = plan(state(HASHED), state(there)).levels[0]

    assert ([one.field for one in step.differences], step.whole) == (["tags"], False)


def test_what_runs_down_by_itself_is_no_difference() -> None:
    one, other = (entity("key-auths", "k", consumer={"id": "c"}, key=Secret("x"), ttl=ttl) for ttl in (10, 5))

    assert not plan(state(one), state(other)).pending


def test_every_entity_of_both_sides_has_one_step_with_a_reason() -> None:
    made = plan(
        state(SERVICE, PLUGIN), state(ROUTE, structs.replace(SERVICE, body={**SERVICE.body, "host": "x"})), exact=True
    )

    assert {(step.entity.kind, step.entity.id) for step in made.steps} == {
        ("services", "s"),
        ("plugins", "p"),
        ("routes", "r"),
    }
    assert all(step.reason or step.differences for step in made.steps if isinstance(step, Step))
