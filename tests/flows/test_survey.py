"""What runs and what is routed, read side by side."""

from __future__ import annotations

import threading

import pytest

from pipeline.errors import Unreachable
from pipeline.flows.survey import survey
from pipeline.gateways.base import Gateway
from pipeline.gateways.memory import MemoryGateway
from pipeline.model.stack import Definition, Stack, StackService
from pipeline.platforms.base import Platform
from pipeline.platforms.memory import MemoryEngine, MemoryPlatform
from tests.conftest import SteppingClock


@pytest.fixture
def platform(clock: SteppingClock) -> MemoryPlatform:
    found = MemoryPlatform(MemoryEngine(clock=clock))
    definition = Definition(services=(StackService(name="proxy", image="nginx"),))
    found.start(
        Stack(
            name="cities-master-0a1b2c3d",
            service="cities",
            environment="local",
            branch="master",
            commit="",
            version="",
            definition=definition,
            sameness="",
            labels={},
        ),
        {},
    )
    return found


def no_platform() -> Platform:
    raise Unreachable("the engine does not answer", hint="Start it.")


def no_gateway() -> Gateway:
    raise Unreachable("the gateway does not answer", hint="Start it.")


def test_platform_and_gateway_make_one_snapshot(platform: MemoryPlatform) -> None:
    found = survey("local", lambda: platform, MemoryGateway)

    assert found.environment == "local"
    assert [stack.name for stack in found.stacks] == ["cities-master-0a1b2c3d"]
    assert (found.routes, found.missing) == ((), ())


def test_a_source_that_cannot_be_read_is_named_and_the_other_one_is_there(platform: MemoryPlatform) -> None:
    without_gateway = survey("local", lambda: platform, no_gateway)
    without_platform = survey("local", no_platform, MemoryGateway)

    assert len(without_gateway.stacks) == 1
    assert without_gateway.missing == (("gateway", "the gateway does not answer"),)
    assert without_platform.missing == (("platform", "the engine does not answer"),)


def test_both_missing_are_both_named() -> None:
    found = survey("local", no_platform, no_gateway)

    assert [source for source, _ in found.missing] == ["gateway", "platform"]


def test_each_source_is_read_once_and_at_the_same_time(platform: MemoryPlatform) -> None:
    calls: list[str] = []
    together = threading.Barrier(2, timeout=5)

    def open_platform() -> Platform:
        together.wait()
        return platform

    def open_gateway() -> Gateway:
        together.wait()
        return MemoryGateway()

    platform.engine.before = calls.append

    survey("local", open_platform, open_gateway)

    assert calls == ["list"]


def test_a_mistake_of_ours_is_not_taken_for_a_source_that_is_missing() -> None:
    def broken() -> Platform:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        survey("local", broken, MemoryGateway)
