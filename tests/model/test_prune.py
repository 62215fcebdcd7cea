"""What prune would do, and why: a golden case for each rule, and what holds for every estate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Refused
from pipeline.model.prune import Fate, PrunePlan, judge, plan_prune
from pipeline.model.prune_rules import RULES, Rule, View
from pipeline.model.snapshot import Snapshot
from tests.model.estates import policy_of, record, route, snapshot_of, stack

CASES = Path(__file__).parent.parent / "golden" / "prune"


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    try:
        plan = plan_prune(
            snapshot_of(case),
            policy_of(case),
            services=tuple(case.get("services", ())),
            claimed=frozenset(case.get("claimed", ())),
        )
    except Refused as refused:
        return {"refused": refused.what, "next": refused.hint}
    found: dict[str, Any] = {"stacks": {one.stack.name: f"{one.fate}: {one.reason}" for one in plan.stacks}}
    if plan.routes:
        found["routes"] = {one.route.label: one.reason for one in plan.routes}
    if plan.images:
        found["images"] = {one.image.label: f"{'remove' if one.goes else 'keep'}: {one.reason}" for one in plan.images}
    return found


@pytest.mark.parametrize("file", sorted(CASES.glob("*.json")), ids=lambda file: file.stem)
def test_a_case_comes_out_as_written_down(file: Path, request: pytest.FixtureRequest) -> None:
    case = json.loads(file.read_text())
    found = outcome(case)
    if request.config.getoption("--regold"):
        file.write_text(json.dumps(case | {"expected": found}, indent=2, ensure_ascii=False) + "\n")

    assert found == case.get("expected")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_has_a_case_that_comes_out_otherwise_without_it(rule: Rule) -> None:
    case = json.loads((CASES / f"{rule.__name__}.json").read_text())
    snapshot = snapshot_of(case)
    views = [View(snapshot=snapshot, service=name, policy=policy_of(case)) for name in (*snapshot.services, "")]
    without = tuple(one for one in RULES if one is not rule)

    changed = [
        stack.name for view in views for stack in view.stacks if judge(stack, view) != judge(stack, view, without)
    ]

    assert changed


# Random estates ------------------------------------------------------------------------------------------------

NAMES = [
    f"{service}-{branch}-{number:08}"
    for service in ("cities", "towns")
    for branch in ("master", "next")
    for number in range(4)
]
PORTS = (32001, 32002, 32003)


@st.composite
def estates(draw: st.DrawFn) -> Snapshot:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=10))
    stacks = [
        stack(
            name,
            age=draw(st.sampled_from([-86400.0, 1, 60, 1800, 4000, 90000])),
            state=draw(st.sampled_from(["healthy", "running", "stopped", "unhealthy", "starting"])),
            pinned=draw(st.booleans()) and draw(st.booleans()),
            version=draw(st.sampled_from([name[-8:]] * 5 + [""])),
            ports=draw(st.lists(st.sampled_from(PORTS), max_size=1)),
        )
        for name in names
    ]
    routes = [
        route(
            draw(st.sampled_from(["cities", "towns"])),
            draw(st.sampled_from([*NAMES, *(f"http://10.0.0.5:{port}" for port in PORTS)])),
            ours=draw(st.booleans()),
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    records = [
        record(
            draw(st.sampled_from(["deploy", "register", "rollback", "prune"])),
            draw(st.sampled_from(NAMES)),
            ago=ago,
            stack_before=draw(st.sampled_from(["", *NAMES[:4]])),
        )
        for ago in sorted(draw(st.lists(st.sampled_from([1.0, 30, 500, 4000, 90000]), max_size=8)), reverse=True)
    ]
    return replace(
        snapshot_of({"branches": draw(st.sampled_from([None, [], ["master"], ["master", "next"]]))}),
        stacks=tuple(stacks),
        routes=tuple(routes),
        records=tuple(records),
    )


policies = st.fixed_dictionaries(
    {"keep": st.integers(0, 3), "grace": st.sampled_from([0.0, 60, 3600]), "settle": st.sampled_from([0.0, 15])}
)


def planned(snapshot: Snapshot, policy: dict[str, Any]) -> PrunePlan | None:
    try:
        return plan_prune(snapshot, policy_of({"policy": policy}))
    except Refused:
        return None


def applied(snapshot: Snapshot, plan: PrunePlan) -> Snapshot:
    """What an apply would leave behind."""
    gone = {one.stack.name for one in plan.of(Fate.REMOVE)}
    stopped = {one.stack.name for one in plan.of(Fate.STOP)}
    left = []
    for found in snapshot.stacks:
        if found.name in stopped:
            parts = tuple(replace(one, state="stopped") for one in found.containers)
            left.append(replace(found, containers=parts))
        elif found.name not in gone:
            left.append(found)
    dead = {one.route.id for one in plan.routes}
    routes = tuple(one for one in snapshot.routes if one.id not in dead)
    return replace(snapshot, stacks=tuple(left), routes=routes)


@given(estates(), policies)
def test_what_serves_is_never_touched(snapshot: Snapshot, policy: dict[str, Any]) -> None:
    plan = planned(snapshot, policy)

    for verdict in plan.stacks if plan else ():
        if snapshot.may_reach(verdict.stack):
            assert verdict.fate is Fate.KEEP


@given(estates(), policies)
def test_planning_twice_is_the_same_plan_and_every_stack_has_a_reason(
    snapshot: Snapshot, policy: dict[str, Any]
) -> None:
    plan = planned(snapshot, policy)

    assert planned(snapshot, policy) == plan
    if plan is not None:
        assert {one.stack.name for one in plan.stacks} == {one.name for one in snapshot.stacks}
        assert all(one.reason for one in plan.stacks)


@given(estates(), policies)
def test_applying_twice_changes_nothing(snapshot: Snapshot, policy: dict[str, Any]) -> None:
    plan = planned(snapshot, policy)
    if plan is None:
        return

    after = applied(snapshot, plan)
    again = planned(after, policy)

    assert again is not None
    assert (again.of(Fate.STOP), again.of(Fate.REMOVE), again.routes) == ((), (), ())


@given(estates(), policies, st.sampled_from(["platform", "gateway", "records", "surroundings", "leases"]))
def test_a_plan_of_an_incomplete_snapshot_is_always_refused(
    snapshot: Snapshot, policy: dict[str, Any], source: str
) -> None:
    incomplete = replace(snapshot, missing=((source, "no answer"),))

    with pytest.raises(Refused, match=f"could not be read completely: {source}: no answer") as caught:
        plan_prune(incomplete, policy_of({"policy": policy}))
    assert caught.value.exit_code == 4


@given(estates(), policies)
def test_the_way_back_stays(snapshot: Snapshot, policy: dict[str, Any]) -> None:
    """Of each service that has one: the last release that served before, was not given up, and is still here."""
    plan = planned(snapshot, policy)
    if plan is None:
        return

    for service in snapshot.services:
        here = {one.name for one in snapshot.of(service)}
        serving = {one.name for one in snapshot.of(service) if snapshot.may_reach(one)}
        history = snapshot.history(service)
        back = [one.stack for one in history.back(serving=serving) if one.stack in here - serving]
        removed = {one.stack.name for one in plan.of(Fate.REMOVE)}
        assert not set(back[:1]) & removed


@given(estates(), policies)
def test_services_that_were_not_chosen_are_left_alone(snapshot: Snapshot, policy: dict[str, Any]) -> None:
    try:
        plan = plan_prune(snapshot, policy_of({"policy": policy}), services=("towns",))
    except Refused:
        return

    assert {one.stack.service for one in plan.stacks if one.fate is not Fate.KEEP} <= {"towns"}
    assert {one.route.owner.service for one in plan.routes} <= {"towns"}
