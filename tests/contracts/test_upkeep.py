"""What is put away and found on a platform, in memory, on a lab Rancher and on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pipeline.edge.engine import EngineClients
from pipeline.errors import Failed
from pipeline.model.image import LABEL
from pipeline.model.rancher import ServiceRow, StackRow
from pipeline.platforms.base import Upkeep
from pipeline.platforms.docker_upkeep import DockerUpkeep
from pipeline.platforms.memory_upkeep import MemoryUpkeep
from pipeline.platforms.rancher_upkeep import RancherUpkeep
from tests.conftest import SteppingClock
from tests.contracts.platform_scenes import HERE, EngineScene, MemoryScene, Scene, service, stack, wait_for
from tests.contracts.rancher_scene import RancherScene, rancher_scene

if TYPE_CHECKING:
    from docker import APIClient


class MemoryUpkeepScene(MemoryScene):
    def upkeep(self, environment: str = "") -> Upkeep:
        return MemoryUpkeep(self.engine, environment or self.environment)


class EngineUpkeepScene(EngineScene):
    def upkeep(self, environment: str = "") -> Upkeep:
        self.clients = EngineClients(None, HERE)
        return DockerUpkeep(self.clients, environment or self.environment)

    def destroy(self) -> None:
        if hasattr(self, "clients"):
            self.clients.close()
        super().destroy()


class RancherUpkeepScene(RancherScene):
    def upkeep(self, environment: str = "") -> Upkeep:
        return RancherUpkeep(self.client(environment), clock=self.clock)


AnyScene = MemoryUpkeepScene | EngineUpkeepScene | RancherUpkeepScene


@pytest.fixture(params=["memory", "rancher", pytest.param("engine", marks=pytest.mark.engine)])
def scene(request: pytest.FixtureRequest) -> Iterator[AnyScene]:
    if request.param == "memory":
        yield MemoryUpkeepScene()
        return
    if request.param == "rancher":
        with rancher_scene(RancherUpkeepScene) as on_rancher:
            yield on_rancher
        return
    client = request.getfixturevalue("engine_client")
    found = EngineUpkeepScene(client, request.getfixturevalue("image"), SteppingClock())
    try:
        yield found
    finally:
        found.destroy()


@pytest.fixture
def engine_scene(engine_client: APIClient, image: str) -> Iterator[EngineUpkeepScene]:
    found = EngineUpkeepScene(engine_client, image, SteppingClock())
    try:
        yield found
    finally:
        found.destroy()


def containers(scene: Scene, name: str = "cities-master-00000001"):  # type: ignore[no-untyped-def]
    found = scene.platform().observe(name)
    return found.containers if found else ()


def test_what_is_stopped_stays_and_starts_again_as_it_was(scene: AnyScene) -> None:
    scene.platform().start(scene.fitted(stack()), {})
    before = containers(scene)

    scene.upkeep().stop(before)
    scene.upkeep().stop(before)
    assert [one.state for one in containers(scene)] == ["stopped"]
    scene.upkeep().resume(before)
    scene.upkeep().resume(before)

    wait_for(lambda: [one.state for one in containers(scene)] == ["running"])
    assert [one.id for one in containers(scene)] == [one.id for one in before]


def test_what_is_gone_is_no_error_to_stop_or_remove_and_one_to_start(scene: AnyScene) -> None:
    scene.platform().start(scene.fitted(stack()), {})
    before = containers(scene)

    scene.upkeep().remove(before)
    scene.upkeep().remove(before)
    scene.upkeep().stop(before)

    assert containers(scene) == ()
    with pytest.raises(Failed, match="was removed by somebody else"):
        scene.upkeep().resume(before)


def test_surroundings_tell_the_platforms_time_the_volumes_and_what_others_use(scene: AnyScene) -> None:
    scene.need("images")
    wanted = stack(service(mounts=()), volumes=("data",))
    scene.platform().start(scene.fitted(wanted), {})

    mine, other = scene.upkeep().surroundings(), scene.upkeep(f"{scene.environment}-other").surroundings()

    (container,) = containers(scene)
    assert abs(mine.now - container.created) < 300
    assert [one.name for one in mine.volumes if one.environment == scene.environment] == [
        f"cities-{scene.environment}-data"
    ]
    assert container.image not in mine.used
    assert container.image in other.used
    assert mine.strangers == () or scene.environment != "local"


def test_containers_of_others_are_strangers_and_ours_of_any_environment_are_not(
    engine_scene: EngineUpkeepScene,
) -> None:
    scene = engine_scene
    scene.platform().start(scene.fitted(stack()), {})
    compose = {"com.docker.compose.project": "towns-master-0a1b2c3d", "com.docker.compose.service": "proxy"}
    for name, labels in (("whatever-1", compose), ("cities-old-0a1b2c3d.web.1", {f"{LABEL}service": "cities"})):
        made = scene.client.create_container(scene.image, command=["true"], name=name, labels=labels)
        scene.foreign.append(made["Id"])

    found = {one.name: one for one in scene.upkeep(f"{scene.environment}-other").surroundings().strangers}

    assert found["towns-master-0a1b2c3d"].containers[0].compose_service == "proxy"
    assert found["cities-old-0a1b2c3d"].containers[0].compose_service == "web"
    assert not [name for name in found if name.startswith("cities-master-00000001")]


def test_on_a_rancher_stacks_of_others_are_strangers_and_ours_of_any_environment_are_not() -> None:
    with rancher_scene(RancherUpkeepScene) as scene:
        scene.platform().start(scene.fitted(stack()), {})
        made = scene.client().create("stacks", {"name": "towns-master-0a1b2c3d", "externalId": "by://hand"}, StackRow)
        launch = {"imageUuid": "docker:estate/towns:1"}
        body = {"name": "proxy", "stackId": made.id, "scale": 2, "launchConfig": launch, "startOnCreate": True}
        scene.client().create("services", body, ServiceRow)
        scene.client().create("stacks", {"name": "empty"}, StackRow)

        found = {one.name: one for one in scene.upkeep().surroundings().strangers}

        assert found.keys() == {"towns-master-0a1b2c3d", "empty"}
        assert [(one.compose_service, one.image_name) for one in found["towns-master-0a1b2c3d"].containers] == [
            ("proxy", "estate/towns:1"),
            ("proxy", "estate/towns:1"),
        ]
        assert scene.upkeep("stage-other").surroundings().strangers == ()
        scene.upkeep().remove(found["towns-master-0a1b2c3d"].containers)
        assert [one.name for one in scene.upkeep().surroundings().strangers] == ["empty"]


def test_an_image_goes_with_all_of_its_names_unless_a_container_has_it(engine_scene: EngineUpkeepScene) -> None:
    scene = engine_scene
    scene.client.tag(scene.image, "pipeline-test/upkeep", "1")
    made = scene.client.create_container("pipeline-test/upkeep:1", command=["true"], labels={"a": "b"})
    committed = scene.client.commit(made["Id"], repository="pipeline-test/upkeep", tag="2")["Id"]
    scene.client.tag("pipeline-test/upkeep:2", "pipeline-test/upkeep", "3")
    scene.client.remove_image("pipeline-test/upkeep:1")
    upkeep = scene.upkeep()
    found = {one.id: one for one in upkeep.surroundings().images}

    try:
        assert found[committed].names == ("pipeline-test/upkeep:2", "pipeline-test/upkeep:3")
        assert upkeep.space() > 0
        assert upkeep.remove_image(found[scene.image]) is False
        assert upkeep.remove_image(found[committed]) is True
        assert upkeep.remove_image(found[committed]) is True
        assert committed not in {one.id for one in upkeep.surroundings().images}
    finally:
        scene.client.remove_container(made["Id"], force=True)


def test_two_thousand_stopped_containers_are_one_listing(engine_scene: EngineUpkeepScene) -> None:
    """Few are made here: what counts is that their number costs no request."""
    scene = engine_scene
    platform = scene.platform()
    for number in range(8):
        platform.start(scene.fitted(stack(name=f"cities-master-{number:08}")), {})
    from tests.contracts.platform_scenes import counted

    upkeep = scene.upkeep()
    upkeep.surroundings()
    requests = counted(scene.clients.client)
    upkeep.surroundings()

    assert len(requests) == 4
