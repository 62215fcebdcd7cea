"""What is done next with a service of Rancher's: for every state a step that the state allows."""

from __future__ import annotations

import itertools

import pytest

from pipeline.lab.rancher.states import SERVICE
from pipeline.model.rancher import Launch, Marks, ServiceRow
from pipeline.platforms.rancher_found import Place, parse_place
from pipeline.platforms.rancher_steps import Step, step_to_remove, step_to_run

DIGEST, OTHER = "a" * 64, "b" * 64
STATES = sorted(SERVICE)


def row(state: str, *, digest: str = DIGEST, scale: int = 1) -> ServiceRow:
    launch = Launch(labels=Marks(definition=digest))
    return ServiceRow(id="1s5", name="app", state=state, scale=scale, launch_config=launch)


def place(digest: str = DIGEST, number: int = 1) -> Place:
    return Place(service_id="1s5", launch="app", number=number, digest=digest[:12])


@pytest.mark.parametrize("state", STATES)
def test_a_step_towards_running_is_one_that_the_state_offers(state: str) -> None:
    for digest, fits, well in itertools.product((DIGEST, OTHER), (True, False), (True, False)):
        step = step_to_run(row(state, digest=digest), DIGEST, fits=fits, well=well)

        free = step in (Step.NOTHING, Step.WAIT, Step.CREATE)
        assert free or step.value in SERVICE[state], (state, step)
        if step is Step.NOTHING:
            assert digest == DIGEST


@pytest.mark.parametrize("state", STATES)
def test_a_step_towards_removal_is_one_that_the_state_offers(state: str) -> None:
    for digest in (DIGEST, OTHER):
        step = step_to_remove(row(state, digest=digest), [place()])

        assert step in (Step.NOTHING, Step.WAIT) or step.value in SERVICE[state], (state, step)


def test_what_is_not_there_is_made() -> None:
    assert step_to_run(None, DIGEST, fits=True, well=False) is Step.CREATE
    assert step_to_run(row("removed"), DIGEST, fits=True, well=False) is Step.CREATE
    assert step_to_remove(None, [place()]) is Step.NOTHING


@pytest.mark.parametrize(
    ("state", "given", "step"),
    {
        "all of it": ("active", [place()], Step.REMOVE),
        "the old one of an upgrade": ("upgraded", [place(OTHER)], Step.FINISH),
        "the old one before the upgrade is done": ("upgrading", [place(OTHER)], Step.WAIT),
        "the new one of an upgrade": ("upgraded", [place()], Step.ROLLBACK),
        "the new one of a running upgrade": ("upgrading", [place()], Step.ROLLBACK),
        "the new one of one that was stopped": ("canceled-upgrade", [place()], Step.ROLLBACK),
        "both of an upgrade": ("upgraded", [place(), place(OTHER)], Step.REMOVE),
        "an old one that is gone": ("active", [place(OTHER)], Step.NOTHING),
        "one that is on its way": ("removing", [place()], Step.WAIT),
    }.values(),
)
def test_what_is_removed_says_what_becomes_of_an_upgrade(state: str, given: list[Place], step: Step) -> None:
    assert step_to_remove(row(state), given) is step


def test_a_part_of_a_service_is_not_removed_because_the_server_would_make_it_again() -> None:
    assert step_to_remove(row("active", scale=2), [place(number=2)]) is Step.NOTHING
    assert step_to_remove(row("active", scale=2), [place(number=1), place(number=2)]) is Step.REMOVE


def test_a_place_is_told_by_its_id() -> None:
    assert parse_place(place().id) == place()
    assert parse_place("1st5") is None
