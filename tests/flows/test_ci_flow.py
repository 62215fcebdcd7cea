"""Which services a pipeline is for, waiting for a job's engine, and the end of a review; on memory drivers."""

from __future__ import annotations

import pytest

from pipeline.errors import BadInput, Refused, Unreachable
from pipeline.flows.ci import Service, await_engine, changed, stop_review
from pipeline.gateways.memory import MemoryGateway
from pipeline.gateways.memory_custody import MemoryCustody
from pipeline.model.route import Route
from pipeline.model.secret import Secret
from pipeline.platforms.memory import MemoryEngine, MemoryPlatform
from tests.conftest import SteppingClock
from tests.flows.test_deploy import stack as make


def told(*services: Service, stacks: object = ()) -> dict[str, str]:
    return changed(services, stacks)  # type: ignore[arg-type]


def memory_platform() -> MemoryPlatform:
    return MemoryPlatform(MemoryEngine(clock=SteppingClock()))


def test_a_service_whose_image_is_built_has_changed() -> None:
    assert told(Service(name="cities", building="2 files differ", stack=None)) == {"cities": "2 files differ"}


def test_a_service_that_is_only_built_has_changed_with_its_images_alone() -> None:
    assert told(Service(name="cities", building="", stack=make()), stacks=None) == {}


def test_a_service_that_runs_as_it_would_be_has_not_changed_and_one_with_another_definition_has() -> None:
    platform = memory_platform()
    platform.start(make(), {"TOKEN": Secret("t")})

    assert told(Service(name="cities", building="", stack=make()), stacks=platform.stacks()) == {}
    assert list(told(Service(name="cities", building="", stack=make()), stacks=())) == ["cities"]


def test_a_service_of_which_nothing_can_be_told_counts_as_changed() -> None:
    assert told(Service(name="cities", building="", stack=None)) == {"cities": "what it would be cannot be told"}


def test_the_jobs_engine_is_waited_for_and_its_certificates_too(clock: SteppingClock) -> None:
    answers = [
        Unreachable("tcp://docker:2376 does not answer", hint=""),
        BadInput("TLS: no certificates", hint=""),
        None,
    ]
    lines: list[str] = []

    def open_engine() -> None:
        if (error := answers.pop(0)) is not None:
            raise error

    await_engine(open_engine, clock=clock, seconds=60, tell=lines.append)

    assert answers == []
    assert lines == ["waiting for the job's engine"]
    assert sum(clock.slept) == 1.0


def test_an_engine_that_never_comes_is_named_with_what_to_look_at(clock: SteppingClock) -> None:
    def open_engine() -> None:
        raise Unreachable("tcp://docker:2376 does not answer", hint="x")

    with pytest.raises(Unreachable, match=r"tcp://docker:2376 does not answer \(waited 5 s\)") as gone:
        await_engine(open_engine, clock=clock, seconds=5, tell=lambda line: None)

    assert "dind" in gone.value.hint
    assert gone.value.exit_code == 5


def review(environment: str) -> Route:
    name = f"cities.{environment.replace('/', '.')}"
    return Route(
        service=name,
        environment=environment,
        stack="s",
        uri="/a",
        upstream="http://proxy.s",
        hosts=(f"{name}.example.com",),
    )


def test_a_review_is_taken_down_and_the_others_stay() -> None:
    gateway, platform = MemoryGateway(), memory_platform()
    for environment in ("review/mine", "review/yours"):
        gateway.apply(gateway.plan(review(environment)))
    platform.start(make(), {"TOKEN": Secret("t")})

    was_there = stop_review("review/mine", platform, gateway, MemoryCustody(gateway), lambda line: None)

    assert was_there
    assert [route.name for route in gateway.routes()] == ["cities.review.yours"]
    assert platform.stacks() == ()
    assert not stop_review("review/mine", platform, gateway, MemoryCustody(gateway), lambda line: None)


@pytest.mark.parametrize("environment", ["stage", "production", "review"])
def test_nothing_but_a_review_is_taken_down(environment: str) -> None:
    gateway = MemoryGateway()
    with pytest.raises(Refused, match="is not a review"):
        stop_review(environment, memory_platform(), gateway, MemoryCustody(gateway), lambda line: None)
