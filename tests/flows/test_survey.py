"""What runs and what is routed, read side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.errors import Unreachable
from pipeline.flows.survey import Sources, survey
from pipeline.gateways.base import Gateway
from pipeline.gateways.memory import MemoryGateway
from pipeline.gateways.memory_custody import MemoryCustody
from pipeline.ledgers.base import Records
from pipeline.ledgers.memory import MemoryLeases, MemoryRecords
from pipeline.model.record import Record
from pipeline.model.route import FoundUpstream
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import Definition, Stack, StackService
from pipeline.platforms.base import Platform
from pipeline.platforms.memory import MemoryEngine, MemoryPlatform
from pipeline.platforms.memory_upkeep import MemoryUpkeep
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


def read(platform: Callable[[], Platform], gateway: Callable[[], Gateway]) -> Snapshot:
    return survey("local", Sources(platform=platform, gateway=gateway))


def no_platform() -> Platform:
    raise Unreachable("the engine does not answer", hint="Start it.")


def no_gateway() -> Gateway:
    raise Unreachable("the gateway does not answer", hint="Start it.")


def test_platform_and_gateway_make_one_snapshot(platform: MemoryPlatform) -> None:
    found = read(lambda: platform, MemoryGateway)

    assert found.environment == "local"
    assert [stack.name for stack in found.stacks] == ["cities-master-0a1b2c3d"]
    assert (found.routes, found.missing) == ((), ())


def test_a_source_that_cannot_be_read_is_named_and_the_other_one_is_there(platform: MemoryPlatform) -> None:
    without_gateway = read(lambda: platform, no_gateway)
    without_platform = read(no_platform, MemoryGateway)

    assert len(without_gateway.stacks) == 1
    assert without_gateway.missing == (("gateway", "the gateway does not answer"),)
    assert without_platform.missing == (("platform", "the engine does not answer"),)


def test_both_missing_are_both_named() -> None:
    found = read(no_platform, no_gateway)

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

    read(open_platform, open_gateway)

    assert calls == ["list"]


def test_a_mistake_of_ours_is_not_taken_for_a_source_that_is_missing() -> None:
    def broken() -> Platform:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read(broken, MemoryGateway)


def test_each_source_that_is_asked_for_is_read_once_and_whatever_fails_is_named(
    platform: MemoryPlatform, clock: SteppingClock
) -> None:
    calls: list[str] = []
    platform.engine.before = calls.append
    gateway = MemoryGateway()
    gateway.add_foreign("cities", "/ws/cities", "http://blue-green:80")
    group = FoundUpstream(name="blue-green", targets=("proxy.cities-master-0a1b2c3d:80",))
    leases = MemoryLeases(clock)
    leases.take("local.cities", holder="ada", seconds=60)

    def no_records() -> Records:
        raise Unreachable("no answer", hint="Start it.")

    found = survey(
        "local",
        Sources(
            platform=lambda: platform,
            gateway=lambda: gateway,
            upkeep=lambda: MemoryUpkeep(platform.engine),
            custody=lambda: MemoryCustody(gateway, (group,)),
            records=no_records,
            leases=lambda: leases,
            branches=lambda: frozenset({"master"}),
        ),
    )

    assert sorted(calls) == ["list", "list everything"]
    assert found.missing == (("records", "no answer"),)
    assert [one.holder for one in found.leases] == ["ada"]
    assert (found.upstreams, found.now, found.branches) == ((group,), clock.now(), frozenset({"master"}))
    assert [route.name for route in found.routes_to(found.stacks[0])] == ["cities"]


def test_a_stack_that_records_say_was_taken_over_is_one_of_the_environments(
    platform: MemoryPlatform, clock: SteppingClock
) -> None:
    (old,) = platform.stacks()
    stranger = replace(old, name="towns-master-00000001", service="", environment="")
    platform.engine.strangers = (stranger, replace(stranger, name="other"))
    records = MemoryRecords(clock)
    facts = {"service": "towns", "environment": "local", "branch": "master", "version": "00000001"}
    records.append(Record(verb="adopt", stack="towns-master-00000001", **facts))

    found = survey(
        "local",
        Sources(
            platform=lambda: platform,
            gateway=MemoryGateway,
            upkeep=lambda: MemoryUpkeep(platform.engine),
            records=lambda: records,
        ),
    )

    taken = next(stack for stack in found.stacks if stack.service == "towns")
    assert (taken.name, taken.environment, taken.branch, taken.adopted) == (stranger.name, "local", "master", True)
    assert [one.name for one in found.surroundings.strangers] == ["other"]
