"""What every platform does: in memory, on the real engine, and on a lab Rancher."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.errors import Failed, Refused
from pipeline.model.image import PIN_LABEL
from pipeline.model.interpolate import secret_mark
from pipeline.model.secret import Secret
from pipeline.model.stack import FoundStack, Mount, Port, Stack
from pipeline.platforms.base import Platform
from tests.contracts.platform_scenes import (
    EngineScene,
    MemoryScene,
    Scene,
    healthy,
    service,
    stack,
    unhealthy,
    wait_for,
)
from tests.contracts.rancher_scene import rancher_scene

NAME = "cities-master-00000001"


@pytest.fixture(params=["memory", "rancher", pytest.param("engine", marks=pytest.mark.engine)])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    if request.param == "memory":
        yield MemoryScene()
        return
    if request.param == "rancher":
        with rancher_scene() as on_rancher:
            yield on_rancher
        return
    client = request.getfixturevalue("engine_client")
    found = EngineScene(client, request.getfixturevalue("image"), SystemClock())
    try:
        yield found
    finally:
        found.destroy()


def observed(platform: Platform, name: str = NAME) -> FoundStack:
    found = platform.observe(name)
    assert found is not None
    return found


def state(platform: Platform, name: str = NAME) -> str:
    return observed(platform, name).state


def services(found: FoundStack) -> list[str]:
    return [container.compose_service for container in found.containers]


def test_nothing_is_there_at_first(scene: Scene) -> None:
    platform = scene.platform()

    assert platform.stacks() == ()
    assert platform.observe(NAME) is None
    assert platform.explain(NAME) == ()
    assert list(platform.logs(NAME, tail=0, follow=False)) == []


def test_a_stack_is_started_and_found_with_all_that_its_labels_say(scene: Scene) -> None:
    platform = scene.platform()
    wanted = scene.fitted(stack(service(), service("proxy")))

    platform.start(wanted, {})

    wait_for(lambda: state(platform) == "running")
    (found,) = platform.stacks()
    assert (found.name, found.service, found.environment) == (NAME, "cities", scene.environment)
    assert (found.branch, found.commit, found.version) == ("master", "1" * 40, "00000001")
    assert (found.sameness, found.subject, found.author) == ("same", "Begin", "Test")
    assert (found.state, found.pinned) == ("running", False)
    assert services(found) == ["app", "proxy"]
    assert {container.digest for container in found.containers} == {wanted.definition.digest()}
    assert {container.image for container in found.containers} == {wanted.definition.services[0].image}
    assert abs(found.created - scene.clock.now()) < 60


def test_a_label_of_one_service_pins_the_stack(scene: Scene) -> None:
    platform = scene.platform()

    platform.start(scene.fitted(stack(service(), service("proxy", labels={PIN_LABEL: "true"}))), {})

    assert [found.pinned for found in platform.stacks()] == [True]


def test_starting_twice_changes_nothing(scene: Scene) -> None:
    platform = scene.platform()
    wanted = scene.fitted(stack(service(), service("proxy")))
    platform.start(wanted, {})
    before = {container.id for container in observed(platform).containers}

    platform.start(wanted, {})

    assert {container.id for container in observed(platform).containers} == before


def test_a_scale_of_two_is_two_containers(scene: Scene) -> None:
    platform = scene.platform()

    platform.start(scene.fitted(stack(service(scale=2), service("proxy"))), {})

    assert services(observed(platform)) == ["app", "app", "proxy"]


def test_a_stack_is_healthy_when_its_checks_say_so(scene: Scene) -> None:
    platform = scene.platform()

    platform.start(scene.fitted(stack(service(health=healthy()))), {})

    assert state(platform) in ("starting", "healthy")
    wait_for(lambda: state(platform) == "healthy")
    assert [found.state for found in platform.stacks()] == ["healthy"]


def test_a_stack_that_is_not_well_explains_itself(scene: Scene) -> None:
    platform = scene.platform()

    platform.start(scene.fitted(stack(service(health=unhealthy()))), {})

    # A Rancher makes such a container anew, again and again: it is starting in between.
    wait_for(lambda: state(platform) == "unhealthy")
    wait_for(lambda: [found.state for found in platform.stacks()] == ["unhealthy"])
    wait_for(lambda: "unhealthy" in " ".join(platform.explain(NAME)))


def test_a_container_that_exits_is_stopped_with_its_code(scene: Scene) -> None:
    scene.need("exit codes")
    platform = scene.platform()
    wanted = scene.fitted(stack(service(command=("sh", "-c", "exit 3"))))

    platform.start(wanted, {})

    wait_for(lambda: state(platform) == "stopped")
    assert observed(platform).containers[0].exit_code == 3
    (listed,) = platform.stacks()
    assert (listed.state, listed.containers[0].exit_code != 0) == ("stopped", True)


def test_a_container_that_exited_is_started_again_by_the_next_run(scene: Scene) -> None:
    scene.need("exit codes")
    platform = scene.platform()
    wanted = scene.fitted(stack(service(command=("sh", "-c", "exit 3"))))
    platform.start(wanted, {})
    wait_for(lambda: state(platform) == "stopped")
    before = observed(platform).containers[0].id

    platform.start(wanted, {})

    assert [container.id for container in observed(platform).containers] == [before]


@pytest.mark.parametrize("starts", [0, 1, 2])
def test_a_run_that_broke_off_half_way_is_completed_by_the_next(scene: Scene, starts: int) -> None:
    wanted = scene.fitted(stack(service("a"), service("b"), service("c")))
    broken = scene.platform()
    scene.interrupt(broken, before_start=starts)
    with pytest.raises(KeyboardInterrupt):
        broken.start(wanted, {})
    platform = scene.platform()
    before = {container.id for container in observed(platform).containers}
    assert len(before) == starts + 1
    assert state(platform) == "starting"

    platform.start(wanted, {})

    wait_for(lambda: state(platform) == "running")
    after = observed(platform)
    assert services(after) == ["a", "b", "c"]
    assert before <= {container.id for container in after.containers}


def test_a_changed_definition_is_started_beside_the_old_one(scene: Scene) -> None:
    platform = scene.platform()
    old = scene.fitted(stack(service(environment={"A": "1"})))
    new = scene.fitted(stack(service(environment={"A": "2"})))
    platform.start(old, {})
    before = observed(platform).containers

    platform.start(new, {})

    both = observed(platform).containers
    assert {container.digest for container in both} == {old.definition.digest(), new.definition.digest()}
    platform.remove(before)
    assert [container.digest for container in observed(platform).containers] == [new.definition.digest()]


def test_what_has_that_name_and_is_somebody_elses_is_refused(scene: Scene) -> None:
    platform = scene.platform()
    wanted = scene.fitted(stack())
    told = scene.occupy(wanted)

    with pytest.raises(Refused, match=told) as refused:
        platform.start(wanted, {})

    assert refused.value.exit_code == 4
    assert platform.observe(NAME) is None


def test_a_port_that_is_in_use_is_named_with_its_service(scene: Scene) -> None:
    scene.need("refusals at the start")
    platform = scene.platform()
    port = scene.occupy_port()
    wanted = scene.fitted(stack(service(ports=(Port(container=80, host=port, address="127.0.0.1"),))))

    with pytest.raises(Failed, match=f"{NAME}: app.*{port}") as failed:
        platform.start(wanted, {})

    assert "host's" in failed.value.hint
    platform.remove(observed(platform).containers)
    assert platform.stacks() == ()


def test_a_published_port_is_told(scene: Scene) -> None:
    scene.need("ports of its choice")
    platform = scene.platform()

    platform.start(scene.fitted(stack(service(ports=(Port(container=80, address="127.0.0.1"),)))), {})

    ((inside, outside),) = observed(platform).containers[0].ports
    assert inside == "80/tcp"
    assert outside.rpartition(":")[2].isdigit()


def test_an_image_that_is_not_there_is_named(scene: Scene) -> None:
    scene.need("refusals at the start")
    platform = scene.platform()
    image = f"sha256:{'0' * 64}"

    with pytest.raises(Failed, match=f"the image {image[:19]}") as failed:
        platform.start(scene.fitted(stack(service(image=image))), {})

    assert failed.value.hint
    assert platform.observe(NAME) is None


def test_volumes_belong_to_service_and_environment_and_outlive_stacks(scene: Scene) -> None:
    scene.need("volumes")
    platform = scene.platform()
    mounts = (Mount(source="data", target="/data"),)
    for name in (NAME, "cities-master-00000002"):
        platform.start(scene.fitted(stack(service(mounts=mounts), name=name, volumes=("data", "unused"))), {})
    wanted = {f"cities-{scene.environment}-data", f"cities-{scene.environment}-unused"}
    assert scene.volumes() == wanted

    for found in platform.stacks():
        platform.remove(found.containers)

    assert platform.stacks() == ()
    assert scene.volumes() == wanted


def test_removing_twice_is_no_error_and_takes_nothing_else(scene: Scene) -> None:
    platform = scene.platform()
    platform.start(scene.fitted(stack()), {})
    platform.start(scene.fitted(stack(name="cities-master-00000002")), {})
    containers = observed(platform).containers

    platform.remove(containers)
    platform.remove(containers)

    assert [found.name for found in platform.stacks()] == ["cities-master-00000002"]


def test_the_log_has_every_line_with_its_container(scene: Scene) -> None:
    scene.need("logs")
    platform = scene.platform()
    platform.start(scene.fitted(stack(service(), service("proxy"))), {})

    wait_for(lambda: len(list(platform.logs(NAME, tail=10, follow=False))) == 2)

    lines = sorted(platform.logs(NAME, tail=0, follow=False))
    assert [line.partition(".")[0] for line in lines] == ["app", "proxy"]
    assert {line.partition(" | ")[2] for line in lines} == {"up"}


def secretive(scene: Scene) -> Stack:
    return scene.fitted(stack(service(environment={"TOKEN": f"x{secret_mark('TOKEN')}", "PLAIN": "$TOKEN"})))


def test_a_secret_reaches_the_containers_environment_and_nothing_else(scene: Scene) -> None:
    platform = scene.platform()
    wanted = secretive(scene)

    platform.start(wanted, {"TOKEN": Secret("hunter2-hunter2")})

    wait_for(lambda: state(platform) == "running")
    (container,) = observed(platform).containers
    given = scene.environment_of(container.id)
    assert (given["TOKEN"], given["PLAIN"]) == ("xhunter2-hunter2", "$TOKEN")
    seen = [repr(platform.stacks()), repr(observed(platform)), repr(wanted), " ".join(platform.explain(NAME))]
    assert "hunter2" not in "".join(seen)


def test_two_environments_on_one_engine_never_see_each_other(scene: Scene) -> None:
    here, there = scene.platform(), scene.platform(f"{scene.environment}-other")
    mine, theirs = scene.fitted(stack()), scene.fitted(stack(environment=f"{scene.environment}-other"))
    here.start(mine, {})

    there.start(theirs, {})

    assert [found.environment for found in here.stacks()] == [mine.environment]
    assert [found.environment for found in there.stacks()] == [theirs.environment]
    here.remove(observed(here).containers)
    assert here.observe(NAME) is None
    wait_for(lambda: state(there) == "running")


def test_stacks_are_listed_oldest_first(scene: Scene) -> None:
    platform = scene.platform()
    names = [f"cities-master-0000000{number}" for number in (3, 1, 2)]

    for number, name in enumerate(names):
        # A listing tells whole seconds.
        scene.clock.sleep(1 if number else 0)
        platform.start(scene.fitted(stack(name=name)), {})

    assert [found.name for found in platform.stacks()] == names
