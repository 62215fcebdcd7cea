"""The two images in real containers, on a network as a platform makes it."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.databases import SERVICE

_STAND_INS = {"PYTHON_IMAGE": "pipeline-base/python:bookworm", "NGINX_IMAGE": "pipeline-base/nginx:bookworm"}
# Runs in a container of the application's image: asks, and tells status, headers and body.
_ASK = """
import http.client, json, sys
host, method, path, headers, size, body = json.loads(sys.stdin.read())
connection = http.client.HTTPConnection(host, 80, timeout=40)
connection.request(method, path, b"x" * size if size else body, headers)
answer = connection.getresponse()
print(json.dumps([answer.status, dict(answer.getheaders()), answer.read().decode("latin-1")]))
"""
_IS_UP = "import http.client as h, sys; c = h.HTTPConnection(sys.argv[1]); c.request('GET', '/ws/cities/health'); sys.exit(c.getresponse().status != 200)"


def docker(*arguments: str, stdin: str = "", check: bool = True, timeout: float = 600) -> str:
    finished = subprocess.run(
        ["docker", *arguments],
        input=stdin,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert not check or finished.returncode == 0, finished.stdout
    return finished.stdout.strip()


def engine_answers() -> bool:
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def base_images() -> list[str]:
    """Build arguments: those of PIPELINE_BUILD_ARGS, else of the stand-ins that the engine has."""
    if given := os.environ.get("PIPELINE_BUILD_ARGS", "").split():
        pairs = given
    else:
        pairs = [f"{name}={image}" for name, image in _STAND_INS.items() if docker("images", "--quiet", image)]
    return [word for pair in pairs for word in ("--build-arg", pair)]


def build(tag: str, folder: str, **arguments: str) -> str:
    release = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    return docker("build", *base_images(), *release, "--tag", tag, str(SERVICE / folder))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json", self
        return json.loads(self.text.encode("latin-1"))


@dataclass
class Stack:
    """Containers of one release, and what they share with other stacks."""

    app_image: str
    proxy_image: str
    network: str
    name: str
    volume: str
    containers: list[str] = field(default_factory=list)

    def run(self, image: str, *options: str, alias: str = "", command: tuple[str, ...] = ()) -> str:
        container = f"{self.name}-{uuid.uuid4().hex[:6]}"
        self.containers.append(container)
        network = ("--network", self.network, *(("--network-alias", alias) if alias else ()))
        docker("run", "--detach", "--name", container, *network, *options, image, *command)
        return container

    def app(self, *options: str, alias: str | None = None) -> str:
        options = ("--env", f"stack={self.name}", "--volume", f"{self.volume}:/data", *options)
        return self.run(self.app_image, *options, alias=f"app.{self.name}" if alias is None else alias)

    def proxy(self) -> str:
        return self.run(self.proxy_image, "--env", f"stack={self.name}", alias=f"proxy.{self.name}")

    def client(self) -> str:
        return self.run(self.app_image, command=("sleep", "600"))

    def wait_until_up(self, client: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                docker("exec", client, "python", "-c", _IS_UP, f"proxy.{self.name}")
            except AssertionError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("\n".join(docker("logs", container) for container in self.containers))

    def ask(self, client: str, method: str, path: str, *, size: int = 0, body: Any = None, **headers: str) -> Answer:
        """Header names are given with _ for -. `size` sends that many bytes."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = None if body is None else json.dumps(body)
        question = json.dumps([f"proxy.{self.name}", method, path, names, size, sent])
        return Answer(*json.loads(docker("exec", "--interactive", client, "python", "-c", _ASK, stdin=question)))


@contextmanager
def stack(app_image: str, proxy_image: str) -> Iterator[Stack]:
    name = f"cities-test-{uuid.uuid4().hex[:8]}"
    made = Stack(app_image=app_image, proxy_image=proxy_image, network=name, name=name, volume=name)
    docker("network", "create", name)
    try:
        yield made
    finally:
        docker("rm", "--force", "--volumes", *made.containers, check=False)
        docker("volume", "rm", "--force", name, check=False)
        docker("network", "rm", name, check=False)
