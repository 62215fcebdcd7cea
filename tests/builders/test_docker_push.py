"""Pushes from a real engine to a real registry: refusals, moods, and what is asked for afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from docker import APIClient
from engine_support import HERE, free_port, is_there, login, remove_images, running_registry

from pipeline.builders.docker import DockerBuilder
from pipeline.errors import BadInput, Failed, Unreachable
from pipeline.model.address import RegistryAddress
from pipeline.model.image import BuiltImage

pytestmark = pytest.mark.engine
USERS = "ci:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"  # the password is: secret


@dataclass
class Impatient:
    """A clock on which no time passes but by sleeping."""

    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return sum(self.slept)

    monotonic = now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass
class Dock:
    """An image that is named after a registry, and what its push told."""

    client: APIClient
    base: str
    clock: Impatient = field(default_factory=Impatient)
    log: list[str] = field(default_factory=list)

    def push(self, host: str, user: RegistryAddress) -> BuiltImage:
        name = f"{host}/group/cities:one"
        self.client.tag(self.base, f"{host}/group/cities", "one")
        try:
            builder = DockerBuilder(self.client, HERE, user, clock=self.clock)
            return builder.push(BuiltImage(compose_service="app", reference=name, id="x"), self.log.append)
        finally:
            remove_images(self.client, host)


@pytest.fixture
def dock(client: APIClient, base: str) -> Dock:
    return Dock(client=client, base=base)


def test_the_right_login_pushes(dock: Dock, tmp_path: Path) -> None:
    with running_registry(tmp_path, htpasswd=USERS) as host:
        pushed = dock.push(host, login(host, "ci", "secret"))

    assert pushed.digest.startswith(f"{host}/group/cities@sha256:")


@pytest.mark.parametrize(("user", "password"), [("ci", "wrong"), ("", "")])
def test_a_refused_login_is_told_with_the_variables_to_set(
    dock: Dock, tmp_path: Path, user: str, password: str
) -> None:
    with running_registry(tmp_path, htpasswd=USERS) as host, pytest.raises(BadInput) as refused:
        dock.push(host, login(host, user, password))

    assert str(refused.value).startswith(f"the registry {host} refuses")
    assert "CI_REGISTRY_USER and CI_REGISTRY_PASSWORD" in refused.value.hint
    assert "wrong" not in str(refused.value) + "".join(dock.log)
    assert dock.clock.slept == []


def test_a_registry_that_fails_at_first_is_asked_again(dock: Dock, tmp_path: Path) -> None:
    with running_registry(tmp_path) as behind, moody(behind, failures=2) as host:
        pushed = dock.push(host, login(host))

    assert pushed.digest
    assert dock.clock.slept == [1, 2]
    assert [line for line in dock.log if line.startswith("push: ")] == [
        "push: received unexpected HTTP status: 503 Service Unavailable; again in 1 s",
        "push: received unexpected HTTP status: 503 Service Unavailable; again in 2 s",
    ]


def test_a_registry_that_never_takes_the_image_fails_after_some_patience(dock: Dock, tmp_path: Path) -> None:
    wanted = r"/group/cities:one could not be pushed in 5 tries: .* 503"
    with running_registry(tmp_path) as behind, moody(behind, failures=99) as host, pytest.raises(Failed, match=wanted):
        dock.push(host, login(host))

    assert dock.clock.slept == [1, 2, 4, 8]


def test_a_registry_that_forgets_what_it_took_is_not_believed(dock: Dock, tmp_path: Path) -> None:
    wanted = r"does not have .*@sha256:\w+ after the push"
    with running_registry(tmp_path) as behind, moody(behind, forgets=True) as host, pytest.raises(Failed, match=wanted):
        dock.push(host, login(host))


def test_a_registry_that_is_not_there_fails_after_some_patience(dock: Dock) -> None:
    host = f"127.0.0.1:{free_port()}"

    with pytest.raises(Failed, match="could not be pushed in 5 tries"):
        dock.push(host, login(host))


def test_an_image_that_only_the_registry_has_is_looked_up_there(dock: Dock, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {dock.base}\nLABEL pipeline.compose-service=app pipeline.fingerprint=f00 pipeline.stack=cities-one\n"
    )
    list(dock.client.build(path=str(tmp_path), tag=f"{dock.base}-labelled", rm=True))
    with running_registry(tmp_path) as host:
        builder = DockerBuilder(dock.client, HERE, login(host))
        pushed = Dock(client=dock.client, base=f"{dock.base}-labelled").push(host, login(host))
        assert not is_there(dock.client, f"{host}/group/cities:one")

        found = builder.lookup(f"{host}/group/cities:one")

        assert builder.lookup(f"{host}/group/cities:two") is None
    assert found == BuiltImage(
        compose_service="app",
        reference=f"{host}/group/cities:one",
        id="",
        digest=pushed.digest,
        fingerprint="f00",
        built_for="cities-one",
    )


def test_a_lookup_at_a_registry_that_is_not_there_is_unreachable(dock: Dock) -> None:
    host = f"127.0.0.1:{free_port()}"

    with pytest.raises(Unreachable, match=f"the registry {host} does not answer"):
        DockerBuilder(dock.client, HERE, login(host), clock=dock.clock).lookup(f"{host}/group/cities:one")


def test_a_password_is_on_no_command_line_and_in_no_representation(dock: Dock, tmp_path: Path) -> None:
    host = login("registry.example.com", "ci", "hunter2")
    builder = DockerBuilder(dock.client, HERE, host)

    assert "hunter2" not in f"{builder!r} {vars(builder)!r} {host!r}"
    assert "hunter2" not in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout
    assert "hunter2" not in " ".join(sys.argv)


@contextmanager
def moody(behind: str, *, failures: int = 0, forgets: bool = False) -> Iterator[str]:
    """A registry in front of a registry: it refuses the first manifests with 503, or does not know what it took."""
    left = [failures]

    class Moody(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self._body()
            if self.command == "PUT" and "/manifests/" in self.path and left[0]:
                left[0] -= 1
                return self._answer(503, {}, b"")
            if forgets and self.command == "HEAD" and "/manifests/sha256" in self.path:
                return self._answer(404, {}, b"")
            headers = {"Content-Type": "application/octet-stream"}
            headers |= {name: value for name, value in self.headers.items() if name != "Transfer-Encoding"}
            asked = urllib.request.Request(f"http://{behind}{self.path}", body, headers, method=self.command)
            try:
                with urllib.request.urlopen(asked) as answer:
                    return self._answer(answer.status, dict(answer.headers), answer.read())
            except urllib.error.HTTPError as answer:
                with answer:
                    return self._answer(answer.code, dict(answer.headers), answer.read())

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = pass_on

        def _body(self) -> bytes | None:
            if self.headers.get("Transfer-Encoding") != "chunked":
                length = self.headers.get("Content-Length")
                return self.rfile.read(int(length)) if length else None
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name not in ("Transfer-Encoding", "Content-Length") or self.command == "HEAD":
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Moody) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
