"""rancher-gitlab-deploy 1.7 from PyPI against the lab Rancher: what it exits with, and which containers are there then."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from rancher_support import ACCOUNT_KEY, P, Rancher

from pipeline.lab.rancher.running import Lab, running_rancher
from pipeline.lab.rancher.scheduler import Timings

QUICK = Timings(step=0.02, tick=0.01, start=0.02, health=0.02, stop=0.02, retry=0.05, retry_limit=0.1)
# It sleeps two seconds between questions and counts them; a hundredth of that is enough here.
IMPATIENT = (
    "import sys, time; real = time.sleep; time.sleep = lambda seconds: real(seconds / 100); "
    "from rancher_gitlab_deploy.cli import main; sys.argv[0] = 'rancher-gitlab-deploy'; main()"
)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_rancher(real_time=True, timings=QUICK) as running:
        yield running


@pytest.fixture
def rancher(lab: Lab) -> Rancher:
    return Rancher(lab)


@pytest.fixture
def service(rancher: Rancher) -> Any:
    stack = rancher.until(rancher.post(f"{P}/stacks", {"name": "group"}), "active")
    config = {"imageUuid": "docker:app:1", "environment": {"A": "1"}, "labels": {"own": "yes"}}
    body = {"name": "app", "stackId": stack["id"], "startOnCreate": True, "launchConfig": config}
    sidekick = {"name": "log", "imageUuid": "docker:log:1"}
    return rancher.until(rancher.post(f"{P}/services", body | {"secondaryLaunchConfigs": [sidekick]}), "active")


def deploy(lab: Lab, *words: str) -> tuple[int, str]:
    key = {"RANCHER_ACCESS_KEY": ACCOUNT_KEY.access, "RANCHER_SECRET_KEY": ACCOUNT_KEY.secret}
    names = {"RANCHER_URL": lab.url, "CI_PROJECT_NAMESPACE": "group", "CI_PROJECT_NAME": "app"}
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, *words],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **key, **names},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_it_upgrades_and_finishes(rancher: Rancher, lab: Lab, service: Any) -> None:
    code, text = deploy(lab, "--new-image", "app:2")

    assert code == 0, text
    assert sorted(rancher.containers(service).values()) == [("running", "app:2"), ("running", "log:1")]
    after = rancher.again(service)
    assert (after["state"], after["launchConfig"]["environment"]) == ("active", {"A": "1"})
    assert "POST /v1/projects/1a5/services/1s1/?action=finishupgrade" in lab.requests


def test_it_finishes_an_upgrade_that_was_left_before_its_own(rancher: Rancher, lab: Lab, service: Any) -> None:
    rancher.upgrade(service, "app:2")
    rancher.until(service, "upgraded")

    code, text = deploy(lab, "--new-image", "app:3")

    assert code == 0, text
    assert ("running", "app:3") in rancher.containers(service).values()
    assert len(rancher.containers(service)) == 2


def test_without_finishing_it_leaves_the_service_upgraded(rancher: Rancher, lab: Lab, service: Any) -> None:
    code, text = deploy(lab, "--new-image", "app:2", "--no-finish-upgrade")

    assert code == 0, text
    assert rancher.again(service)["state"] == "upgraded"
    assert ("stopped", "app:1") in rancher.containers(service).values()


def test_it_upgrades_sidekicks_with_their_own_image(rancher: Rancher, lab: Lab, service: Any) -> None:
    code, text = deploy(lab, "--new-image", "app:2", "--new-sidekick-image", "log", "log:2")

    assert code == 0, text
    assert sorted(rancher.containers(service).values()) == [("running", "app:2"), ("running", "log:2")]


def test_it_creates_a_stack_and_a_service_that_are_missing(rancher: Rancher, lab: Lab) -> None:
    code, text = deploy(
        lab, "--new-image", "app:1", "--create", "--stack", "New.Group", "--service", "app", "--label", "a", "b"
    )

    assert code == 0, text
    made = rancher.until(rancher.get(f"{P}/services/1s1"), "active")
    assert (made["name"], made["stackId"], made["launchConfig"]["labels"]) == ("app", "1st1", {"a": "b"})
    assert rancher.get(f"{P}/stacks/1st1")["name"] == "new-group"
    assert list(rancher.containers(made).values()) == [("running", "app:1")]


def test_it_sets_links_on_what_it_has_just_created(rancher: Rancher, lab: Lab, service: Any) -> None:
    code, text = deploy(lab, "--new-image", "x", "--create", "--service", "web", "--service-link", "api", "app")

    assert code == 0, text
    assert rancher.get(f"{P}/services/1s2")["linkedServices"] == {"api": "1s1"}


def test_it_hands_secrets_to_a_new_service(rancher: Rancher, lab: Lab, service: Any) -> None:
    rancher.post(f"{P}/secrets", {"name": "token", "value": "eA=="})

    code, text = deploy(lab, "--new-image", "x", "--create", "--service", "web", "--secret", "token")

    assert code == 0, text
    (secret,) = rancher.get(f"{P}/services/1s2")["launchConfig"]["secrets"]
    assert (secret["name"], secret["secretId"]) == ("token", "1se1")


def test_it_rolls_back_after_its_time_and_fails(rancher: Rancher, lab: Lab, service: Any) -> None:
    before = rancher.containers(service)
    lab.faults.unpullable["app:2"] = "Image [app:2] failed to pull"

    code, text = deploy(lab, "--new-image", "app:2", "--upgrade-timeout", "20", "--rollback-on-error")

    assert code == 1, text
    assert rancher.until(service, "active")["launchConfig"]["imageUuid"] == "docker:app:1"
    assert rancher.containers(service) == before


def test_without_rolling_back_it_fails_and_leaves_the_service_upgrading(
    rancher: Rancher, lab: Lab, service: Any
) -> None:
    lab.faults.unpullable["app:2"] = "Image [app:2] failed to pull"

    code, text = deploy(lab, "--new-image", "app:2", "--upgrade-timeout", "20")

    assert code == 1, text
    assert rancher.again(service)["state"] == "upgrading"


def test_a_state_that_is_not_active_is_refused(rancher: Rancher, lab: Lab, service: Any) -> None:
    rancher.act(service, "deactivate")
    rancher.until(service, "inactive")

    code, text = deploy(lab, "--new-image", "app:2")

    assert code == 1
    assert "inactive" in text
