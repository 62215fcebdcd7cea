"""kill -9 at every outgoing call of the changing verbs: run again, all is as if nothing had happened, and what served
went on serving all the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults.world import World, world_in

POINTS: dict[str, int] = {}
KILLED = -9
WANTED = 200


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("killed")) as made:
        yield made


def deploying(world: World) -> str:
    world.release("one")
    world.commit("two")
    return ""


def registering(world: World) -> str:
    deploying(world)
    assert world.run("deploy") == 0, world.told
    return ""


def rolling_back_to_one_that_is_gone(world: World) -> str:
    one = world.release("one")
    world.release("two")
    world.platform.remove(next(stack for stack in world.platform.stacks() if stack.name == one).containers)
    return one


def rolling_back_to_one_that_is_stopped(world: World) -> str:
    one = world.release("one")
    world.release("two")
    world.upkeep.stop(next(stack for stack in world.platform.stacks() if stack.name == one).containers)
    return one


def pruning(world: World) -> str:
    for words in ("one", "two", "three", "four", "five"):
        world.release(words)
    return ""


# A rollback is long, and the second half of it a registration: every other call of it will do.
SCENES: dict[str, tuple[str, Callable[[World], str], int]] = {
    "deploy": ("deploy", deploying, 1),
    "register": ("register", registering, 1),
    "rollback-gone": ("rollback", rolling_back_to_one_that_is_gone, 2),
    "rollback-stopped": ("rollback", rolling_back_to_one_that_is_stopped, 2),
    "prune": ("prune", pruning, 1),
}


@pytest.mark.parametrize("scene", SCENES)
def test_a_verb_that_is_killed_at_any_call_is_completed_by_the_next_run(world: World, scene: str) -> None:
    verb, make, step = SCENES[scene]
    world.begin()
    to = make(world)
    beginning = world.save()
    assert world.run(verb, to=to) == 0, world.told
    undisturbed, count = world.state(), world.points

    killed = 0
    for point in range(1, count + 1, step):
        world.restore(beginning)
        killed += world.run(verb, to=to, kill_at=point) == KILLED
        world.clock.step(61)
        again = world.run(verb, to=to)
        assert again == 0, f"killed at {point}: {world.told}"
        assert world.state() == undisturbed, f"killed at {point} of {count}: {world.told}"

    POINTS[scene] = killed
    # Several at once: how many requests they share differs by one or two.
    assert killed >= count // step - 5


def test_it_was_tried_at_two_hundred_points() -> None:
    if len(POINTS) < len(SCENES):
        pytest.skip("only some of the verbs were tried")
    assert sum(POINTS.values()) >= WANTED
