"""What a Docker engine alone can show: names that resolve, grace times, costs, and an engine that dies."""

from __future__ import annotations

import base64
import contextlib
import gc
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import APIClient

from pipeline.edge.clock import SystemClock
from pipeline.edge.engine import open_engine
from pipeline.errors import Refused, Unreachable
from pipeline.model.address import EngineAddress
from pipeline.model.interpolate import secret_mark
from pipeline.model.secret import Secret
from pipeline.model.stack import NO_HEALTH, Mount
from pipeline.platforms.docker import DockerPlatform
from tests.builders.engine_support import running_registry
from tests.contracts.platform_scenes import (
    HERE,
    NOWHERE,
    EngineScene,
    counted,
    service,
    stack,
    unhealthy,
    wait_for,
)

pytestmark = pytest.mark.engine
ONE, TWO = "cities-master-00000001", "cities-master-00000002"


@pytest.fixture
def scene(engine_client: APIClient, image: str) -> Iterator[EngineScene]:
    found = EngineScene(engine_client, image, SystemClock())
    try:
        yield found
    finally:
        found.destroy()


@pytest.fixture
def platform(scene: EngineScene, engine_client: APIClient) -> DockerPlatform:
    return DockerPlatform(engine_client, HERE, scene.environment, NOWHERE)


def ids(platform: DockerPlatform, name: str = ONE) -> dict[str, str]:
    found = platform.observe(name)
    assert found is not None
    return {container.compose_service: container.id for container in found.containers}


def says(name: str) -> tuple[str, ...]:
    """A server that answers every connection with its name."""
    return ("sh", "-c", f"trap 'exit 0' TERM; while :; do echo {name} | nc -l -p 80 -w 2; done")


def answer(scene: EngineScene, container: str, host: str) -> str:
    for _ in range(40):
        code, text = scene.run(container, "sh", "-c", f"nc -w 2 {host} 80 </dev/null")
        if code == 0 and text:
            return text.strip()
        time.sleep(0.1)
    return text


def test_names_resolve_across_stacks_and_a_short_one_within_its_own_first(
    scene: EngineScene, platform: DockerPlatform
) -> None:
    for name in (ONE, TWO):
        app, proxy = service(command=says(name)), service("proxy")
        platform.start(scene.fitted(stack(app, proxy, name=name)), {})
    asking = {name: ids(platform, name)["proxy"] for name in (ONE, TWO)}

    assert answer(scene, asking[ONE], "app") == ONE
    assert answer(scene, asking[TWO], "app") == TWO
    assert answer(scene, asking[ONE], f"app.{TWO}") == TWO


def test_every_container_of_a_scale_has_the_name(scene: EngineScene, platform: DockerPlatform) -> None:
    platform.start(scene.fitted(stack(service(scale=2), service("proxy"))), {})

    code, text = scene.run(ids(platform)["proxy"], "nslookup", f"app.{ONE}", "127.0.0.11")

    assert code == 0, text
    assert text.count(f"Name:\tapp.{ONE}") == 2


def test_what_a_volume_holds_is_there_for_the_next_stack(scene: EngineScene, platform: DockerPlatform) -> None:
    mounts = (Mount(source="data", target="/data"),)
    platform.start(scene.fitted(stack(service(mounts=mounts), volumes=("data",))), {})
    scene.run(ids(platform)["app"], "sh", "-c", "echo kept > /data/file")
    found = platform.observe(ONE)
    assert found is not None
    platform.remove(found.containers)

    platform.start(scene.fitted(stack(service(mounts=mounts), name=TWO, volumes=("data",))), {})

    assert scene.run(ids(platform, TWO)["app"], "cat", "/data/file") == (0, "kept\n")


def test_listing_costs_the_same_number_of_requests_for_one_stack_and_for_many(
    scene: EngineScene, platform: DockerPlatform, engine_client: APIClient
) -> None:
    platform.start(scene.fitted(stack(service(health=unhealthy()))), {})
    requests = counted(engine_client)
    platform.stacks()
    for_one = len(requests)
    for number in range(2, 6):
        platform.start(scene.fitted(stack(name=f"cities-master-0000000{number}")), {})
    del requests[:]

    assert len(platform.stacks()) == 5

    assert len(requests) == for_one == 4
    assert set(requests) == {f"GET /v{engine_client.api_version}/containers/json"}


def test_a_run_that_finds_all_as_it_should_be_writes_nothing(
    scene: EngineScene, platform: DockerPlatform, engine_client: APIClient
) -> None:
    platform.start(scene.fitted(stack()), {})
    requests = counted(engine_client)

    platform.stacks()
    platform.observe(ONE)

    assert {request.split()[0] for request in requests} == {"GET"}


def test_containers_are_stopped_in_their_own_grace_time_however_long_it_is(
    scene: EngineScene, platform: DockerPlatform
) -> None:
    deaf = ("sh", "-c", "trap 'sleep 3; echo bye > /data/bye; exit 0' TERM; while :; do sleep 0.05; done")
    mounts = (Mount(source="data", target="/data"),)
    platform.start(scene.fitted(stack(service(command=deaf, stop_seconds=6.0, mounts=mounts), volumes=("data",))), {})
    impatient = open_engine(HERE)
    impatient.timeout = 1
    scene.others.append(impatient)
    slow = DockerPlatform(impatient, HERE, scene.environment, NOWHERE)
    found = slow.observe(ONE)
    assert found is not None
    requests = counted(impatient)

    slow.remove(found.containers)

    # Said in the request: docker-py waits for the answer as much longer than its own time-out.
    assert [request.partition("/stop")[2] for request in requests if "/stop" in request] == ["?t=6"]

    assert slow.observe(ONE) is None
    platform.start(scene.fitted(stack(service(mounts=mounts), name=TWO, volumes=("data",))), {})
    assert scene.run(ids(platform, TWO)["app"], "cat", "/data/bye") == (0, "bye\n")


def test_a_secret_is_in_the_environment_of_a_container_and_nowhere_else_on_the_engine(
    scene: EngineScene, platform: DockerPlatform, engine_client: APIClient
) -> None:
    wanted = stack(service(environment={"TOKEN": secret_mark("TOKEN")}, command=("sh", "-c", "trap : TERM; sleep 5")))
    platform.start(scene.fitted(wanted), {"TOKEN": Secret("hunter2-hunter2")})

    details = engine_client.inspect_container(ids(platform)["app"])

    assert "TOKEN=hunter2-hunter2" in details["Config"].pop("Env")
    assert "hunter2" not in json.dumps(details)


def test_a_network_that_is_somebody_elses_is_refused(
    scene: EngineScene, platform: DockerPlatform, engine_client: APIClient
) -> None:
    engine_client.create_network(f"pipeline-{scene.environment}")

    with pytest.raises(Refused, match=f"a network pipeline-{scene.environment} .* that this toolkit did not make"):
        platform.start(scene.fitted(stack()), {})

    assert platform.stacks() == ()


def test_a_volume_of_another_service_is_refused_and_one_made_by_hand_is_used(
    scene: EngineScene, platform: DockerPlatform, engine_client: APIClient
) -> None:
    theirs = {"pipeline.environment": scene.environment, "pipeline.service": "towns"}
    engine_client.create_volume(f"cities-{scene.environment}-theirs", labels=theirs)
    engine_client.create_volume(f"cities-{scene.environment}-plain")

    with pytest.raises(Refused, match="belongs to towns in"):
        platform.start(scene.fitted(stack(volumes=("theirs",))), {})
    platform.start(scene.fitted(stack(volumes=("plain",))), {})

    assert platform.observe(ONE) is not None


def test_a_paused_container_serves_nothing_and_goes_on_with_the_next_run(
    scene: EngineScene, platform: DockerPlatform, engine_client: APIClient
) -> None:
    wanted = scene.fitted(stack())
    platform.start(wanted, {})
    engine_client.pause(ids(platform)["app"])
    assert [found.state for found in platform.stacks()] == ["stopped"]

    platform.start(wanted, {})

    assert [found.state for found in platform.stacks()] == ["running"]


def test_an_images_own_health_check_can_be_switched_off(scene: EngineScene, platform: DockerPlatform) -> None:
    made = scene.client.create_container(scene.image, command=["true"])
    changes = "HEALTHCHECK --interval=100ms CMD exit 9"
    image = scene.client.commit(made["Id"], changes=changes)["Id"]
    scene.client.remove_container(made["Id"])
    try:
        platform.start(scene.fitted(stack(service(image=image), service("b", image=image, health=NO_HEALTH))), {})
        found = platform.observe(ONE)
    finally:
        scene.destroy()
        scene.client.remove_image(image, force=True)

    assert found is not None
    assert [container.state in ("starting", "unhealthy") for container in found.containers] == [True, False]


def test_it_explains_how_a_container_ended_and_what_its_health_check_said(
    scene: EngineScene, platform: DockerPlatform
) -> None:
    ends = service(command=("sh", "-c", "exit 3"))
    platform.start(scene.fitted(stack(ends, service("proxy", health=unhealthy()))), {})
    wait_for(lambda: "not well" in " ".join(platform.explain(ONE)))

    first, second, third = platform.explain(ONE) if "app" in platform.explain(ONE)[0] else reversed_parts(platform)

    assert first.startswith(f"{ONE}.app.1-")
    assert first.endswith(": exited, exit code 3")
    assert second.startswith(f"{ONE}.proxy.1-")
    assert third == "  health check exited with 9: not well"


def reversed_parts(platform: DockerPlatform) -> tuple[str, str, str]:
    """The engine lists the newest container first."""
    second, third, first = platform.explain(ONE)
    return first, second, third


def test_a_log_is_followed_as_it_comes(scene: EngineScene, platform: DockerPlatform) -> None:
    counting = ("sh", "-c", "trap 'exit 0' TERM; i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done")
    platform.start(scene.fitted(stack(service(command=counting))), {})

    following = platform.logs(ONE, tail=0, follow=True)
    lines = list(itertools.islice(following, 5))
    following.close()  # type: ignore[attr-defined]  # a generator

    assert [line.partition(" | ")[2] for line in lines] == ["0", "1", "2", "3", "4"]


class Dying:
    """An engine that passes so many bytes of answers on and then is gone: a socket in front of the real one."""

    def __init__(self, folder: Path, real: str) -> None:
        self.path = folder / "engine.sock"
        self._real = real
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen()
        self._open: list[socket.socket] = [self._server]
        threading.Thread(target=self._accept, daemon=True).start()

    def die(self) -> None:
        os.unlink(self.path)
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._real)
            self._open += [client, engine]
            for source, target in ((client, engine), (engine, client)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while part := source.recv(65536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def forgetful() -> Iterator[None]:
    """docker-py forgets to close the socket of a connection that was refused: it goes here, where that is no error."""
    yield
    gc.collect()


UNCLOSED = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@UNCLOSED
@pytest.mark.usefixtures("forgetful")
@pytest.mark.skipif(not Path("/var/run/docker.sock").exists(), reason="the engine has no socket to stand in front of")
def test_an_engine_that_dies_is_unreachable_while_a_log_is_followed_and_afterwards(
    scene: EngineScene, tmp_path: Path
) -> None:
    dying = Dying(tmp_path, "/var/run/docker.sock")
    address = EngineAddress(host=f"unix://{dying.path}")
    client = open_engine(address)
    scene.others.append(client)
    platform = DockerPlatform(client, address, scene.environment, NOWHERE)
    platform.start(scene.fitted(stack()), {})
    following = platform.logs(ONE, tail=0, follow=True)
    assert next(following).endswith(" | up")

    dying.die()

    with pytest.raises(Unreachable, match="does not answer") as unreachable:
        platform.start(scene.fitted(stack(name=TWO)), {})
    assert unreachable.value.exit_code == 5
    assert str(address) in unreachable.value.what
    assert "DOCKER_HOST" in unreachable.value.hint


@UNCLOSED
@pytest.mark.usefixtures("forgetful")
def test_an_engine_that_is_not_there_is_unreachable_and_leaves_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"does not answer \(connect\)"):
        open_engine(EngineAddress(host=f"unix://{tmp_path}/none.sock"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable):
            open_engine(EngineAddress(host=f"tcp://127.0.0.1:{taken.getsockname()[1]}"))


def test_certificates_that_are_not_there_are_bad_input(tmp_path: Path) -> None:
    from pipeline.errors import BadInput

    for address in (
        EngineAddress(host="tcp://127.0.0.1:2376", tls_verify=True, cert_path=str(tmp_path)),
        EngineAddress(host="tcp://127.0.0.1:2376", tls_verify=True),
    ):
        with pytest.raises(BadInput, match="TLS") as refused:
            open_engine(address)
        assert "DOCKER_CERT_PATH" in refused.value.hint


def test_a_ca_bundle_of_the_machine_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    client = open_engine(HERE)
    try:
        assert not client.trust_env
        assert client.ping()
    finally:
        client.close()


def test_a_private_image_is_pulled_with_the_login_of_the_docker_command_s_own_configuration(
    scene: EngineScene, platform: DockerPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = "ci:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"  # the password is: secret
    with running_registry(tmp_path, htpasswd=users) as registry:
        config = {"auths": {registry: {"auth": base64.b64encode(b"ci:secret").decode()}}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        name = f"{registry}/{scene.environment}"
        scene.client.tag(scene.image, name, "one")
        auth = {"username": "ci", "password": "secret"}
        for _ in scene.client.push(name, tag="one", stream=True, decode=True, auth_config=auth):
            pass
        scene.client.remove_image(f"{name}:one")
        private = scene.fitted(stack(service(image=f"{name}:one")))

        platform.start(private, {})

        assert ids(platform)
        scene.destroy()
        scene.client.remove_image(f"{name}:one")
