"""Where the platforms' contract is tried: in memory, and on the engine that runs here. A scene takes all it made away."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.edge.engine import open_engine
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.clock import Clock
from pipeline.model.image import LABEL
from pipeline.model.stack import Definition, HealthCheck, Stack, StackService
from pipeline.platforms.base import Platform
from pipeline.platforms.docker import DockerPlatform
from pipeline.platforms.memory import Behaviour, MemoryEngine, MemoryPlatform
from pipeline.platforms.names import container_name
from tests.conftest import SteppingClock

if TYPE_CHECKING:
    from docker import APIClient

HERE = EngineAddress()
NOWHERE = RegistryAddress()
STAYS = ("sh", "-c", "echo up; trap 'exit 0' TERM; while :; do sleep 0.05; done")


def service(name: str = "app", **fields: Any) -> StackService:
    return StackService(**{"name": name, "image": "IMAGE", "command": STAYS, "stop_seconds": 2.0} | fields)


def stack(
    *services: StackService, name: str = "cities-master-00000001", environment: str = "", volumes: tuple[str, ...] = ()
) -> Stack:
    """`environment` and every image `IMAGE` are the scene's own, filled in by `Scene.start`."""
    definition = Definition(services=services or (service(),), volumes=volumes, upstream_service="app")
    return Stack(
        name=name,
        service="cities",
        environment=environment,
        branch="master",
        commit="1" * 40,
        version=name[-8:],
        definition=definition,
        sameness="same",
        labels={},
    )


class Scene(Protocol):
    """One engine with an environment of its own."""

    environment: str
    clock: Clock

    def need(self, what: str) -> None:
        """Skips the test where the platform has nothing like it."""

    def platform(self, environment: str = "") -> Platform: ...

    def fitted(self, wanted: Stack) -> Stack: ...

    def environment_of(self, container: str) -> Mapping[str, str]: ...

    def volumes(self) -> set[str]: ...

    def occupy(self, wanted: Stack) -> str:
        """Makes what has the stack's name and is somebody else's; how it is told of."""

    def occupy_port(self) -> int: ...

    def interrupt(self, platform: Platform, *, before_start: int) -> None: ...


def fitted(wanted: Stack, environment: str, image: str) -> Stack:
    """The stack with the scene's environment and image, and the labels that a driver finds it by."""
    import msgspec

    services = tuple(
        msgspec.structs.replace(one, image=image if one.image == "IMAGE" else one.image)
        for one in wanted.definition.services
    )
    definition = msgspec.structs.replace(wanted.definition, services=services)
    facts = {"service": wanted.service, "environment": environment, "stack": wanted.name, "branch": wanted.branch}
    facts |= {"commit": wanted.commit, "version": wanted.version, "sameness": wanted.sameness}
    facts |= {"definition": definition.digest(), "subject": "Begin", "author": "Test"}
    labels = {f"{LABEL}{name}": text for name, text in facts.items()}
    from dataclasses import replace

    return replace(wanted, environment=environment, definition=definition, labels=labels)


def first_name(wanted: Stack) -> str:
    """Of the first container that an engine would be asked for."""
    return container_name(wanted, wanted.definition.services[0], 1, wanted.definition.digest())


@dataclass
class MemoryScene:
    """Containers that begin with `exits` in their command exit; those with `never` in their health never get well."""

    environment: str = "local"
    clock: SteppingClock = field(default_factory=SteppingClock)

    def __post_init__(self) -> None:
        self.engine = MemoryEngine(clock=self.clock, behave=_as_commanded, images={"image:1"})

    def platform(self, environment: str = "") -> Platform:
        return MemoryPlatform(self.engine, environment or self.environment)

    def fitted(self, wanted: Stack) -> Stack:
        return fitted(wanted, wanted.environment or self.environment, "image:1")

    def environment_of(self, container: str) -> Mapping[str, str]:
        return next(one.environment for one in self.engine.containers.values() if one.id == container)

    def volumes(self) -> set[str]:
        return set(self.engine.volumes)

    def need(self, what: str) -> None:
        return

    def occupy(self, wanted: Stack) -> str:
        name = first_name(wanted)
        self.engine.foreign.add(name)
        return f"there is a container {name}"

    def occupy_port(self) -> int:
        self.engine.taken.add(8080)
        return 8080

    def interrupt(self, platform: Platform, *, before_start: int) -> None:
        left = [before_start]

        def before(doing: str) -> None:
            left[0] -= doing.startswith("start ")
            if left[0] < 0:
                self.engine.before = lambda _doing: None
                raise KeyboardInterrupt

        self.engine.before = before


def _as_commanded(_: Stack, one: StackService) -> Behaviour:
    words = " ".join((*(one.command or ()), *(one.health.test if one.health else ())))
    return Behaviour(
        healthy_after=2,
        unhealthy_after=2 if "exit 9" in words else None,
        exits_after=1 if "exit 3" in words else None,
        exit_code=3,
        log=("up",),
    )


@dataclass
class EngineScene:
    """An environment `t-<hex>` on the engine, and an image of busybox."""

    client: APIClient
    image: str
    clock: Clock
    environment: str = field(default_factory=lambda: f"t-{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.others: list[APIClient] = []
        self.foreign: list[str] = []
        self.environments = [self.environment, f"{self.environment}-other"]

    def platform(self, environment: str = "") -> Platform:
        client = open_engine(HERE)
        self.others.append(client)
        return DockerPlatform(client, HERE, environment or self.environment, NOWHERE)

    def fitted(self, wanted: Stack) -> Stack:
        return fitted(wanted, wanted.environment or self.environment, self.image)

    def environment_of(self, container: str) -> Mapping[str, str]:
        given = self.client.inspect_container(container)["Config"]["Env"]
        return dict(text.split("=", 1) for text in given)

    def volumes(self) -> set[str]:
        listed = self.client.volumes(filters={"label": f"{LABEL}environment={self.environment}"})
        return {volume["Name"] for volume in listed["Volumes"] or ()}

    def need(self, what: str) -> None:
        return

    def occupy(self, wanted: Stack) -> str:
        name = first_name(wanted)
        self.client.create_container(self.image, command=["true"], name=name)
        self.foreign.append(name)
        return f"there is a container {name}"

    def occupy_port(self) -> int:
        config = self.client.create_host_config(port_bindings={80: ("127.0.0.1", 0)})
        made = self.client.create_container(self.image, command=list(STAYS), ports=[80], host_config=config)
        self.foreign.append(made["Id"])
        self.client.start(made["Id"])
        return int(self.client.port(made["Id"], 80)[0]["HostPort"])

    def interrupt(self, platform: Platform, *, before_start: int) -> None:
        assert isinstance(platform, DockerPlatform)
        self.others[-1].hooks["response"].append(_Interruption(before_start))

    def run(self, container: str, *command: str) -> tuple[int, str]:
        """What a command prints in a container, both streams, and its exit code."""
        made = self.client.exec_create(container, list(command))["Id"]
        text: bytes = self.client.exec_start(made)
        return self.client.exec_inspect(made)["ExitCode"], text.decode()

    def destroy(self) -> None:
        for environment in self.environments:
            for label in ("environment", "ledger-environment"):
                mine = {"label": f"{LABEL}{label}={environment}"}
                for container in self.client.containers(all=True, filters=mine):
                    self.client.remove_container(container["Id"], v=True, force=True)
        for name in self.foreign:
            self.client.remove_container(name, v=True, force=True)
        for volume in self.client.volumes()["Volumes"] or ():
            if any(f"-{one}-" in volume["Name"] or volume["Name"].endswith(f"-{one}") for one in self.environments):
                self.client.remove_volume(volume["Name"], force=True)
        for network in self.client.networks():
            if network["Name"] in [f"pipeline-{one}" for one in self.environments]:
                self.client.remove_network(network["Id"])
        for client in self.others:
            client.close()


class _Interruption:
    """Ends the run, as Ctrl-C would, when the engine has answered so many creates and the next start would come."""

    def __init__(self, starts: int) -> None:
        self._left = starts

    def __call__(self, response: Any, *words: Any, **named: Any) -> None:
        creating = response.request.path_url.partition("?")[0].endswith("/containers/create")
        if creating and response.status_code == 201:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt


@contextmanager
def busybox_image(client: APIClient) -> Iterator[str]:
    """The id of an image of a shell, its libraries and nothing else."""
    listed = subprocess.run(["ldd", "/bin/busybox"], capture_output=True, text=True, check=False).stdout.split()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for path in ["/bin/busybox", *(word for word in listed if word.startswith("/"))]:
            archive.add(os.path.realpath(path), arcname=path)
        for applet in ("sh", "sleep", "true", "cat", "nslookup", "nc", "hostname", "ping"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    name = f"pipeline-test/{uuid.uuid4().hex[:12]}"
    client.import_image_from_data(tar.getvalue(), repository=name, tag="1")
    try:
        yield str(client.inspect_image(f"{name}:1")["Id"])
    finally:
        client.remove_image(f"{name}:1", force=True)


def counted(client: APIClient) -> list[str]:
    """Every request of the client from now on, as `GET /v1.41/containers/json`; of queries, those that stop."""
    requests: list[str] = []

    def count(response: Any, *words: Any, **named: Any) -> None:
        path, _, query = response.request.path_url.partition("?")
        requests.append(f"{response.request.method} {path}" + (f"?{query}" if path.endswith("/stop") else ""))

    client.hooks["response"].append(count)
    return requests


def wait_for(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def unhealthy() -> HealthCheck:
    return HealthCheck(test=("CMD-SHELL", "echo not well; exit 9"), interval=0.2, timeout=2.0, retries=1)


def healthy() -> HealthCheck:
    return HealthCheck(test=("CMD-SHELL", "true"), interval=0.2, timeout=2.0, retries=1)
