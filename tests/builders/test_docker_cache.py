"""What a build may reuse, on a real engine and a real registry: cache images that are pulled, and base images' names."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import APIClient
from engine_support import HERE, free_port, is_there, login, remove_images, running_registry
from registry_support import Answered, Asked, Front, in_front

from pipeline.builders.docker_bases import BaseImages
from pipeline.builders.docker_cache import CacheSources
from pipeline.builders.docker_push import Registries
from pipeline.builders.docker_registries import Silences
from pipeline.edge.engine import open_engine
from pipeline.model.image import BuiltImage
from tests.conftest import SteppingClock

pytestmark = pytest.mark.engine
USERS = "ci:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"  # the password is: secret
INDEX = "application/vnd.oci.image.index.v1+json"


class Site:
    """An engine and a registry that may be asked for images of group/cities, by tag."""

    def __init__(self, client: APIClient, base: str, host: str, user: str = "", password: str = "") -> None:
        self.client = client
        self.base = base
        self.host = host
        self.log: list[str] = []
        self.silences = Silences()
        self.registries = Registries(
            client=client, address=HERE, login=login(host, user, password), clock=SteppingClock()
        )
        self.sources = CacheSources(self.registries, lambda: open_engine(HERE), silences=self.silences)
        self.bases = BaseImages(self.registries, lambda: open_engine(HERE), silences=self.silences)

    def name(self, tag: str) -> str:
        return f"{self.host}/group/cities:{tag}"

    def push(self, *tags: str) -> str:
        """Pushes the base as these tags and removes them from the engine; gives the digest."""
        for tag in tags:
            self.client.tag(self.base, f"{self.host}/group/cities", tag)
            image = BuiltImage(compose_service="app", reference=self.name(tag), id="x")
            pushed = self.registries.push(image, self.log.append)
        self.forget()
        self.log.clear()
        return pushed.digest.partition("@")[2]

    def forget(self) -> None:
        remove_images(self.client, self.host)

    def pull(self, *tags: str) -> tuple[str, ...]:
        return self.sources.pull_existing([self.name(tag) for tag in tags], self.log.append)


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    with running_registry(tmp_path) as behind:
        front = Front(behind)
        with in_front(front):
            yield front


@pytest.fixture
def site(client: APIClient, base: str, front: Front) -> Iterator[Site]:
    site = Site(client, base, front.host)
    yield site
    site.forget()


def test_what_exists_is_pulled_in_the_order_asked_for_and_what_does_not_is_left_out_silently(site: Site) -> None:
    site.push("branch", "main")

    found = site.pull("main", "missing", "branch", "main")

    assert found == (site.name("main"), site.name("branch"))
    assert all(is_there(site.client, name) for name in found)
    size = site.client.inspect_image(site.base)["Size"] / 1e6  # type: ignore[no-untyped-call]  # its stubs
    assert sorted(site.log) == [
        line
        for name in (site.name("branch"), site.name("main"))
        for line in (f"cache: {name} is here after 0.0 s, {size:.0f} MB", f"cache: {name} is pulled")
    ]


def test_what_the_engine_has_is_kept_without_a_question(site: Site, front: Front) -> None:
    site.push("branch")
    site.pull("branch")
    front.seen.clear()
    site.log.clear()

    assert site.pull("branch") == (site.name("branch"),)
    assert (front.seen, site.log) == ([], [])


def test_a_digest_is_pulled_as_a_tag_is(site: Site) -> None:
    name = f"{site.host}/group/cities@{site.push('branch')}"

    assert site.sources.pull_existing([name], site.log.append) == (name,)


def test_a_name_without_a_registry_is_never_asked_for_elsewhere(site: Site) -> None:
    assert site.sources.pull_existing(["group/cities:one", "cities:one"], site.log.append) == ()
    assert site.log == []


def test_what_fails_is_told_in_a_line_and_left_out(site: Site, front: Front) -> None:
    bad = put_index(front, site.push("good"), "bad")
    front.rule = lambda asked: (
        Answered(403, {}, b"{}") if asked.method == "GET" and asked.path.endswith(("/bad", bad)) else None
    )

    found = site.pull("bad", "good")

    assert found == (site.name("good"),)
    told = [line for line in site.log if "left out" in line]
    assert len(told) == 1
    assert told[0].startswith(f"cache: {site.name('bad')} is left out: ")


def test_a_refused_login_is_told_and_fails_nothing(client: APIClient, base: str, tmp_path: Path) -> None:
    with running_registry(tmp_path, htpasswd=USERS) as host:
        site = Site(client, base, host, "ci", "wrong")

        assert site.pull("one") == ()

    assert site.log[0].startswith(f"cache: {site.name('one')} is left out: the registry {host} refuses the user 'ci'")


def test_a_private_registry_is_pulled_from_with_the_login(client: APIClient, base: str, tmp_path: Path) -> None:
    with running_registry(tmp_path, htpasswd=USERS) as host:
        site = Site(client, base, host, "ci", "secret")
        site.push("one")
        try:
            assert site.pull("one") == (site.name("one"),)
        finally:
            site.forget()


def test_a_registry_that_is_silent_is_asked_once(client: APIClient, base: str) -> None:
    site = Site(client, base, f"127.0.0.1:{free_port()}")

    first, told = site.pull("one"), list(site.log)
    second = site.pull("one", "two")

    assert (first, second) == ((), ())
    assert len(told) == 1
    assert site.log == told


def test_a_login_that_cannot_be_found_leaves_the_image_out(site: Site) -> None:
    site.push("one")
    folder = Path(os.environ["HOME"], ".docker")
    folder.mkdir()
    (folder / "config.json").write_text('{"credsStore": "nowhere"}')
    other = Site(site.client, site.base, site.host)

    assert other.pull("one") == ()
    assert "docker-credential-nowhere" in other.log[0]


def test_an_interrupt_ends_pulls_that_wait_for_a_layer(
    client: APIClient, base: str, front: Front, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nRUN cat /proc/sys/kernel/random/uuid > /one\n")
    built = f"{base}-{uuid.uuid4().hex}"
    list(client.build(path=str(tmp_path), tag=built, rm=True))
    site = Site(client, built, front.host)
    site.push("one")
    client.remove_image(built)  # with its layer, so that there is something to pull
    rest = threading.Event()

    def stall(asked: Asked) -> Answered | None:
        if asked.method == "GET" and asked.what == "blobs":
            if not stalled:
                stalled.append(True)
                os.kill(os.getpid(), signal.SIGINT)
            rest.wait(30)
        return None

    stalled: list[bool] = []
    front.rule = stall
    try:
        with pytest.raises(KeyboardInterrupt):
            site.pull("one")
        pulling = [thread for thread in threading.enumerate() if "_work" in thread.name]
    finally:
        rest.set()

    assert pulling == []
    assert not is_there(client, site.name("one"))


def test_a_base_image_is_the_same_here_and_in_the_registry(site: Site, front: Front) -> None:
    digest = site.push("one")
    name = site.name("one")

    there = site.bases.base_identity(name)
    site.pull("one")
    front.seen.clear()
    here = site.bases.base_identity(name)

    assert (there, here) == (digest, digest)
    assert front.seen == []


def test_an_index_is_the_same_here_and_in_the_registry(site: Site, front: Front) -> None:
    manifest = site.push("one")
    digest = put_index(front, manifest, "two")

    there = site.bases.base_identity(site.name("two"))
    site.pull("two")
    here = Site(site.client, site.base, site.host).bases.base_identity(site.name("two"))

    assert there == here == digest != manifest


def test_a_registry_is_asked_with_head_and_once(site: Site, front: Front) -> None:
    site.push("one")
    front.seen.clear()

    assert {site.bases.base_identity(site.name("one")) for _ in range(3)} != {""}
    assert front.seen == ["HEAD manifests"]


def test_the_engine_s_own_image_is_not_taken_for_the_registry_s(site: Site, tmp_path: Path) -> None:
    digest = site.push("one")
    site.client.tag(site.base, f"{site.host}/group/cities", "one")
    same = site.bases.base_identity(site.name("one"))
    (tmp_path / "Dockerfile").write_text(f"FROM {site.base}\nLABEL other=1\n")
    list(site.client.build(path=str(tmp_path), tag=site.name("one"), rm=True))

    other = site.bases.base_identity(site.name("one"))

    assert same == digest
    assert other == site.client.inspect_image(site.name("one"))["Id"]  # type: ignore[no-untyped-call]  # its stubs


def test_an_image_of_no_registry_is_its_id(site: Site) -> None:
    found = site.client.inspect_image(site.base)["Id"]  # type: ignore[no-untyped-call]  # its stubs

    assert site.bases.base_identity(site.base) == found


def test_a_digest_in_the_reference_needs_no_question(client: APIClient, base: str) -> None:
    site = Site(client, base, f"127.0.0.1:{free_port()}")

    assert site.bases.base_identity(f"{site.host}/group/cities:one@sha256:abc") == "sha256:abc"
    assert site.host not in site.silences


def test_what_nobody_has_or_can_tell_is_empty(client: APIClient, base: str, site: Site) -> None:
    silent = Site(client, base, f"127.0.0.1:{free_port()}")

    assert site.bases.base_identity(site.name("missing")) == ""
    assert silent.bases.base_identity(silent.name("one")) == ""
    assert silent.host in silent.silences


def test_a_registry_that_does_not_answer_is_not_waited_for_again(site: Site, front: Front) -> None:
    front.rule = lambda asked: Answered(503)

    found = [site.bases.base_identity(site.name(tag)) for tag in ("one", "two", "three")]

    assert found == ["", "", ""]
    assert front.seen == ["HEAD manifests"]


def put_index(front: Front, manifest: str, tag: str) -> str:
    """An index of the one image in group/cities; gives its digest."""
    with urllib.request.urlopen(f"http://{front.host}/v2/group/cities/manifests/{manifest}") as answer:
        size, kind = len(answer.read()), answer.headers["Content-Type"]
    entry = {"mediaType": kind, "digest": manifest, "size": size}
    platforms = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64")]
    entries = [{**entry, "platform": platform} for platform in platforms]
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    url = f"http://{front.host}/v2/group/cities/manifests/{tag}"
    urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": INDEX}, method="PUT")).close()
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
