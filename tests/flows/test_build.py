"""The flow of build on a builder in memory: what is made, what is kept, in which order, and what is told of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.builders.memory import MemoryBuilder
from pipeline.edge.clock import SystemClock
from pipeline.errors import BadInput, Failed, Interrupted
from pipeline.flows.build import Bench, BuildResult, build
from pipeline.flows.build_plan import Action, BuildPlan, Order, Wanted, plan
from pipeline.model.artifact import Artifact, read_artifact, write_artifact
from pipeline.model.image import plan_recipes
from pipeline.model.manifest import ImageSource, parse_manifest
from pipeline.model.release import Checkout, Release, make_release

PREFIX = "registry.example.com/group"


@dataclass
class Desk:
    """A service's folder and a builder; `commit` makes a release of what is in the folder."""

    folder: Path
    builder: MemoryBuilder = field(default_factory=MemoryBuilder)
    told: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    sources: dict[str, ImageSource | None] = field(default_factory=lambda: {"app": ImageSource()})
    prefix: str = ""
    deployed: tuple[str, ...] = ()

    def order(self, commit: str, branch: str = "master", service: str = "cities", folder: Path | None = None) -> Order:
        manifest = parse_manifest(json.dumps({"uri": "/ws/c"}).encode(), file="package.json", default_name=service)
        release = make_release(manifest, Checkout(commit=commit * 8, branch=branch), "local")
        recipes = plan_recipes(
            manifest,
            release,
            self.sources,
            folder=str(folder or self.folder),
            prefix=self.prefix,
            build_args={"BASE": "own", "X": "y"},
            default_branches=("master",),
        )
        return Order(release=release, recipes=recipes)

    def release(self, commit: str) -> Release:
        return self.order(commit).release

    def plan(self, orders: Sequence[Order], **wanted: Any) -> BuildPlan:
        return plan(orders, self.builder, self.builder, Wanted(**wanted))

    def run(self, orders: Sequence[Order], **wanted: Any) -> dict[str, BuildResult]:
        self.told.clear()
        self.builder.writes.clear()
        bench = Bench(
            builder=self.builder,
            images=self.builder,
            clock=SystemClock(),
            tell=lambda _, text: self.told.append(text),
            log=lambda _: self.logged.append,
            deployed=lambda _: self.deployed,
        )
        return build(self.plan(orders, **wanted), orders, bench, Wanted(**wanted))

    def build(self, commit: str, branch: str = "master", **wanted: Any) -> Artifact:
        result = self.run([self.order(commit, branch)], **wanted)["cities"]
        if result.error is not None:
            raise result.error
        assert result.artifact is not None
        return result.artifact

    def service(self, name: str, dockerfile: str = "FROM scratch\nCOPY . /\n") -> Order:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile)
        return self.order("aaaaaaa1", service=name, folder=folder)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "Dockerfile").write_text("ARG BASE=public\nFROM $BASE\nARG version\nCOPY . /\n")
    (tmp_path / "code").write_text("one")
    return Desk(folder=tmp_path)


def test_a_new_release_is_built_and_says_why(desk: Desk) -> None:
    artifact = desk.build("aaaaaaa1")

    assert desk.told == ["build cities:master-aaaaaaa1: there is no image of it yet"]
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


CHANGES = {
    "a file": "1 file differs: code",
    "a mode": "1 file differs: code",
    "several files": "5 files differ: a0, a1, a2, and 2 more",
    "a name that is no text": "1 file differs: 'a\\nb'",
    "the Dockerfile": "the Dockerfile changed",
    "the Dockerfile and a file": "the Dockerfile changed; 1 file differs: code",
    "a base image": "base image moved: own",
    "another base image": "the Dockerfile changed; another base image: other",
    "an argument": "the build args changed",
    "the target": "its target, secrets or platforms changed",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_built_and_told(desk: Desk, change: str) -> None:
    desk.build("aaaaaaa1")

    _change(desk, change)
    desk.build("aaaaaaa2")

    assert desk.builder.writes == ["build cities:master-aaaaaaa2"]
    assert desk.told == [f"build cities:master-aaaaaaa2: {CHANGES[change]} (since cities-master-aaaaaaa1)"]


def _change(desk: Desk, change: str) -> None:
    dockerfile = desk.folder / "Dockerfile"
    if change in ("a file", "the Dockerfile and a file"):
        (desk.folder / "code").write_text("two")
    if change == "a mode":
        (desk.folder / "code").chmod(0o755)
    if change == "several files":
        for number in range(5):
            (desk.folder / f"a{number}").write_text("new")
    if change == "a name that is no text":
        (desk.folder / "a\nb").write_text("new")
    if change in ("the Dockerfile", "the Dockerfile and a file"):
        dockerfile.write_text(dockerfile.read_text() + "RUN true\n")
    if change == "a base image":
        desk.builder.bases["own"] = "another id"
    if change == "another base image":
        dockerfile.write_text("FROM other\nARG BASE\n")
    if change == "an argument":
        desk.sources = {"app": ImageSource(args={"version": "9"})}
    if change == "the target":
        desk.sources = {"app": ImageSource(platforms=("linux/arm64",))}


def test_an_image_that_says_nothing_of_its_making_is_compared_with_nothing(desk: Desk) -> None:
    desk.build("aaaaaaa1")
    desk.builder.forget_parts()
    (desk.folder / "code").write_text("two")

    desk.build("aaaaaaa2")

    assert desk.told[0].startswith(
        "build cities:master-aaaaaaa2: the image that is there does not say what it was made from"
    )


def test_a_base_image_that_nobody_knows_is_built_on(desk: Desk) -> None:
    desk.build("aaaaaaa1")
    desk.builder.bases["own"] = ""

    desk.build("aaaaaaa2")

    assert desk.told == ["build cities:master-aaaaaaa2: nobody here knows its base image own yet"]


@pytest.mark.parametrize(("flag", "written"), [("force", "build c"), ("no_cache", "build c")])
def test_a_flag_builds_what_is_unchanged(desk: Desk, flag: str, written: str) -> None:
    desk.build("aaaaaaa1")

    wanted: dict[str, Any] = {flag: True}
    desk.build("aaaaaaa1", **wanted)

    assert desk.told == [f"build cities:master-aaaaaaa1: --{flag.replace('_', '-')}"]
    assert desk.builder.writes[0].startswith(written)
    assert desk.builder.writes[0].endswith(" without cache") == (flag == "no_cache")


def test_a_plan_changes_nothing(desk: Desk) -> None:
    decisions = desk.plan([desk.order("aaaaaaa1")]).decisions

    assert [(one.action, one.changes) for one in decisions] == [(Action.BUILD, True)]
    assert desk.builder.writes == []


def test_the_plan_of_an_unchanged_release_has_no_changes(desk: Desk) -> None:
    desk.build("aaaaaaa1")

    decisions = desk.plan([desk.order("aaaaaaa1")]).decisions

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


def test_a_service_that_cannot_be_read_does_not_stop_the_others(desk: Desk) -> None:
    fine, broken = desk.service("fine"), desk.service("broken")
    (desk.folder / "broken" / "Dockerfile").unlink()

    results = desk.run([broken, fine])

    assert isinstance(results["broken"].error, BadInput)
    assert results["fine"].artifact is not None
    assert desk.builder.writes == ["build fine:master-aaaaaaa1"]


def test_a_failing_step_is_told_and_leaves_no_image(desk: Desk) -> None:
    (desk.folder / "Dockerfile").write_text("FROM scratch\nRUN false\n")

    with pytest.raises(Failed, match=r"Dockerfile:2: step 2 of 2 failed"):
        desk.build("aaaaaaa1")

    assert desk.builder.images == {}


def test_a_push_gives_the_digest_and_is_not_made_twice(desk: Desk) -> None:
    desk.prefix = PREFIX
    first = desk.build("aaaaaaa1", push=True)

    second = desk.build("aaaaaaa1", push=True)

    assert first.images[0].runnable == f"{PREFIX}/cities@{first.images[0].id}"
    assert desk.builder.writes == []
    assert second == first


def test_an_argument_that_no_dockerfile_declares_changes_nothing(desk: Desk) -> None:
    desk.build("aaaaaaa1")
    desk.sources = {"app": ImageSource(args={"UNUSED": "1"})}

    desk.build("aaaaaaa2")

    assert desk.builder.writes == ["tag cities:master-aaaaaaa2"]


def test_the_record_of_a_build_is_read_back_as_it_was(desk: Desk) -> None:
    artifact = desk.build("aaaaaaa1")

    text = write_artifact(artifact)

    assert read_artifact(text, file="build/cities/artifact.json", release=desk.release("aaaaaaa1")) == artifact
    assert write_artifact(desk.build("aaaaaaa1")) == text


def test_of_fifty_services_with_one_changed_one_is_built(desk: Desk) -> None:
    orders = [desk.service(f"s{number}") for number in range(50)]
    desk.run(orders, jobs=2)
    (desk.folder / "s7" / "code").write_text("new")

    desk.run(orders, jobs=2)

    assert desk.builder.writes == ["build s7:master-aaaaaaa1"]
    assert len([line for line in desk.told if line.endswith("unchanged")]) == 49


# One is the base of another


def test_an_image_is_built_after_the_one_that_it_is_made_from_and_on_that_very_one(desk: Desk) -> None:
    orders = [desk.service("app", "ARG ON=base\nFROM $ON\n"), desk.service("base")]

    results = desk.run(orders, jobs=2)

    assert desk.builder.writes == ["build base:master-aaaaaaa1", "build app:master-aaaaaaa1"]
    base = results["base"].artifact
    assert base is not None
    assert desk.builder.makings["app:master-aaaaaaa1"].siblings == {"base": base.images[0]}


def test_a_changed_base_makes_what_is_made_from_it_change(desk: Desk) -> None:
    orders = [desk.service("app", "FROM base\n"), desk.service("base")]
    desk.run(orders)
    (desk.folder / "base" / "code").write_text("new")

    desk.run(orders)

    assert desk.told == [
        "build base:master-aaaaaaa1: 1 file differs: code (since base-master-aaaaaaa1)",
        "build app:master-aaaaaaa1: base image moved: base (since app-master-aaaaaaa1)",
    ]


def test_what_is_made_from_a_failed_image_is_not_built_and_says_so(desk: Desk) -> None:
    orders = [desk.service("app", "FROM base\n"), desk.service("base", "FROM scratch\nRUN false\n")]

    results = desk.run(orders, jobs=2)

    assert isinstance(results["base"].error, Failed)
    assert str(results["app"].error) == (
        "app:master-aaaaaaa1 was not made, because it is made from base:master-aaaaaaa1"
    )
    assert "build app:master-aaaaaaa1" not in desk.builder.writes


def test_images_that_are_each_other_s_base_are_refused(desk: Desk) -> None:
    orders = [desk.service("one", "FROM two\n"), desk.service("two", "FROM one\n")]

    with pytest.raises(BadInput, match="these images are each other's base: one:master-aaaaaaa1 → two:master"):
        desk.plan(orders)


def test_two_images_of_one_name_are_refused(desk: Desk) -> None:
    alone = desk.service("cities-app")
    desk.sources = {"app": ImageSource(), "proxy": ImageSource()}

    with pytest.raises(BadInput, match="cities-app:master-aaaaaaa1 would be two images: cities-app's app and cities's"):
        desk.plan([alone, desk.service("cities")])


# Several at once


def test_as_many_images_are_built_at_once_as_were_asked_for(desk: Desk) -> None:
    meeting = threading.Barrier(2, timeout=20)
    desk.builder = MemoryBuilder(begun=lambda _: bool(meeting.wait()) and None)

    results = desk.run([desk.service("one"), desk.service("two")], jobs=2)

    assert [result.error for result in results.values()] == [None, None]


def test_a_failing_image_does_not_stop_the_others(desk: Desk) -> None:
    orders = [desk.service("broken", "FROM scratch\nRUN false\n"), desk.service("fine")]

    results = desk.run(orders)

    assert isinstance(results["broken"].error, Failed)
    assert results["fine"].artifact is not None


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_image_stops_the_others_when_that_was_asked_for(desk: Desk, jobs: int) -> None:
    failed = threading.Event()
    desk.builder = MemoryBuilder(
        begun=lambda name: None if name.startswith("broken") else bool(failed.wait(20)) and None
    )
    orders = [desk.service("broken", "FROM scratch\nRUN false\n"), desk.service("fine")]
    results = _fail_fast(desk, orders, jobs, failed)

    assert isinstance(results["broken"].error, Failed)
    assert isinstance(results["fine"].error, Interrupted)


def _fail_fast(desk: Desk, orders: list[Order], jobs: int, failed: threading.Event) -> dict[str, BuildResult]:
    """The second image goes on only once the first one's failure has cancelled the run."""
    watch = threading.Thread(target=lambda: (_until_cancelled(desk), failed.set()))
    watch.start()
    try:
        return desk.run(orders, jobs=jobs, fail_fast=True)
    finally:
        watch.join()


def _until_cancelled(desk: Desk) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        making = desk.builder.makings.get("broken:master-aaaaaaa1")
        if making is not None and making.cancellation.cancelled:
            return
        time.sleep(0.01)
    raise TimeoutError("nothing was cancelled")


def test_a_mistake_of_ours_in_one_build_stops_all_and_is_raised(desk: Desk) -> None:
    def begun(name: str) -> None:
        if name.startswith("one"):
            raise RuntimeError("a mistake")

    desk.builder = MemoryBuilder(begun=begun)

    with pytest.raises(RuntimeError, match="a mistake"):
        desk.run([desk.service("one"), desk.service("two")], jobs=2)


def test_several_failures_of_a_service_are_one_with_their_number(desk: Desk) -> None:
    (desk.folder / "Dockerfile").write_text("FROM scratch\nRUN false\n")
    desk.sources = {"app": ImageSource(), "proxy": ImageSource()}

    with pytest.raises(Failed, match=r"step 2 of 2 failed: 'RUN false' \(and 1 more image of it failed\)"):
        desk.build("aaaaaaa1")


# The cache


def test_a_build_may_take_layers_from_its_branch_the_default_one_and_what_is_deployed(desk: Desk) -> None:
    desk.prefix = PREFIX
    desk.deployed = (f"{PREFIX}/cities@sha256:1", f"{PREFIX}/other@sha256:2", "nginx")

    desk.build("aaaaaaa1", branch="feature/x")

    assert desk.builder.makings[f"{PREFIX}/cities:feature-x-aaaaaaa1"].cache == (
        f"{PREFIX}/cities:feature-x.newest",
        f"{PREFIX}/cities:master.newest",
        f"{PREFIX}/cities@sha256:1",
    )


def test_an_engine_that_has_the_branch_s_image_needs_no_other_cache(desk: Desk) -> None:
    desk.prefix = PREFIX
    desk.build("aaaaaaa1")
    (desk.folder / "code").write_text("two")

    desk.build("aaaaaaa2")

    assert desk.builder.makings[f"{PREFIX}/cities:master-aaaaaaa2"].cache == ()


def test_a_build_without_cache_looks_for_none(desk: Desk) -> None:
    desk.prefix = PREFIX

    desk.build("aaaaaaa1", no_cache=True)

    assert desk.builder.makings[f"{PREFIX}/cities:master-aaaaaaa1"].cache == ()


# The report


def test_the_report_says_what_became_of_each_image(desk: Desk) -> None:
    report = desk.run([desk.order("aaaaaaa1")])["cities"].report

    (image,) = report.images
    assert (image.action, image.reason) == ("build", "there is no image of it yet")
    assert (image.steps, image.cached_steps, image.builder) == (4, 0, "memory")
    assert image.context_bytes > 0
    assert image.id.startswith("sha256:")
    assert report.changed
    assert not desk.run([desk.order("aaaaaaa1")])["cities"].report.changed


def test_the_report_of_a_failed_build_has_the_error(desk: Desk) -> None:
    (desk.folder / "Dockerfile").write_text("FROM scratch\nRUN false\n")

    report = desk.run([desk.order("aaaaaaa1")])["cities"].report

    assert [image.action for image in report.images] == ["failed"]
    assert "step 2 of 2 failed" in report.images[0].error
