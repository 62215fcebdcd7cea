"""Rendered pipelines, run: of a service repository and of an estate. Built in a job's own engine, pushed with a password,
deployed, registered, asked through the gateway."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipeline.model.ci_yaml import expand, parse_ci
from tests.end_to_end.conftest import forget_routes
from tests.end_to_end.estate import HELLO, Estate, Ran, ask, free_port
from tests.end_to_end.gitlab_local import IMAGE, GitLab, Site, site

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture
def single(here: Site, tmp_path: Path) -> Iterator[GitLab]:
    """A repository with one service and no toolkit code."""
    yield from project(here, Estate(tmp_path / "hello", here.environment, single=True))


@pytest.fixture
def several(here: Site, tmp_path: Path) -> Iterator[GitLab]:
    """An estate of two services."""
    estate = Estate(tmp_path / "estate", here.environment, uri="/ws/one")
    second = estate.folder / "services" / "lonely"
    shutil.copytree(HELLO, second)
    for name in ("server.py", "config/package.json"):
        (second / name).write_text((second / name).read_text().replace("/ws/hello", "/ws/two"))
    yield from project(here, estate)


def project(here: Site, estate: Estate) -> Iterator[GitLab]:
    found = GitLab(site=here, estate=estate)
    found.adopt()
    yield found
    here.environment.clear()
    forget_routes(here.environment)


def passed(ran: Ran) -> list[str]:
    lines = (line.split() for line in ran.out.splitlines())
    return [" ".join(words[1:]) for words in lines if words[:1] == ["PASS"]]


def test_a_push_to_the_stage_branch_is_built_pushed_deployed_registered_and_served(single: GitLab, here: Site) -> None:
    ran = single.pipeline()

    assert ran.code == 0, str(ran)
    estate = single.estate
    assert passed(ran) == ["build", "deploy stage", "register stage"]
    assert estate.ask(method="OPTIONS")[1] == {"stack": estate.stack, "version": estate.sha8, "branch": "master"}
    (container,) = here.environment.containers()
    assert container.attrs["Config"]["Image"].startswith(f"{here.registry}/estate/hello@sha256:")
    # The job's engine built it and goes with the job; the platform pulled it.
    assert "estate/hello" in here.engine.docker("images")

    assert sorted(path.name for path in (single.artifacts("register stage") / "artifacts").iterdir()) == [
        f"createKongApi.{estate.sha8}.sh",
        f"createKongApi.hello.{estate.sha8}.sh",
        f"kong.{estate.sha8}.yaml",
    ]
    dotenv = single.report("register stage", "register.env").read_text().splitlines()
    assert f"PIPELINE_URL={here.environment.proxy}/ws/hello" in dotenv
    assert f"HELLO_STACK={estate.stack}" in dotenv
    assert "HELLO_DIGEST=sha256:" in single.report("build", "build.env").read_text()
    suite = ElementTree.parse(single.report("build", "build.xml")).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "0")

    assert "section_start:" in ran.err
    assert "secret" not in ran.err.replace("[secret]", "")
    assert "\x1b[3" not in ran.err


@pytest.fixture
def rancher(here: Site, tmp_path: Path) -> Iterator[str]:
    """A lab Rancher of this environment, with real containers."""
    url = f"http://127.0.0.1:{free_port()}"
    lab = Estate(tmp_path / "rancher", here.environment)
    ran = lab.invoke("lab.up", "--rancher", RANCHER_URL=url)
    assert ran.code == 0, ran
    yield url
    stacks = ask(f"{url}/v2-beta/projects/1a5/stacks?limit=-1")[1]["data"]
    for stack in stacks:
        ask(f"{url}/v2-beta/projects/1a5/stacks/{stack['id']}", "DELETE")
    # Not by lab.down: the gateway stays, because the tests after this one have it, too.
    labels = ["pipeline.lab=rancher", f"pipeline.lab-environment={here.environment.name}"]
    for container in here.environment.engine.containers.list(filters={"label": labels}):
        container.remove(force=True, v=True)


def test_the_same_pipeline_deploys_to_a_rancher(single: GitLab, here: Site, rancher: str) -> None:
    ran = single.pipeline(RANCHER_URL=rancher, PLATFORM_DOCKER_HOST="")

    assert ran.code == 0, str(ran)
    estate = single.estate
    assert passed(ran) == ["build", "deploy stage", "register stage"]
    assert estate.ask(method="OPTIONS")[1] == {"stack": estate.stack, "version": estate.sha8, "branch": "master"}
    services = ask(f"{rancher}/v2-beta/projects/1a5/services?kind=service&limit=-1")[1]["data"]
    images = {one["name"]: one["launchConfig"]["imageUuid"] for one in services if one["kind"] == "service"}
    assert images["proxy"].startswith(f"docker:{here.registry}/estate/hello@sha256:")
    assert (single.artifacts("register stage") / "artifacts" / f"createKongApi.{estate.sha8}.sh").is_file()

    # The nightly proof: a lab Rancher in the job's own engine, its containers beside it.
    here.engine.load(IMAGE)  # what a job's engine pulls from GitLab's registry
    where = {"RANCHER_URL": rancher, "PLATFORM_DOCKER_HOST": ""}
    rehearsed = single.pipeline(CI_PIPELINE_SOURCE="schedule", PIPELINE_SCHEDULE="rehearse", **where)
    assert (rehearsed.code, passed(rehearsed)) == (0, ["rehearse"]), str(rehearsed)
    assert "Nothing differs." in rehearsed.out
    assert here.engine.docker("ps", "--all", "--format", "{{.Names}}") == ""


def test_a_click_rolls_back_and_schedules_prune_and_rehearse(single: GitLab, here: Site) -> None:
    estate, verbs = single.estate, ("build", "deploy", "register")
    stacks = []
    for words in ("first", "second"):
        estate.behave(words)
        assert single.as_jobs(*verbs, HELLO_TOKEN="hunter2-hunter2").code == 0
        stacks.append(estate.stack)

    clicked = single.pipeline("rollback stage")
    assert (clicked.code, passed(clicked)) == (0, ["rollback stage"]), str(clicked)
    assert estate.ask(method="OPTIONS")[1]["stack"] == stacks[0]

    here.engine.load(IMAGE)  # what a job's engine pulls from GitLab's registry
    rehearsed = single.pipeline(CI_PIPELINE_SOURCE="schedule", PIPELINE_SCHEDULE="rehearse")
    print(rehearsed)
    assert (rehearsed.code, passed(rehearsed)) == (0, ["rehearse"]), str(rehearsed)

    pruned = single.pipeline(CI_PIPELINE_SOURCE="schedule", PIPELINE_SCHEDULE="prune")
    assert (pruned.code, passed(pruned)) == (0, ["prune"]), str(pruned)
    assert f"keep  {stacks[0]}" in pruned.out
    assert here.environment.stacks() == set(stacks)


def test_only_the_service_that_changed_has_jobs_in_the_child_pipeline(several: GitLab, here: Site) -> None:
    first = several.as_jobs("build", "deploy", "register")
    assert first.code == 0, str(first)
    (several.folder / "services" / "lonely" / "behaviour").write_text("changed")
    changed = several.estate.commit("change one of two")

    planned = several.pipeline("plan")
    ran = several.child("plan")

    assert (planned.code, ran.code) == (0, 0), f"{planned}\n{ran}"
    assert "1 of 2 services changed" in planned.err
    assert passed(ran) == ["build lonely", "deploy stage lonely", "register stage lonely", "dump stage"]
    assert ask(f"{here.environment.proxy}/ws/two", "OPTIONS")[1]["version"] == changed
    assert ask(f"{here.environment.proxy}/ws/one", "OPTIONS")[1]["version"] != changed
    dumped = several.artifacts("dump stage") / "artifacts" / f"createKongApi.{changed}.sh"
    assert "/ws/one" in dumped.read_text()
    assert "/ws/two" in dumped.read_text()


@pytest.mark.parametrize("shape", ["single", "several"])
def test_gitlab_ci_local_expands_the_pipeline_as_ci_lint_does(shape: str, request: pytest.FixtureRequest) -> None:
    gitlab: GitLab = request.getfixturevalue(shape)

    theirs = gitlab.expanded()

    text = (gitlab.folder / ".gitlab-ci.yml").read_text()
    ours = expand(parse_ci(text, file=".gitlab-ci.yml"), lambda name: "").running
    assert {name for name in theirs if isinstance(theirs[name], dict) and "stage" in theirs[name]} == set(ours)
    for name, job in ours.items():
        for key in ("script", "resource_group", "interruptible", "retry", "timeout"):
            assert theirs[name].get(key) == job.get(key), (name, key)
