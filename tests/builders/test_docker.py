"""The builder on a real engine: what arrives, what the cache keeps, what is told, and what is left when it goes wrong."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from engine_support import (
    Workshop,
    docker_workshop,
    free_port,
    held,
    is_there,
    login,
    recipe_of,
    remove_images,
    running_registry,
)
from fragile_engine import fragile_engine

from pipeline.builders.base import Making
from pipeline.edge.engine import open_engine
from pipeline.errors import BadInput, Failed, Unreachable
from pipeline.model.image import BuiltImage, image_labels
from pipeline.model.manifest import parse_manifest
from pipeline.model.release import Checkout, make_release
from pipeline.model.sources import encode_parts

pytestmark = pytest.mark.engine


class Site:
    """A folder to build from, under a repository of its own."""

    def __init__(self, client: APIClient, base: str, folder: Path) -> None:
        self.client = client
        self.base = base
        self.folder = folder
        self.repository = f"{base.partition(':')[0]}-{uuid.uuid4().hex[:8]}"
        self.log: list[str] = []

    def write(self, dockerfile: str, **files: str) -> None:
        (self.folder / "Dockerfile").write_text(dockerfile.replace("BASE", self.base))
        for name, content in files.items():
            (self.folder / name).write_text(content)

    def build(self, *, tag: str = "one", shop: Workshop | None = None, **fields: Any) -> BuiltImage:
        recipe = recipe_of(self.folder, f"{self.repository}:{tag}", **fields)
        return (shop or docker_workshop(self.client)).build(recipe, self.listen_all)

    def listen_all(self, text: str) -> None:
        self.log += text.split("\n")

    def listen(self, listener: Callable[[str], None], **fields: Any) -> BuiltImage:
        recipe = recipe_of(self.folder, f"{self.repository}:one", **fields)
        return docker_workshop(self.client).build(recipe, listener)

    def labels(self, image: BuiltImage) -> dict[str, str]:
        found: dict[str, str] = self.client.inspect_image(image.id)["Config"]["Labels"]  # type: ignore[no-untyped-call]
        return found

    @property
    def tagged(self) -> bool:
        return is_there(self.client, f"{self.repository}:one")


@pytest.fixture
def site(client: APIClient, base: str, tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "service"
    folder.mkdir()
    found = Site(client, base, folder)
    yield found
    remove_images(client, found.repository)


def test_labels_arrive_as_they_are_whatever_the_branch_is_called(site: Site) -> None:
    branch = "feature/\"; rm -rf $HOME; '`\\"
    manifest = parse_manifest(b'{"uri": "/c"}', file="package.json", default_name="cities")
    release = make_release(manifest, Checkout(commit="0a1b2c3d" * 5, branch=branch, source="https://e/c"), "local")
    wanted = image_labels(release, "app")
    site.write("ARG IMAGE=BASE\nFROM $IMAGE\nLABEL own=kept\n")

    image = site.build(labels=wanted)

    assert site.labels(image) == {
        **wanted,
        "own": "kept",
        "pipeline.fingerprint": image.fingerprint,
        "pipeline.sources": encode_parts(docker_workshop(site.client).sources(recipe_of(site.folder, "x:1")).parts),
        "org.opencontainers.image.base.name": site.base,
    }


def test_labels_are_one_step_and_set_off_no_trigger(site: Site) -> None:
    site.write("FROM BASE\nONBUILD RUN echo for those who build on it\n")

    image = site.build(labels={"pipeline.service": "cities", "pipeline.stack": "s"})

    inspected = site.client.inspect_image(image.id)  # type: ignore[no-untyped-call]
    assert inspected["Config"]["OnBuild"] == ["RUN echo for those who build on it"]
    assert site.labels(image)["pipeline.stack"] == "s"


def test_an_ignored_dockerfile_does_not_arrive(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\n", code="x")
    (site.folder / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")

    assert list(held(site.client, site.build().id, "/srv")) == ["code"]


def test_a_dockerfile_outside_of_the_context_builds_and_does_not_arrive(site: Site) -> None:
    outside = site.folder.parent / "Dockerfile.outside"
    outside.write_text(f"FROM {site.base}\nCOPY . /srv\n")
    (site.folder / "code").write_text("x")

    assert list(held(site.client, site.build(dockerfile=str(outside)).id, "/srv")) == ["code"]


def test_an_ignore_file_of_the_dockerfile_s_own_is_obeyed(site: Site) -> None:
    (site.folder / "code").write_text("x")
    (site.folder / "notes").write_text("x")
    (site.folder / "app.Dockerfile").write_text(f"FROM {site.base}\nCOPY . /srv\n")
    (site.folder / "app.Dockerfile.dockerignore").write_text("notes\n*Dockerfile*\n")
    (site.folder / ".dockerignore").write_text("code\n")

    found = held(site.client, site.build(dockerfile=str(site.folder / "app.Dockerfile")).id, "/srv")

    assert sorted(found) == [".dockerignore", "code"]


def test_a_target_ends_the_build(site: Site) -> None:
    site.write("FROM BASE AS first\nRUN echo one\nFROM first\nRUN false\n")

    image = site.build(target="first", labels={"pipeline.stack": "s"})

    assert site.labels(image)["pipeline.stack"] == "s"


def test_a_copy_of_the_folder_by_another_owner_hits_the_cache_completely(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\nRUN echo slow\n", code="x")
    first = site.build(labels={"pipeline.stack": "s"})
    site.log.clear()
    copy = shutil.copytree(site.folder, site.folder.parent / "copy")
    for path in (copy, *copy.iterdir()):
        os.utime(path, (1, 1))
        if os.geteuid() == 0:
            os.chown(path, 1234, 5678)
    site.folder = copy

    second = site.build(labels={"pipeline.stack": "s"})

    assert second.id == first.id
    assert sum("Using cache" in line for line in site.log) == 2


def test_another_release_of_the_same_files_hits_the_cache_up_to_its_facts(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\nRUN echo slow\nARG version\nENV version=$version\n", code="x")
    site.build(labels={"pipeline.stack": "s1"}, facts={"version": "1"})
    site.log.clear()

    image = site.build(tag="two", labels={"pipeline.stack": "s2"}, facts={"version": "2", "branch": "unused"})

    assert sum("Using cache" in line for line in site.log) == 3
    assert not any("were not consumed" in line for line in site.log)
    assert "version=2" in site.client.inspect_image(image.id)["Config"]["Env"]  # type: ignore[no-untyped-call]


def test_a_base_image_under_the_same_name_but_with_another_id_changes_the_fingerprint(site: Site) -> None:
    site.write(f"FROM {site.repository}:one\n")
    recipe = recipe_of(site.folder, f"{site.repository}:two")
    site.client.tag(site.base, site.repository, "one")
    shop = docker_workshop(site.client)
    before = shop.fingerprint(recipe)
    site.write("FROM BASE\nRUN echo other\n")
    site.build()
    site.write(f"FROM {site.repository}:one\n")

    assert shop.fingerprint(recipe) != before


def test_lines_are_told_while_the_step_runs(site: Site) -> None:
    site.write("FROM BASE\nRUN echo first; sleep 1.5; echo second\n")
    heard: list[tuple[str, float]] = []

    site.listen(lambda line: heard.append((line, time.monotonic())))

    times = dict(heard)
    assert times["second"] - times["first"] > 1


def test_a_failing_step_is_told_with_its_line_and_its_last_lines_again(site: Site) -> None:
    site.write("FROM BASE\nRUN echo fine\n\nRUN echo one && \\\n    echo two >&2 && \\\n    cat /missing\n")

    with pytest.raises(Failed, match=r"Dockerfile:4: step 3 of 3 failed: 'RUN echo one && .*non-zero code: 1"):
        site.build()

    end = site.log[site.log.index(next(line for line in site.log if line.startswith("--- the end of step 3"))) :]
    assert {line for line in end if line in ("one", "two", "fine")} == {"one", "two"}  # of two streams: in any order
    assert any("/missing" in line for line in end)
    assert not site.tagged


def test_a_mistake_in_the_dockerfile_is_told_with_its_line(site: Site) -> None:
    site.write("FROM BASE\nRAN echo\n")

    with pytest.raises(Failed, match=r"could not build .*/Dockerfile: dockerfile parse error line 2"):
        site.build()


def test_an_argument_that_is_not_declared_is_left_out_and_said(site: Site) -> None:
    site.write("FROM BASE\n")

    site.build(args={"EXTRA": "1"}, machine_args={"PYTHON_IMAGE": "x"})

    assert [line for line in site.log if "warning" in line.lower()] == [
        f"warning: {site.folder}/Dockerfile declares no ARG EXTRA: it is left out "
        "(docker-compose.yml: services.app.build.args)"
    ]


def test_git_s_own_folder_in_a_context_is_warned_of_until_it_is_ignored(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\n")
    (site.folder / ".git").mkdir()

    site.build()
    warned = [line for line in site.log if "git's own folder" in line]
    site.log.clear()
    (site.folder / ".dockerignore").write_text(".git\n")
    site.build()

    assert len(warned) == 1
    assert not any("git's own folder" in line for line in site.log)


def test_an_image_that_a_branch_took_over_is_what_its_next_build_is_compared_with(site: Site) -> None:
    own = {"pipeline.service": "cities", "pipeline.compose-service": "app"}
    shop = docker_workshop(site.client)
    site.write("FROM BASE\nCOPY . /srv\n", code="one")
    of_main = recipe_of(site.folder, f"{site.repository}:main-0a1b2c3d", labels={**own, "pipeline.branch": "main"})
    taken = shop.images.tag(
        shop.build(of_main, site.log.append), recipe_of(site.folder, f"{site.repository}:try-0a1b2c3e")
    )
    site.write("FROM BASE\nCOPY . /srv\n", code="two")
    other = {**own, "pipeline.branch": "try-2"}
    shop.build(recipe_of(site.folder, f"{site.repository}:try-2-0a1b2c3f", labels=other), site.log.append)
    wanted = recipe_of(site.folder, f"{site.repository}:try-0a1b2c40", labels={**own, "pipeline.branch": "try"})

    found = shop.look(wanted, "0" * 64)

    assert found.newest is not None
    assert found.newest.image.id == taken.id
    assert found.warm


def test_an_argument_that_looks_like_a_secret_is_warned_of_without_its_value(site: Site) -> None:
    site.write("FROM BASE\nARG NPM_TOKEN\nRUN false\n")

    with pytest.raises(Failed) as failed:
        site.build(args={"NPM_TOKEN": "hunter2"})

    assert site.log[0].startswith("warning: the build arg NPM_TOKEN looks like a secret")
    assert "hunter2" not in " ".join([*site.log, str(failed.value), failed.value.hint])


@pytest.mark.parametrize("mistake", ["RAN echo", "COPY missing /"])
def test_the_value_of_an_argument_is_in_no_traceback(site: Site, mistake: str) -> None:
    site.write(f"FROM BASE\nARG NPM_TOKEN\n{mistake}\n")
    value = uuid.uuid4().hex

    with pytest.raises(Failed) as failed:
        site.build(args={"NPM_TOKEN": value})

    assert value not in "".join(traceback.format_exception(failed.value))


def test_a_base_image_that_cannot_be_had_is_named_with_the_argument_that_replaces_it(site: Site) -> None:
    name = f"127.0.0.1:{free_port()}/nowhere:1"
    site.write(f"ARG PYTHON_IMAGE={name}\nFROM $PYTHON_IMAGE\n")

    with pytest.raises(Failed, match=rf"the base image {name} is not on the engine and cannot be pulled") as failed:
        site.build()

    assert "set the build arg PYTHON_IMAGE" in failed.value.hint


def test_a_base_image_is_pulled_with_the_registry_s_login(site: Site, tmp_path: Path) -> None:
    users = "ci:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"  # the password is: secret
    with running_registry(tmp_path, htpasswd=users) as registry:
        shop = docker_workshop(site.client, login(registry, "ci", "secret"))
        name = f"{registry}/{site.repository}:base"
        site.client.tag(site.base, f"{registry}/{site.repository}", "base")
        image = BuiltImage(compose_service="app", reference=name, id="here")
        pushed = shop.images.push(image, recipe_of(site.folder, name), site.log.append)
        site.client.remove_image(name)
        site.write(f"FROM {name}\n")

        image = site.build(shop=shop)

        assert site.labels(image)["org.opencontainers.image.base.digest"] == pushed.digest.partition("@")[2]
        assert shop.fingerprint(recipe_of(site.folder, "x:1")) == image.fingerprint


def test_files_that_change_during_the_build_leave_no_tag(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\n", code="one")

    with pytest.raises(Failed, match=r"changed while .* was built; nothing was tagged"):
        site.listen(lambda _: site.write("FROM BASE\nCOPY . /srv\n", code="two"))

    assert not site.tagged


def test_a_file_that_vanishes_while_it_is_sent_stops_the_build(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\n")
    with (site.folder / "a").open("wb") as file:
        file.truncate(1 << 30)
    (site.folder / "b").write_text("x")
    shop, recipe = docker_workshop(site.client), recipe_of(site.folder, f"{site.repository}:one")
    making = Making(sources=shop.sources(recipe))
    threading.Timer(0.2, (site.folder / "b").unlink).start()

    with pytest.raises(BadInput, match=r"b' cannot be read into the build context"):
        shop.builder.build(recipe, making, site.log.append)

    assert not site.tagged


@pytest.mark.parametrize("moment", ["while a step is silent", "while a line is told"])
def test_an_interrupted_build_stops_on_the_engine_and_leaves_no_tag(site: Site, moment: str) -> None:
    marker = uuid.uuid4().hex
    site.write(f"FROM BASE\nRUN echo {marker}; sleep 120\n")

    def interrupt(line: str) -> None:
        if line == marker and moment == "while a line is told":
            raise KeyboardInterrupt
        if line == marker:
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        site.listen(interrupt)

    assert not site.tagged
    assert _soon(lambda: not any(marker in one["Command"] for one in site.client.containers(all=True)))


def test_an_engine_that_dies_in_the_middle_of_a_build_is_unreachable_and_nothing_is_tagged(site: Site) -> None:
    site.write("FROM BASE\nRUN echo begun; sleep 2\n")

    with fragile_engine() as (address, die):
        far = open_engine(address)
        try:
            recipe = recipe_of(site.folder, f"{site.repository}:one")
            with pytest.raises(Unreachable, match=r"went away in the middle .*nothing was tagged"):
                docker_workshop(far, address=address).build(recipe, lambda line: die() if line == "begun" else None)
        finally:
            far.close()

    assert not site.tagged


def test_an_engine_that_dies_while_the_context_is_sent_is_unreachable(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\n")
    with (site.folder / "a").open("wb") as file:
        file.truncate(2 << 30)

    with fragile_engine() as (address, die):
        far = open_engine(address)
        shop, recipe = docker_workshop(far, address=address), recipe_of(site.folder, f"{site.repository}:one")
        making = Making(sources=shop.sources(recipe))
        threading.Timer(0.3, die).start()
        try:
            with pytest.raises(Unreachable, match="does not answer"):
                shop.builder.build(recipe, making, site.log.append)
        finally:
            far.close()


def test_an_image_that_someone_built_on_ours_is_not_taken_for_ours(site: Site) -> None:
    labels = {"pipeline.service": "cities", "pipeline.compose-service": "app"}
    site.write("FROM BASE\nCOPY . /srv\n")
    image = site.build(labels=labels)
    (site.folder.parent / "other").mkdir()
    (site.folder.parent / "other" / "Dockerfile").write_text(f"FROM {image.id}\nENV a=b\n")
    other = Site(site.client, site.base, site.folder.parent / "other")
    list(site.client.build(path=str(other.folder), tag=f"{other.repository}:mine", rm=True))
    try:
        site.client.remove_image(f"{site.repository}:one")

        found = docker_workshop(site.client).find(recipe_of(site.folder, f"{site.repository}:one"), image.fingerprint)

        assert found is None
    finally:
        remove_images(site.client, other.repository)


def _soon(check: Callable[[], bool], seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
