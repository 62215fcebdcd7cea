"""What goes wrong in a pipeline: the commands of its jobs, in the order in which GitLab would run, retry and kill them."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.builders.engine_support import running_registry
from tests.end_to_end.estate import PATIENT, Environment, Estate, Ran, ask, free_port, until

pytestmark = pytest.mark.engine
USERS = "ci:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"  # the password is: secret
PLATFORM = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


_PROJECTS = itertools.count(1)


class Job:
    """A project in GitLab; each call is a job of one of its pipelines, with nothing but its variables."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self._before = 100 * next(_PROJECTS)  # the records of one environment see them all: no number comes twice

    def __call__(self, *words: str, iid: int = 1, **variables: str) -> Ran:
        return self.estate.invoke(*words, **self.variables(iid), **variables)

    def is_older(self, one: int, other: int) -> str:
        """What a run of an older pipeline is told."""
        return f"pipeline {self._before + one} is older than pipeline {self._before + other}"

    def check_out(self, commit: str) -> None:
        """As a runner does: what earlier jobs left is gone; so are artifacts that have expired."""
        self.estate.git("checkout", "-q", "-B", "master", commit)
        shutil.rmtree(self.estate.folder / "build", ignore_errors=True)

    def variables(self, iid: int = 1, branch: str = "master") -> dict[str, str]:
        return {
            "GITLAB_CI": "true",
            "CI_COMMIT_SHA": self.estate.git("rev-parse", "HEAD"),
            "CI_COMMIT_REF_NAME": branch,
            "CI_COMMIT_REF_SLUG": branch,
            "CI_PIPELINE_IID": str(self._before + iid),
            "CI_PIPELINE_URL": f"https://gitlab.example.com/group/hello/-/pipelines/{self._before + iid}",
            "PLATFORM_DOCKER_HOST": PLATFORM,
        }


@pytest.fixture
def job(estate: Estate) -> Job:
    estate.manifest(health=PATIENT | {"path": f"{estate.uri}/health"})
    return Job(estate)


def in_two_lines(ran: Ran, code: int) -> str:
    """The error, which is all that is told but for sections."""
    lines = [line for line in ran.err.splitlines() if "section_" not in line and not line.startswith("\x1b[0K")]
    assert ran.code == code, str(ran)
    assert lines[-2].startswith("error: "), str(ran)
    assert lines[-1].startswith("next:  "), str(ran)
    return "\n".join(lines[-2:])


def test_an_engine_that_did_not_come_up_is_named_and_what_to_look_at(job: Job) -> None:
    ran = job("ci.wait", "--seconds", "1", "build", DOCKER_HOST=f"tcp://127.0.0.1:{free_port()}")

    told = in_two_lines(ran, 5)
    assert "(waited 1 s)" in told
    assert "docker:…-dind" in told


def test_missing_certificates_of_the_engine_are_named(job: Job) -> None:
    address = {"DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}", "DOCKER_TLS_VERIFY": "1"}

    told = in_two_lines(job("ci.wait", "--seconds", "1", "build", DOCKER_CERT_PATH="/nowhere/client", **address), 3)

    assert "TLS" in told
    assert "/certs/client" in told


def test_a_wrong_password_of_the_registry_ends_the_build_and_is_not_shown(job: Job, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    with running_registry(folder, htpasswd=USERS) as host:
        login = {"CI_REGISTRY": host, "CI_REGISTRY_IMAGE": f"{host}/estate", "CI_REGISTRY_USER": "ci"}
        ran = job("build", CI_REGISTRY_PASSWORD="wrong-pass", **login)

    assert host in in_two_lines(ran, ran.code)
    assert ran.code in (1, 3)
    assert "wrong-pass" not in ran.err + ran.out
    report = job.estate.folder / "build" / "build.xml"
    assert 'failures="1"' in report.read_text()
    assert "wrong-pass" not in report.read_text()


def test_a_forks_merge_request_is_built_and_goes_nowhere(job: Job) -> None:
    """Its branch may be called master. Nothing listens at the registry: whoever asked it would fail."""
    fork = {
        "CI_PIPELINE_SOURCE": "merge_request_event",
        "CI_MERGE_REQUEST_PROJECT_ID": "1",
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2",
    }
    nowhere = f"127.0.0.1:{free_port()}"

    built = job("build", CI_REGISTRY=nowhere, CI_REGISTRY_IMAGE=f"{nowhere}/estate", **fork)
    deployed = job.estate.run([*job.estate.command()[:1], "deploy"], **job.variables(), **fork)

    assert built.code == 0, str(built)
    assert "from a fork: its images are built; nothing is pushed" in built.err
    assert "is mapped to no environment" in in_two_lines(deployed, 3)
    assert job.estate.environment.containers() == []


def test_a_failed_deployment_leaves_its_log_as_an_artifact_without_secrets(job: Job) -> None:
    job.estate.variables["HELLO_TOKEN"] = "hunter2-hunter2"
    job.estate.behave("exits")

    failed = job("build", "deploy", iid=1)

    assert failed.code == 1, str(failed)
    kept = (job.estate.folder / "build" / "deploy.log").read_text()
    assert kept.startswith("== hello\n")
    assert "told to exit" in kept
    assert f"{job.estate.stack} does not run" in kept
    assert "hunter2" not in kept
    assert "\x1b" not in kept


@pytest.mark.parametrize("name", ["master", "production"])
def test_a_tag_called_like_a_branch_releases_nothing(job: Job, name: str) -> None:
    tag = job.variables(branch=name) | {"CI_COMMIT_TAG": name}

    ran = job.estate.run([*job.estate.command()[:1], "deploy"], **tag)

    assert "is mapped to no environment" in in_two_lines(ran, 3)


def test_a_job_that_is_killed_between_deploy_and_register_is_finished_by_its_retry(job: Job) -> None:
    job("build", "deploy", "register", iid=1)
    first = job.estate.stack
    job.estate.behave("second")
    job("build", "deploy", iid=2)
    register = job.estate.start("register", **job.variables(2))
    until(lambda: job.estate.ask(method="OPTIONS")[1]["stack"] != first or register.poll() is not None)
    register.send_signal(signal.SIGTERM)  # as GitLab cancels
    cancelled = register.wait(timeout=60)

    retried = job("deploy", "register", iid=2)

    assert cancelled in (0, 130)
    assert retried.code == 0, str(retried)
    assert job.estate.ask(method="OPTIONS")[1]["stack"] == job.estate.stack
    assert {first, job.estate.stack} == job.estate.environment.stacks()


def test_of_two_pipelines_the_newer_wins_whichever_ends_last_and_the_button_brings_the_older_back(job: Job) -> None:
    older = job.estate.git("rev-parse", "HEAD")
    job("build", "deploy", "register", iid=1)
    job.estate.behave("late")
    late = job.estate.git("rev-parse", "HEAD")
    job("build", "deploy", iid=2)  # and its registration waits for a runner
    job.estate.behave("newer")
    newer = job("build", "deploy", "register", iid=3)
    assert newer.code == 0, str(newer)
    serving = job.estate.stack

    job.check_out(late)
    out_of_order = job("deploy", "register", iid=2)

    assert job.is_older(2, 3) in in_two_lines(out_of_order, 4)
    assert job.estate.ask(method="OPTIONS")[1]["stack"] == serving

    job.check_out(older)
    redeployed = job("deploy", "register", iid=1)

    assert redeployed.code == 0, str(redeployed)
    assert job.estate.ask(method="OPTIONS")[1]["stack"] == job.estate.stack


def test_a_force_push_is_a_release_like_any_other_and_what_it_replaced_stays_out(job: Job) -> None:
    job.estate.behave("to be rewritten")
    rewritten = job.estate.git("rev-parse", "HEAD")
    job("build", "deploy", iid=1)
    (job.estate.service / "behaviour").write_text("rewritten")
    job.estate.git("commit", "-q", "-a", "--amend", "-m", "rewritten")
    forced = job("build", "deploy", "register", iid=2)

    job.check_out(rewritten)
    gone = job("deploy", "register", iid=1)

    assert forced.code == 0, str(forced)
    assert job.is_older(1, 2) in in_two_lines(gone, 4)


@pytest.fixture
def review(environment: Environment, job: Job) -> Iterator[dict[str, str]]:
    """The variables of a review's jobs. The test's gateway joins the network that reviews share."""
    name = f"review/{environment.name}"
    engine = docker.from_env(use_context=False)
    yield {
        "PIPELINE_ENVIRONMENT": name,
        "KONG_ADMIN_URL": environment.admin,
        "KONG_PROXY_URL": environment.proxy,
        "KONG_TARGET_HOST": f"{environment.name}.review.example.com",
    }
    for label in ("environment", "ledger-environment"):
        for container in engine.containers.list(all=True, filters={"label": f"pipeline.{label}={name}"}):
            container.remove(force=True, v=True)
    for volume in engine.volumes.list():
        if f"-review-{environment.name}-" in volume.name or volume.name.endswith(f"-review_{environment.name}"):
            volume.remove(force=True)
    for network in engine.networks.list(names=["pipeline-review"]):
        network.reload()
        mine = [one for one in network.containers if one.name == f"pipeline-lab-{environment.name}"]
        for gateway in mine:
            network.disconnect(gateway, force=True)
        if not [one for one in network.containers if one not in mine]:
            network.remove()
    engine.close()


def entities(environment: Environment, kind: str) -> list[dict[str, Any]]:
    return list(ask(f"{environment.admin}/{kind}?size=1000")[1]["data"])


def typed(job: Job, *words: str, cwd: Path | None = None, **variables: str) -> Ran:
    """A job's line as the template has it; only its program is this checkout's."""
    return job.estate.run([str(Path(job.estate.command()[0]).with_name("pipeline")), *words], cwd=cwd, **variables)


def test_a_review_has_a_host_of_its_own_and_goes_with_its_branch(
    job: Job, review: dict[str, str], environment: Environment, tmp_path: Path
) -> None:
    variables = job.variables(branch="my-branch") | review
    name = review["PIPELINE_ENVIRONMENT"]
    typed(job, "build", **variables)
    deployed = typed(job, "deploy", "-e", name, **variables)
    assert deployed.code == 0, str(deployed)
    environment.engine.networks.get("pipeline-review").connect(f"pipeline-lab-{environment.name}")

    registered = typed(job, "deploy", "-e", name, "register", **variables)

    assert registered.code == 0, str(registered)
    (route,) = entities(environment, "routes")
    assert (route["name"], route["hosts"]) == (f"hello.review.{environment.name}", [review["KONG_TARGET_HOST"]])
    assert job.estate.ask(method="OPTIONS")[0] == 404

    # The branch is gone: nothing is checked out, and the job has the artifacts of the one before it.
    bare = tmp_path / "bare"
    bare.mkdir()
    stopped = typed(job, "ci.stop", "-e", name, cwd=bare, **variables)
    again = typed(job, "ci.stop", "-e", name, cwd=bare, **variables)

    assert stopped.code == 0, str(stopped)
    assert entities(environment, "routes") == []
    assert entities(environment, "services") == []
    left = environment.engine.containers.list(all=True, filters={"label": f"pipeline.environment={name}"})
    assert left == []
    assert "there is nothing of it" in again.err


def test_a_cancelled_jobs_lease_runs_out_by_itself_or_is_given_back(job: Job) -> None:
    job("build")
    deploy = job.estate.start("deploy", **job.variables())
    until(lambda: job.estate.environment.containers() or deploy.poll() is not None)
    deploy.send_signal(signal.SIGTERM)
    started = time.monotonic()

    deploy.wait(timeout=60)
    again = job("deploy")

    assert again.code == 0, str(again)
    assert time.monotonic() - started < 55  # a lease that is left behind runs out after 60 s
