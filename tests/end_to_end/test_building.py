"""`invoke build` as it is typed: many services, one changed; several at once; from clone to clone; with a registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.engine_support import busybox_image, engine, running_registry
from tests.end_to_end.estate import Environment, Estate, Ran, until

pytestmark = pytest.mark.engine


class Monorepo(Estate):
    """Services on a tiny base, built and never run; their images have the folder's unique name in front."""

    def __init__(self, folder: Path, environment: Environment, base: str) -> None:
        super().__init__(folder, environment)
        shutil.rmtree(self.service)
        self.base = base
        self.mark = environment.name

    def add(self, name: str, dockerfile: str = "FROM BASE\nCOPY . /srv\n", **pipeline: object) -> Path:
        service = self.folder / "services" / f"{self.mark}-{name}"
        (service / "config").mkdir(parents=True)
        manifest = {"uri": f"/ws/{self.mark}-{name}", "pipeline": pipeline}
        (service / "config" / "package.json").write_text(json.dumps(manifest))
        (service / "docker-compose.yml").write_text("version: '2'\nservices: {proxy: {build: .}}\n")
        (service / "Dockerfile").write_text(dockerfile.replace("BASE", self.base).replace("MARK", self.mark))
        (service / "code").write_text(f"{name}\n")
        return service

    def report(self, name: str) -> dict[str, object]:
        text = (self.folder / "build" / f"{self.mark}-{name}" / "report.json").read_text()
        images: list[dict[str, object]] = json.loads(text)["images"]
        return images[0]


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with engine() as client, busybox_image(client) as name:
        yield name


@pytest.fixture
def repository(tmp_path: Path, base: str) -> Iterator[Monorepo]:
    """An environment of its own, without a gateway: nothing is deployed."""
    environment = Environment()
    made = Monorepo(tmp_path, environment, base)
    yield made
    for image in environment.engine.api.images():
        for tag in image["RepoTags"] or ():
            if environment.name in tag:
                environment.engine.api.remove_image(tag, force=True)
    environment.destroy()


def decisions(ran: Ran) -> list[str]:
    """The lines that say what is done to an image, without whose they are."""
    lines = [line.partition(": ")[2] for line in ran.err.splitlines()]
    return [line for line in lines if line.split(" ")[0] in ("build", "keep", "retag")]


def test_of_fifty_services_with_one_changed_one_is_built(repository: Monorepo) -> None:
    for number in range(50):
        repository.add(f"s{number}", "FROM BASE\nCOPY code /srv/\n")
    repository.commit("fifty services")
    first = repository.invoke("build")
    (repository.folder / "services" / f"{repository.mark}-s7" / "code").write_text("new")
    repository.commit("one changes")

    planned = repository.invoke("build", "--check")
    second = repository.invoke("build")

    assert (first.code, planned.code, second.code) == (0, 2, 0), (first, planned, second)
    assert [line.split(" ")[0] for line in decisions(first)] == ["build"] * 50
    for ran in (planned, second):
        built = [line for line in decisions(ran) if line.startswith("build")]
        assert len(decisions(ran)) == 50
        assert len(built) == 1
        assert f"{repository.mark}-s7:master-" in built[0]
        assert "1 file differs: code (since" in built[0]


def test_several_at_once_say_whose_line_it_is_and_a_failure_is_shown_whole(repository: Monorepo) -> None:
    repository.add("fine", "FROM BASE\nRUN sleep 1; echo fine\n")
    repository.add("broken", "FROM BASE\nRUN echo begun; sleep 0.5; echo so it ends; exit 7\n")
    repository.commit("two services")

    ran = repository.invoke("build", "--jobs", "2")

    fine, broken = f"{repository.mark}-fine", f"{repository.mark}-broken"
    lines = ran.err.splitlines()
    assert ran.code == 1, ran
    assert f"{fine} | fine" in lines
    whole = lines.index(next(line for line in lines if line.startswith(f"{broken} | --- the end of step 2 of 2")))
    assert [line for line in lines[whole : whole + 4] if line.endswith(("begun", "so it ends"))] == [
        f"{broken} | begun",
        f"{broken} | so it ends",
    ]
    assert f"error: {broken}: " in ran.err
    assert "step 2 of 2 failed" in ran.err
    assert f"1 of 2 services failed: {broken}" in ran.err
    assert (repository.folder / "build" / fine / "artifact.json").exists()
    assert not (repository.folder / "build" / broken / "artifact.json").exists()
    assert repository.report("broken")["action"] == "failed"


def test_a_failure_stops_the_others_with_fail_fast(repository: Monorepo) -> None:
    repository.add("slow", f"FROM BASE\nRUN echo {repository.mark} begun; sleep 120\n")
    repository.add("broken", "FROM BASE\nRUN sleep 2; exit 7\n")
    repository.commit("two services")

    ran = repository.invoke("build", "--jobs", "2", "--fail-fast")

    assert ran.code == 1, ran
    assert "stopped, because another one failed" in ran.err
    assert "2 of 2 services failed" in ran.err
    until(lambda: not _steps_that_run(repository))


def test_ctrl_c_ends_all_builds_and_leaves_no_tag(repository: Monorepo) -> None:
    for name in ("one", "two"):
        repository.add(name, f"FROM BASE\nRUN echo {repository.mark} begun; sleep 120\n")
    repository.commit("two services")
    with repository.start("build", "--jobs", "2") as running:
        until(lambda: len(_steps_that_run(repository)) == 2)

        running.send_signal(2)
        _, err = running.communicate(timeout=30)

    assert running.returncode == 130, err
    assert err.splitlines()[-2].startswith("error: interrupted")
    until(lambda: not _steps_that_run(repository))
    assert not repository.environment.engine.images.list(name=f"{repository.mark}-one")


def _steps_that_run(repository: Monorepo) -> list[object]:
    found = repository.environment.engine.api.containers()
    return [one for one in found if repository.mark in one["Command"]]


def test_a_service_that_is_the_base_of_another_is_built_first_and_stood_on(repository: Monorepo) -> None:
    repository.add("app", "ARG ON=MARK-base\nFROM $ON\nRUN cat /srv/code\n")
    repository.add("base")
    repository.add("copy", "FROM BASE\nCOPY --from=MARK-base /srv/code /code\nRUN cat /code\n")
    repository.commit("a base")
    first = repository.invoke("build", "--jobs", "2")
    (repository.folder / "services" / f"{repository.mark}-base" / "code").write_text("newer\n")
    repository.commit("another base")

    second = repository.invoke("build", "--jobs", "2")

    assert (first.code, second.code) == (0, 0), (first, second)
    for name in ("app", "copy"):
        assert f"{repository.mark}-{name} | newer" in second.err.splitlines()
        (line,) = [one for one in decisions(second) if f"{repository.mark}-{name}:" in one]
        assert f"base image moved: {repository.mark}-base" in line


def test_two_builds_of_one_service_at_the_same_time_both_end_well(repository: Monorepo) -> None:
    repository.add("app", "FROM BASE\nCOPY . /srv\nRUN sleep 1\n")
    repository.commit("one service")

    with repository.start("build") as one, repository.start("build") as two:
        ends = [running.communicate(timeout=60) for running in (one, two)]

    assert (one.returncode, two.returncode) == (0, 0), ends
    artifact = json.loads((repository.folder / "build" / f"{repository.mark}-app" / "artifact.json").read_text())
    assert repository.environment.engine.images.get(artifact["images"][0]["reference"])


def test_the_report_says_how_much_was_sent_and_what_came_from_the_cache(repository: Monorepo) -> None:
    repository.add("app", "FROM BASE\nRUN echo slow\nCOPY . /srv\n")
    repository.commit("one service")
    repository.invoke("build")
    (repository.folder / "services" / f"{repository.mark}-app" / "code").write_text("new")
    repository.commit("a change")

    ran = repository.invoke("build")

    report = repository.report("app")
    assert (report["action"], report["steps"], report["cached_steps"]) == ("build", 3, 1)
    assert report["context_bytes"] == 10240
    assert "context: 10.2 kB sent" in ran.err
    name = f"{repository.mark}-app".upper().replace("-", "_")
    env = (repository.folder / "build" / f"{repository.mark}-app" / "build.env").read_text()
    assert f"{name}_CACHED_STEPS=1\n" in env
    assert f"{name}_REASON=1 file differs: code (since {repository.mark}-app-master-" in env


def test_a_report_is_not_replaced_by_one_that_says_unchanged(repository: Monorepo) -> None:
    repository.add("app")
    repository.commit("one service")
    repository.invoke("build")

    repository.invoke("build")

    assert repository.report("app")["action"] == "build"


def test_a_context_over_the_limit_is_told_with_its_largest_paths(repository: Monorepo) -> None:
    service = repository.add("app")
    (service / "video.mp4").write_bytes(bytes(3_000_000))
    settings = repository.folder / "invoke.yaml"
    settings.write_text(settings.read_text() + "  context_limit: 2MB\n")
    repository.commit("a video")

    ran = repository.invoke("build")

    assert ran.code == 0, ran
    assert "holds 3.0 MB, more than 2.0 MB" in ran.err
    assert "3.0 MB  video.mp4" in ran.err


@pytest.mark.parametrize("number", ["-1", "0", "x", "1.5"])
def test_a_number_of_jobs_that_is_none_is_refused(repository: Monorepo, number: str) -> None:
    repository.add("app")
    repository.commit("one service")

    ran = repository.invoke("build", f"--jobs={number}")

    assert ran.code == 3, ran
    assert f"--jobs {number!r} should be a number from 1 on" in ran.err


# With a registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


def in_a_job(repository: Monorepo, registry: str, *words: str, branch: str = "master") -> Ran:
    """A GitLab job that builds; its engine forgets what earlier ones built."""
    engine = repository.environment.engine
    for image in engine.images.list(name=f"{registry}/estate/{repository.mark}-app"):
        engine.images.remove(image.id, force=True)
    shutil.rmtree(repository.folder / "build", ignore_errors=True)
    return repository.invoke(
        *words,
        GITLAB_CI="true",
        CI_COMMIT_SHA=repository.git("rev-parse", "HEAD"),
        CI_COMMIT_REF_NAME=branch,
        CI_DEFAULT_BRANCH="master",
        CI_REGISTRY=registry,
        CI_REGISTRY_IMAGE=f"{registry}/estate",
    )


def test_an_unchanged_image_in_the_registry_is_retagged_there_and_not_pulled(
    repository: Monorepo, registry: str
) -> None:
    repository.add("app")
    repository.commit("one service")
    first = in_a_job(repository, registry, "build")
    digest = repository.report("app")["digest"]
    repository.commit("nothing")

    second = in_a_job(repository, registry, "build")

    assert (first.code, second.code) == (0, 0), (first, second)
    (line,) = decisions(second)
    assert line.startswith("retag ")
    assert f"unchanged since {repository.mark}-app-master-" in line
    assert repository.report("app")["digest"] == digest
    assert repository.environment.engine.images.list(name=f"{registry}/estate/{repository.mark}-app") == []


def test_a_fresh_engine_takes_its_layers_from_the_default_branch_s_newest_image(
    repository: Monorepo, registry: str
) -> None:
    service = repository.add("app", "FROM BASE\nRUN echo MARK\nCOPY . /srv\nRUN echo after\n")
    repository.commit("one service")
    in_a_job(repository, registry, "build")
    (service / "code").write_text("new")
    repository.commit("a change")

    ran = in_a_job(repository, registry, "build", branch="feature/x")

    assert ran.code == 0, ran
    report = repository.report("app")
    assert report["cache"] == [f"{registry}/estate/{repository.mark}-app:master.newest"]
    assert (report["steps"], report["cached_steps"]) == (4, 1)
    assert "1 file differs: code (since" in ran.err


# From clone to clone


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_two_clones_of_two_users_give_the_same_image(repository: Monorepo) -> None:
    repository.add("app", "FROM BASE\nCOPY . /srv\nRUN echo slow\n")
    (repository.folder / "services" / f"{repository.mark}-app" / "tool").write_text("#!/bin/sh\n")
    (repository.folder / "services" / f"{repository.mark}-app" / "tool").chmod(0o755)
    repository.commit("one service")
    images = []
    for user in (0, 1234):
        with tempfile.TemporaryDirectory() as clone:
            subprocess.run(["git", "clone", "-q", str(repository.folder), f"{clone}/estate"], check=True)
            subprocess.run(["chown", "-R", str(user), clone], check=True)
            images.append(_built_by(user, Path(clone) / "estate", f"{repository.mark}-app"))

    assert images[0].startswith("sha256:")
    assert images[1] == images[0]


def _built_by(user: int, estate: Path, service: str) -> str:
    """The id of the image that `invoke build` makes in a process of that user."""
    code = Path(__file__).parent / "build_as_user.py"
    group = os.stat("/var/run/docker.sock").st_gid
    done = subprocess.run(
        [sys.executable, str(code), str(user), str(group), str(estate)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    artifact = json.loads((estate / "build" / service / "artifact.json").read_text())
    return str(artifact["images"][0]["id"])
