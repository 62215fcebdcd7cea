"""The flow of build on a builder in memory: what is made, what is kept, and what is told of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.builders.memory import MemoryBuilder
from pipeline.errors import BadInput, Failed
from pipeline.flows.build import Action, Wanted, build, plan
from pipeline.model.artifact import Artifact, read_artifact, write_artifact
from pipeline.model.image import Recipe, plan_recipes
from pipeline.model.manifest import ImageSource, parse_manifest
from pipeline.model.release import Checkout, Release, make_release


@dataclass
class Desk:
    """A service's folder and a builder; `commit` makes a release of what is in the folder."""

    folder: Path
    builder: MemoryBuilder = field(default_factory=MemoryBuilder)
    told: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    sources: dict[str, ImageSource | None] = field(default_factory=lambda: {"app": ImageSource()})
    prefix: str = ""

    def release(self, commit: str, branch: str = "master") -> tuple[Release, tuple[Recipe, ...]]:
        manifest = parse_manifest(json.dumps({"uri": "/ws/c"}).encode(), file="package.json", default_name="cities")
        release = make_release(manifest, Checkout(commit=commit * 8, branch=branch), "local")
        folder = str(self.folder)
        return release, plan_recipes(
            manifest, release, self.sources, folder=folder, prefix=self.prefix, build_args={"BASE": "own", "X": "y"}
        )

    def build(self, commit: str, branch: str = "master", **wanted: Any) -> Artifact:
        self.told.clear()
        self.builder.writes.clear()
        release, recipes = self.release(commit, branch)
        return build(release, recipes, self.builder, Wanted(**wanted), tell=self.told.append, log=self.logged.append)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "Dockerfile").write_text("ARG BASE=public\nFROM $BASE\nARG version\nCOPY . /\n")
    (tmp_path / "code").write_text("one")
    return Desk(folder=tmp_path)


def test_a_new_release_is_built_and_says_why(desk: Desk) -> None:
    artifact = desk.build("aaaaaaa1")

    assert desk.told == ["build cities:master-aaaaaaa1: no image has its fingerprint"]
    assert desk.builder.writes == ["build cities:master-aaaaaaa1"]
    assert "Step 1/4 : ARG BASE=public" in desk.logged
    assert (artifact.service, artifact.version, artifact.stack) == ("cities", "aaaaaaa1", "cities-master-aaaaaaa1")
    assert artifact.images[0].built_for == "cities-master-aaaaaaa1"


def test_building_the_same_release_twice_writes_nothing(desk: Desk) -> None:
    first = desk.build("aaaaaaa1")

    second = desk.build("aaaaaaa1")

    assert desk.builder.writes == []
    assert desk.told == ["keep cities:master-aaaaaaa1: unchanged"]
    assert second == first


def test_a_commit_that_changes_nothing_of_the_image_takes_it_over(desk: Desk) -> None:
    first = desk.build("aaaaaaa1")

    second = desk.build("aaaaaaa2")

    assert desk.told == ["retag cities:master-aaaaaaa2: unchanged since cities-master-aaaaaaa1"]
    assert desk.builder.writes == ["tag cities:master-aaaaaaa2"]
    assert (second.images[0].id, second.images[0].built_for) == (first.images[0].id, "cities-master-aaaaaaa1")


def test_a_taken_over_image_is_kept_the_next_time_and_still_says_since_when(desk: Desk) -> None:
    desk.build("aaaaaaa1")
    desk.build("aaaaaaa2")

    desk.build("aaaaaaa2")

    assert desk.told == ["keep cities:master-aaaaaaa2: unchanged since cities-master-aaaaaaa1"]
    assert desk.builder.writes == []


@pytest.mark.parametrize("change", ["file", "Dockerfile", "base image"])
def test_a_change_is_built(desk: Desk, change: str) -> None:
    desk.build("aaaaaaa1")

    if change == "file":
        (desk.folder / "code").write_text("two")
    elif change == "Dockerfile":
        (desk.folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    else:
        desk.builder.bases["own"] = "another id"
    desk.build("aaaaaaa2")

    assert desk.builder.writes == ["build cities:master-aaaaaaa2"]


@pytest.mark.parametrize(("flag", "written"), [("force", "build c"), ("no_cache", "build c")])
def test_a_flag_builds_what_is_unchanged(desk: Desk, flag: str, written: str) -> None:
    desk.build("aaaaaaa1")

    wanted: dict[str, Any] = {flag: True}
    desk.build("aaaaaaa1", **wanted)

    assert desk.told == [f"build cities:master-aaaaaaa1: --{flag.replace('_', '-')}"]
    assert desk.builder.writes[0].startswith(written)
    assert desk.builder.writes[0].endswith(" without cache") == (flag == "no_cache")


def test_a_plan_changes_nothing(desk: Desk) -> None:
    release, recipes = desk.release("aaaaaaa1")

    decisions = plan(release, recipes, desk.builder, Wanted())

    assert [(one.action, one.changes) for one in decisions] == [(Action.BUILD, True)]
    assert desk.builder.writes == []


def test_the_plan_of_an_unchanged_release_has_no_changes(desk: Desk) -> None:
    desk.build("aaaaaaa1")
    release, recipes = desk.release("aaaaaaa1")

    decisions = plan(release, recipes, desk.builder, Wanted())

    assert [one.changes for one in decisions] == [False]


def test_of_two_images_only_the_changed_one_is_built(desk: Desk) -> None:
    (desk.folder / "proxy").mkdir()
    (desk.folder / "proxy" / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (desk.folder / ".dockerignore").write_text("proxy\n")
    desk.sources = {"app": ImageSource(), "proxy": ImageSource(context="proxy")}
    desk.build("aaaaaaa1")
    (desk.folder / "proxy" / "nginx.conf").write_text("new")

    artifact = desk.build("aaaaaaa2")

    assert desk.builder.writes == ["tag cities-app:master-aaaaaaa2", "build cities-proxy:master-aaaaaaa2"]
    assert [image.compose_service for image in artifact.images] == ["app", "proxy"]


def test_a_missing_dockerfile_of_the_last_image_stops_before_the_first_is_built(desk: Desk) -> None:
    desk.sources = {"app": ImageSource(), "proxy": ImageSource(context="nowhere")}

    with pytest.raises(BadInput, match=r"docker-compose.yml: services.proxy.build: the build context .*/nowhere"):
        desk.build("aaaaaaa1")

    assert desk.builder.writes == []


def test_a_failing_step_is_told_and_leaves_no_image(desk: Desk) -> None:
    (desk.folder / "Dockerfile").write_text("FROM scratch\nRUN false\n")

    with pytest.raises(Failed, match=r"Dockerfile:2: step 2 of 2 failed"):
        desk.build("aaaaaaa1")

    assert desk.builder.images == {}


def test_a_push_gives_the_digest_and_is_not_made_twice(desk: Desk) -> None:
    desk.prefix = "registry.example.com/group"
    first = desk.build("aaaaaaa1", push=True)

    second = desk.build("aaaaaaa1", push=True)

    assert first.images[0].runnable == f"registry.example.com/group/cities@{first.images[0].id}"
    assert desk.builder.writes == []
    assert second == first


def test_an_argument_that_no_dockerfile_declares_changes_nothing(desk: Desk) -> None:
    desk.build("aaaaaaa1")
    desk.sources = {"app": ImageSource(args={"UNUSED": "1"})}

    desk.build("aaaaaaa2")

    assert desk.builder.writes == ["tag cities:master-aaaaaaa2"]


def test_the_record_of_a_build_is_read_back_as_it_was(desk: Desk) -> None:
    artifact = desk.build("aaaaaaa1")
    release, _ = desk.release("aaaaaaa1")

    text = write_artifact(artifact)

    assert read_artifact(text, file="build/cities/artifact.json", release=release) == artifact
    assert write_artifact(desk.build("aaaaaaa1")) == text
