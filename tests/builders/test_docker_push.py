"""Pushes from a real engine to a real registry: refusals, moods, and what is asked for afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from docker import APIClient
from engine_support import HERE, free_port, is_there, login, remove_images, running_registry
from registry_support import Answered, Asked, Front, cuttable_engine, in_front

from pipeline.builders.docker_images import DockerImages
from pipeline.builders.docker_push import Registries
from pipeline.edge.engine import EngineClients, open_engine
from pipeline.errors import BadInput, Failed, Unreachable
from pipeline.model.address import EngineAddress, RegistryAddress
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
    address: EngineAddress = HERE
    clock: Impatient = field(default_factory=Impatient)
    log: list[str] = field(default_factory=list)

    def registries(self, user: RegistryAddress) -> Registries:
        return Registries(client=self.client, address=self.address, login=user, clock=self.clock)

    def push(self, host: str, user: RegistryAddress, also: tuple[str, ...] = ()) -> BuiltImage:
        name = f"{host}/group/cities:one"
        self.client.tag(self.base, f"{host}/group/cities", "one")
        image = BuiltImage(compose_service="app", reference=name, id="x")
        try:
            return self.registries(user).push(image, self.log.append, also)
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


HTML = Answered(200, {"Content-Type": "text/html"}, b"<html>log in</html>")
DENIED = b'{"errors": [{"code": "DENIED", "message": "quota exceeded"}]}'


def moods(*given: Answered | None) -> Callable[[Asked], Answered | None]:
    """The first manifests are answered so; the last of it for ever."""
    left = list(given)

    def rule(asked: Asked) -> Answered | None:
        if asked.method != "PUT" or asked.what != "manifests":
            return None
        return left.pop(0) if len(left) > 1 else left[0]

    return rule


@contextmanager
def faulty(folder: Path, rule: Callable[[Asked], Answered | None]) -> Iterator[Front]:
    with running_registry(folder) as behind:
        front = Front(behind, rule)
        with in_front(front):
            yield front


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answered(503), "received unexpected HTTP status: 503 Service Unavailable"),
        (Answered(500), "received unexpected HTTP status: 500 Internal Server Error"),
        (Answered(429, {}, DENIED.replace(b"DENIED", b"TOOMANYREQUESTS")), "toomanyrequests: quota exceeded"),
        (Answered(429, {"Retry-After": "3"}), "error parsing HTTP 429 response body"),
    ],
)
def test_a_registry_that_is_busy_at_first_is_pushed_to_again(
    dock: Dock, tmp_path: Path, answer: Answered, words: str
) -> None:
    with faulty(tmp_path, moods(answer, answer, None)) as front:
        pushed = dock.push(front.host, login(front.host))

    assert pushed.digest
    assert dock.clock.slept == [1, 2]
    told = [line for line in dock.log if line.startswith("push: ")]
    assert [line.endswith(f"; again in {seconds} s") for line, seconds in zip(told, (1, 2), strict=True)] == [
        True,
        True,
    ]
    assert [line for line in told if words not in line] == []
    assert front.seen.count("PUT manifests") == 3


def test_a_registry_that_never_takes_the_image_fails_after_some_patience(dock: Dock, tmp_path: Path) -> None:
    wanted = r"/group/cities:one could not be pushed in 5 tries: .* 503"
    with faulty(tmp_path, moods(Answered(503))) as front, pytest.raises(Failed, match=wanted) as failed:
        dock.push(front.host, login(front.host))

    assert dock.clock.slept == [1, 2, 4, 8]
    assert front.seen.count("PUT manifests") == 5
    assert front.host in str(failed.value)
    assert "push again" in failed.value.hint


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answered(401), BadInput, "refuses the user 'ci': group/cities: unauthorized"),
        (Answered(403, {}, DENIED), BadInput, "refuses the user 'ci': group/cities: denied: quota exceeded"),
        (Answered(403, {}, HTML.body), BadInput, "refuses the user 'ci': group/cities: .*HTTP 403"),
        (Answered(413, {}, HTML.body), Failed, "/group/cities:one could not be pushed: .*HTTP 413"),
    ],
)
def test_what_no_repetition_mends_is_not_repeated(
    dock: Dock, tmp_path: Path, answer: Answered, error: type[Exception], words: str
) -> None:
    secret = uuid.uuid4().hex
    with faulty(tmp_path, moods(answer)) as front, pytest.raises(error, match=words) as failed:
        dock.push(front.host, login(front.host, "ci", secret))

    assert dock.clock.slept == []
    assert front.seen.count("PUT manifests") == 1
    assert front.host in str(failed.value)
    assert secret not in "".join([*traceback.format_exception(failed.value), *dock.log])


def test_a_registry_that_forgets_what_it_took_is_not_believed(dock: Dock, tmp_path: Path) -> None:
    def rule(asked: Asked) -> Answered | None:
        return Answered(404) if asked.method == "HEAD" and "/manifests/sha256" in asked.path else None

    wanted = r"does not have .*/group/cities@sha256:\w+ after the push"
    with faulty(tmp_path, rule) as front, pytest.raises(Failed, match=wanted):
        dock.push(front.host, login(front.host))


def test_what_answers_with_a_page_of_its_own_is_sent_nothing(dock: Dock, tmp_path: Path) -> None:
    with faulty(tmp_path, lambda _: HTML) as front, pytest.raises(Unreachable) as failed:
        dock.push(front.host, login(front.host))

    assert str(failed.value) == (
        f"{front.host} does not answer as a registry: 200 with text/html: '<html>log in</html>'"
    )
    assert "proxy" in failed.value.hint
    assert front.writes == []


@pytest.fixture
def heavy(client: APIClient, base: str, tmp_path: Path) -> str:
    """An image of a small layer and one of four megabytes on the base's."""
    name = f"{base}-heavy"
    context = tmp_path / "heavy"
    context.mkdir()
    (context / "small").write_text("small")
    (context / "big").write_bytes(os.urandom(4 << 20))
    (context / "Dockerfile").write_text(f"FROM {base}\nCOPY small /\nCOPY big /\n")
    list(client.build(path=str(context), tag=name, rm=True))
    return name


class Cutting:
    """Does something in the middle of the big layer, when the others have arrived; once."""

    def __init__(self, front: Front, act: Callable[[], bool]) -> None:
        self.front = front
        self.act = act
        self.done = False

    def __call__(self, asked: Asked, size: int) -> bool:
        if self.done or size < 2 << 20:
            return False
        self.done = True
        end = time.monotonic() + 20
        while len(self.front.blobs) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        return self.act()


def test_a_layer_that_arrived_is_not_sent_again_after_the_engine_broke_off(
    base: str, heavy: str, tmp_path: Path
) -> None:
    with running_registry(tmp_path) as behind, cuttable_engine() as (address, cut):
        front = Front(behind)

        def break_off() -> bool:
            cut()
            return False

        front.cuts = Cutting(front, break_off)
        far = open_engine(address)
        try:
            dock = Dock(client=far, base=heavy, address=address)
            with in_front(front) as host:
                pushed = dock.push(host, login(host))
        finally:
            far.close()

    assert pushed.digest
    assert dock.clock.slept == [1]
    assert len(front.blobs) == len(set(front.blobs)) == 4


def test_a_layer_that_arrived_is_not_sent_again_after_a_reset_of_another(
    client: APIClient, heavy: str, tmp_path: Path
) -> None:
    dock = Dock(client=client, base=heavy)
    with running_registry(tmp_path) as behind:
        front = Front(behind)
        front.cuts = Cutting(front, lambda: True)
        with in_front(front) as host:
            pushed = dock.push(host, login(host))

    assert pushed.digest
    assert len(front.blobs) == len(set(front.blobs)) == 4


def test_an_image_that_the_registry_has_is_not_sent_though_the_engine_forgot_that(dock: Dock, tmp_path: Path) -> None:
    with faulty(tmp_path, lambda _: None) as front:
        first = dock.push(front.host, login(front.host))
        front.seen.clear()
        again = dock.push(front.host, login(front.host))

    assert again == first
    assert front.writes == []


def test_further_tags_are_put_without_another_push(dock: Dock, tmp_path: Path) -> None:
    with faulty(tmp_path, lambda _: None) as front:
        pushed = dock.push(front.host, login(front.host), also=("master", "latest"))
        registries = dock.registries(login(front.host))
        found = [registries.access.open(front.host).digest("group/cities", tag) for tag in ("master", "latest")]

    assert [f"{front.host}/group/cities@{digest}" for digest in found] == [pushed.digest] * 2
    assert front.seen.count("POST uploads") == len(front.blobs)


def test_a_further_tag_that_is_refused_is_told_and_fails_nothing(dock: Dock, tmp_path: Path) -> None:
    def rule(asked: Asked) -> Answered | None:
        return Answered(409, {}, DENIED) if asked.method == "PUT" and asked.path.endswith("/master") else None

    with faulty(tmp_path, rule) as front:
        pushed = dock.push(front.host, login(front.host), also=("master", "latest"))

    assert pushed.digest
    assert [line for line in dock.log if line.startswith("push: ")] == [
        f"push: the tag master is not put: the registry {front.host} does not take group/cities:master: "
        "409: DENIED quota exceeded"
    ]


def test_an_image_that_is_in_the_registry_alone_gets_another_tag_and_is_only_looked_for(
    dock: Dock, tmp_path: Path
) -> None:
    with faulty(tmp_path, lambda _: None) as front:
        registries = dock.registries(login(front.host))
        pushed = dock.push(front.host, login(front.host))
        there = BuiltImage(compose_service="app", reference=pushed.reference, id="", digest=pushed.digest)
        front.seen.clear()

        again = registries.retag(there, f"{front.host}/group/cities:two")
        verified = registries.push(again, dock.log.append)

        assert front.writes == ["PUT manifests"]
        assert "GET blobs" not in front.seen
        assert verified == again
        assert (again.reference, again.digest) == (f"{front.host}/group/cities:two", pushed.digest)
        lost = BuiltImage(compose_service="app", reference=again.reference, id="", digest=again.digest[:-1] + "x")
        with pytest.raises(Failed, match=f"cities:two is {pushed.digest.partition('@')[2]}, and not sha256:"):
            registries.push(lost, dock.log.append)


def test_a_tag_in_another_repository_is_no_tag_of_the_image(dock: Dock) -> None:
    image = BuiltImage(compose_service="app", reference="r.example.com/a:1", id="", digest="r.example.com/a@sha256:1")

    with pytest.raises(BadInput, match=r"cannot be given the tag r\.example\.com/b:1"):
        dock.registries(login("r.example.com")).retag(image, "r.example.com/b:1")


def test_an_image_is_found_by_its_fingerprint_and_by_no_other(dock: Dock, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {dock.base}\nLABEL pipeline.fingerprint=f00\n")
    list(dock.client.build(path=str(tmp_path), tag=f"{dock.base}-found", rm=True))
    with running_registry(tmp_path) as host:
        registries = dock.registries(login(host))
        pushed = Dock(client=dock.client, base=f"{dock.base}-found").push(host, login(host))

        found = registries.find_pushed(f"{host}/group/cities", "one", "f00")

        assert found is not None
        assert (found.digest, found.id, found.fingerprint) == (pushed.digest, "", "f00")
        assert registries.find_pushed(f"{host}/group/cities", "one", "other") is None
        assert registries.find_pushed(f"{host}/group/cities", "two", "f00") is None


def test_nothing_is_found_where_nobody_answers_and_a_refusal_is_told(dock: Dock, tmp_path: Path) -> None:
    silent = f"127.0.0.1:{free_port()}"
    assert dock.registries(login(silent)).find_pushed(f"{silent}/group/cities", "one", "f00") is None

    with running_registry(tmp_path, htpasswd=USERS) as host, pytest.raises(BadInput, match="refuses"):
        dock.registries(login(host)).find_pushed(f"{host}/group/cities", "one", "f00")


def test_the_docker_command_s_own_login_is_used_by_the_engine_and_by_us(dock: Dock, tmp_path: Path) -> None:
    with running_registry(tmp_path, htpasswd=USERS) as host:
        folder = Path(os.environ["HOME"], ".docker")
        folder.mkdir()
        entry = {"auth": b64encode(b"ci:secret").decode()}
        (folder / "config.json").write_text(json.dumps({"auths": {f"https://{host}/v1/": entry}}))

        pushed = dock.push(host, RegistryAddress())

        assert dock.registries(RegistryAddress()).find_pushed(f"{host}/group/cities", "one", "") is None
    assert pushed.digest


def test_a_helper_that_is_missing_is_told_before_anything_is_sent(dock: Dock, tmp_path: Path) -> None:
    folder = Path(os.environ["HOME"], ".docker")
    folder.mkdir()
    (folder / "config.json").write_text('{"credsStore": "nowhere"}')

    with faulty(tmp_path, lambda _: None) as front, pytest.raises(BadInput, match="docker-credential-nowhere"):
        dock.push(front.host, RegistryAddress())

    assert front.seen == []


def test_a_docker_command_of_ours_logs_in_past_the_user_s_store(dock: Dock, tmp_path: Path) -> None:
    folder = Path(os.environ["HOME"], ".docker")
    folder.mkdir()
    (folder / "config.json").write_text('{"credsStore": "nowhere"}')
    with running_registry(tmp_path, htpasswd=USERS) as host:
        dock.push(host, login(host, "ci", "secret"))
        with dock.registries(login(host, "ci", "secret")).access.docker_config(os.environ) as environ:
            command = ["docker", "pull", "--quiet", f"{host}/group/cities:one"]
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        remove_images(dock.client, host)

    assert (done.returncode, done.stdout.strip()) == (0, f"{host}/group/cities:one"), done.stderr


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
        images = DockerImages(EngineClients(dock.client, HERE), login(host))
        pushed = Dock(client=dock.client, base=f"{dock.base}-labelled").push(host, login(host))
        assert not is_there(dock.client, f"{host}/group/cities:one")

        found = images.lookup(f"{host}/group/cities:one")

        assert images.lookup(f"{host}/group/cities:two") is None
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
        DockerImages(EngineClients(dock.client, HERE), login(host), clock=dock.clock).lookup(f"{host}/group/cities:one")


def test_a_password_is_on_no_command_line_and_in_no_representation(dock: Dock, tmp_path: Path) -> None:
    host = login("registry.example.com", "ci", "hunter2")
    images = DockerImages(EngineClients(dock.client, HERE), host)

    assert "hunter2" not in f"{images!r} {vars(images)!r} {host!r}"
    assert "hunter2" not in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout
    assert "hunter2" not in " ".join(sys.argv)
