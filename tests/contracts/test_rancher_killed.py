"""A run on Rancher that is killed at any of its requests: the next one comes to the same end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.lab.rancher.running import Lab, running_rancher
from pipeline.lab.rancher.troubles import Harm, Trouble
from pipeline.model.stack import Stack
from tests.contracts.rancher_runs import End, Killed, end_of, release, run


def killed_everywhere(before: tuple[Stack, ...], wanted: Stack, after: Stack) -> Iterator[tuple[Lab, str]]:
    """A lab for every request at which the run of `wanted` may die, after it died and the one of `after` was made."""
    with running_rancher() as counting:
        for earlier in before:
            run(counting, earlier)
        requests = run(counting, wanted)
    for last in range(1, requests + 1):
        for done in (False, True):
            with running_rancher() as lab:
                for earlier in before:
                    run(lab, earlier)
                with pytest.raises(Killed) as killed:
                    run(lab, wanted, last=last, done=done)
                where = f"killed {'after' if done else 'before'} {killed.value} (request {last} of {requests})"
                lab.advance(61)
                run(lab, after)
                yield lab, where


def wanted_end(*releases: Stack) -> End:
    with running_rancher() as lab:
        for one in releases:
            run(lab, one)
        return end_of(lab)


def test_a_first_deployment_that_is_killed_anywhere_is_completed_by_the_next_run() -> None:
    first = release("1")
    expected = wanted_end(first)
    assert {state for _, state, _, _ in expected.services} == {"active"}
    assert len(expected.containers) == 3
    assert expected.leases == 0

    for lab, where in killed_everywhere((), first, first):
        assert end_of(lab) == expected, where


def test_an_upgrade_that_is_killed_anywhere_is_completed_by_the_next_run() -> None:
    first, second = release("1"), release("2", scale=2)
    expected = wanted_end(first, second)
    assert {image for _, _, image in expected.containers} == {"docker:cities:2"}
    assert len(expected.containers) == 5

    for lab, where in killed_everywhere((first,), second, second):
        assert end_of(lab) == expected, where


def test_an_upgrade_that_is_killed_anywhere_gives_way_to_the_next_release() -> None:
    first, second, third = (release(version, scale=int(version)) for version in "123")
    expected = wanted_end(first, third)
    assert {image for _, _, image in expected.containers} == {"docker:cities:3"}

    for lab, where in killed_everywhere((first,), second, third):
        assert end_of(lab) == expected, where


@pytest.mark.parametrize("harm", [Harm.LOST_ANSWER, Harm.LOST_REQUEST, Harm.STATUS])
def test_a_request_that_is_lost_is_looked_after_and_nothing_is_made_twice(harm: Harm) -> None:
    first, second = release("1"), release("2", scale=2)
    expected = wanted_end(first, second)
    with running_rancher() as counting:
        run(counting, first)
        requests = run(counting, second)

    for number in range(requests):
        with running_rancher() as lab:
            run(lab, first)
            lab.troubles.coming.append(Trouble(matching="", harm=harm, after=number))
            run(lab, second)
            assert end_of(lab) == expected, f"{harm} at {number}"
