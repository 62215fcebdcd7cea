"""Which release a rollback goes to, and how it comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import BadInput, Failed
from pipeline.model.history import Version, history_of
from pipeline.model.interpolate import secret_mark
from pipeline.model.rollback import How, RollbackPlan, choose, options, plan_rollback, stack_again
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import Definition, StackService
from tests.model.estates import record, route, snapshot_of, stack

A, B, C = (f"cities-master-{number:08}" for number in (1, 2, 3))
DEFINITION = Definition(
    services=(StackService(name="proxy", image="r/cities@sha256:1", environment={"K": f"$5 {secret_mark('TOKEN')}"}),)
)


def estate(*names: str, serving: str = C, **states: str) -> Snapshot:
    """A, B and C were released in this order; `names` are still there."""
    records = []
    for ago, name in ((9000, A), (8000, B), (7000, C)):
        records.append(record("deploy", name, ago=ago, definition=DEFINITION.text(), sameness=name))
        records.append(record("register", name, ago=ago, route={"uri": "/ws/cities"}))
    stacks = []
    for name in names:
        found = stack(name, state=states.get(name[-1:], "healthy") if states else "healthy")
        parts = tuple(replace(one, digest=DEFINITION.digest()) for one in found.containers)
        stacks.append(replace(found, containers=parts))
    return replace(snapshot_of({}), stacks=tuple(stacks), routes=(route("cities", serving),), records=tuple(records))


def planned(snapshot: Snapshot, to: str = "") -> RollbackPlan:
    return plan_rollback(snapshot, "cities", choose(snapshot, "cities", to))


def test_without_a_name_it_goes_to_the_previous_release() -> None:
    plan = planned(estate(A, B, C))

    assert (plan.target, plan.how) == (Version(stack=B, version="00000002"), How.RUNS)
    assert plan.serving is not None
    assert plan.serving.name == C


def test_stopped_containers_are_started_and_missing_ones_made_again() -> None:
    snapshot = estate(B, C)
    stopped = replace(
        snapshot,
        stacks=tuple(
            replace(one, containers=tuple(replace(part, state="stopped") for part in one.containers))
            if one.name == B
            else one
            for one in snapshot.stacks
        ),
    )

    assert planned(stopped).how is How.STARTS
    assert planned(estate(C)).how is How.RECREATED
    assert planned(estate(A, B, C), to=C).how is How.SERVES


def test_a_release_can_be_named_by_stack_or_version() -> None:
    assert planned(estate(A, B, C), to=A).target.stack == A
    assert planned(estate(A, B, C), to="00000001").target.stack == A
    with pytest.raises(BadInput, match=r"no release of cities in stage is called 'x'") as caught:
        planned(estate(A, B, C), to="x")
    assert B in caught.value.hint


def test_what_was_rolled_back_from_is_not_gone_back_to() -> None:
    snapshot = estate(A, B, C, serving=B)
    back = record("rollback", B, ago=10, stack_before=C, version_before="00000003")
    snapshot = replace(snapshot, records=(*snapshot.records, back))

    assert [one.stack for one in options(snapshot, "cities")] == [A]
    assert planned(snapshot).target.stack == A
    assert planned(snapshot, to=C).target.stack == C


def test_a_bad_one_that_was_put_there_again_counts_as_any_other() -> None:
    records = (
        record("register", A, ago=5),
        record("register", B, ago=4),
        record("rollback", A, ago=3, stack_before=B, version_before="00000002"),
        record("register", B, ago=2),
        record("register", C, ago=1),
    )

    history = history_of("cities", records)

    assert history.bad == frozenset()
    assert [one.stack for one in history.back(serving=[C])] == [B, A]


def test_where_nothing_served_before_it_is_said() -> None:
    snapshot = replace(estate(C), records=(record("register", C, ago=5),))

    with pytest.raises(Failed, match="there is no release of cities to go back to in stage"):
        planned(snapshot)


def test_what_is_gone_and_in_no_record_cannot_be_made_again() -> None:
    snapshot = replace(estate(C), records=(record("register", B, ago=9), record("register", C, ago=5)))

    with pytest.raises(Failed, match=f"{B} is gone, and no record has its definition"):
        planned(snapshot)


def test_in_place_the_previous_version_of_the_same_stack_is_made_again() -> None:
    fields: dict[str, Any] = {"version": "00000001", "definition": DEFINITION.text()}
    snapshot = replace(
        snapshot_of({}),
        stacks=(stack("cities-master", service="cities", branch="master", version="00000002"),),
        routes=(route("cities", "cities-master"),),
        records=(
            record("deploy", "cities-master", ago=9, **fields),
            record("register", "cities-master", ago=8, version="00000001"),
            record("deploy", "cities-master", ago=7, **fields | {"version": "00000002"}),
        ),
    )

    plan = planned(snapshot)

    assert plan.target == Version(stack="cities-master", version="00000001")
    assert plan.how is How.RECREATED


def test_a_recorded_definition_is_read_back_as_it_was_with_its_secrets_by_name() -> None:
    kept = record("deploy", A, ago=1, definition=DEFINITION.text(), branch="master", commit="1" * 40, sameness="s")

    again = stack_again(kept, "ada")

    assert again.definition == DEFINITION
    assert again.definition.digest() == DEFINITION.digest()
    assert (again.name, again.labels["pipeline.version"], again.labels["pipeline.actor"]) == (A, "00000001", "ada")


def test_a_definition_that_cannot_be_read_is_said() -> None:
    with pytest.raises(Failed, match=f"the recorded definition of {A} cannot be read"):
        stack_again(record("deploy", A, ago=1, definition='{"services": 5}'), "ada")
