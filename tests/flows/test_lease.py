"""Holding a lease while something is changed."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

import pytest

from pipeline.errors import Failed, PipelineError, Refused, Unreachable
from pipeline.flows.lease import LEASE_SECONDS, Hold, holding
from pipeline.ledgers.memory import MemoryLeases
from pipeline.model.record import Lease
from tests.conftest import SteppingClock

NAME = "local.cities"


class Scene:
    def __init__(self, clock: SteppingClock, leases: MemoryLeases | None = None) -> None:
        self.clock = clock
        self.leases = leases or MemoryLeases(clock)
        self.told: list[str] = []

    def hold(
        self, holder: str = "ada", *, wait: float = 0.0, seconds: float = LEASE_SECONDS
    ) -> AbstractContextManager[Hold]:
        return holding(
            self.leases,
            NAME,
            holder=holder,
            clock=self.clock,
            tell=self.told.append,
            wait=wait,
            seconds=seconds,
        )


@pytest.fixture
def scene(clock: SteppingClock) -> Scene:
    return Scene(clock)


def test_a_lease_is_held_for_the_body_and_given_up_after_it(scene: Scene) -> None:
    with scene.hold() as held:
        found = scene.leases.find(NAME)
        assert found is not None
        assert found.holder == "ada"
        held.check()

    assert scene.leases.find(NAME) is None
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("lease")] == []


@pytest.mark.parametrize("error", [Failed("x", hint="y"), KeyboardInterrupt(), SystemExit(1)])
def test_whatever_the_body_raises_the_lease_is_given_up(scene: Scene, error: BaseException) -> None:
    with pytest.raises(type(error)), scene.hold():
        raise error

    assert scene.leases.find(NAME) is None


def test_a_second_run_is_refused_and_told_by_whom_since_when_and_what_helps(scene: Scene) -> None:
    with scene.hold("ada (deploy of 0a1b2c3d)"):
        scene.clock.step(12)
        with pytest.raises(Refused) as refused, scene.hold("bob"):
            pytest.fail("two have the lease")

    assert refused.value.exit_code == 4
    assert refused.value.what == "local.cities is being changed by ada (deploy of 0a1b2c3d), since 12 s"
    assert "in 48 s" in refused.value.hint
    assert "invoke lock --break" in refused.value.hint


def test_who_waits_gets_the_lease_of_a_run_that_died(scene: Scene) -> None:
    assert scene.leases.take(NAME, holder="died", seconds=LEASE_SECONDS) is not None

    with scene.hold("bob", wait=120):
        pass

    assert scene.told == [f"waiting for died, who is changing {NAME}"]
    assert LEASE_SECONDS <= sum(scene.clock.slept) < LEASE_SECONDS + 5


def test_who_waits_in_vain_is_refused_in_the_end(scene: Scene) -> None:
    assert scene.leases.take(NAME, holder="busy", seconds=1000) is not None

    with pytest.raises(Refused, match="is being changed by busy"), scene.hold("bob", wait=10):
        pytest.fail("two have the lease")

    assert sum(scene.clock.slept) == 10


def test_a_lease_that_was_broken_stops_the_next_step(scene: Scene) -> None:
    with scene.hold() as held:
        scene.leases.break_(NAME)
        other = scene.leases.take(NAME, holder="bob", seconds=60)
        held.renew()
        with pytest.raises(Refused, match=r"the lease local.cities was taken away"):
            held.check()

    found = scene.leases.find(NAME)
    assert found is not None
    assert other is not None
    assert found.token == other.token


def test_a_lease_is_renewed_in_the_background(scene: Scene) -> None:
    beats = threading.Semaphore(0)

    class Told(MemoryLeases):
        def renew(self, lease: Lease, *, seconds: float) -> Lease | None:
            beats.release()
            return super().renew(lease, seconds=seconds)

    with Scene(scene.clock, Told(scene.clock)).hold(seconds=0.03):
        for _ in range(3):
            assert beats.acquire(timeout=5)


class Broken(MemoryLeases):
    """A platform that does not answer any more once the lease is taken."""

    def renew(self, lease: Lease, *, seconds: float) -> Lease | None:
        raise Unreachable("the engine does not answer", hint="Start it.")

    def release(self, lease: Lease) -> None:
        raise Unreachable("the engine does not answer", hint="Start it.")


def test_a_platform_that_does_not_answer_for_a_moment_is_no_lost_lease(clock: SteppingClock) -> None:
    with Scene(clock, Broken(clock)).hold() as held:
        held.renew()
        held.check()


@pytest.mark.parametrize("error", [None, Failed("the stack is unhealthy", hint="y"), KeyboardInterrupt()])
def test_a_lease_that_cannot_be_given_up_hides_no_outcome(
    clock: SteppingClock, error: PipelineError | KeyboardInterrupt | None
) -> None:
    scene = Scene(clock, Broken(clock))
    raised: BaseException | None = None

    try:
        with scene.hold():
            if error is not None:
                raise error
    except (PipelineError, KeyboardInterrupt) as found:
        raised = found

    assert raised is error
    (line,) = scene.told
    assert line.startswith("the lease local.cities could not be given up (the engine does not answer)")


def test_a_lease_that_was_given_up_at_that_very_moment_is_not_waited_for_for_ever(clock: SteppingClock) -> None:
    class Contended(MemoryLeases):
        """Somebody else is always a moment faster, and gone when looked for."""

        def take(self, name: str, *, holder: str, seconds: float) -> Lease | None:
            return None

    scene = Scene(clock, Contended(clock))

    with pytest.raises(Refused, match="somebody who gave it up just now"), scene.hold(wait=5):
        pytest.fail("nobody has the lease")
