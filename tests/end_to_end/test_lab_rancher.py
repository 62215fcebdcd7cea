"""The lab Rancher beside the lab gateway: what a laptop needs to try a deployment to Rancher."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.estate import Environment, Estate, ask, free_port

pytestmark = pytest.mark.engine


@pytest.fixture
def environment() -> Iterator[Environment]:
    found = Environment()
    yield found
    found.destroy()


@pytest.fixture
def estate(environment: Environment, tmp_path: Path) -> Iterator[Estate]:
    made = Estate(tmp_path, environment)
    made.variables["RANCHER_URL"] = f"http://127.0.0.1:{free_port()}"
    yield made
    made.invoke("lab.down", "--state")


def test_a_release_goes_through_the_gateway_to_containers_of_the_lab_rancher(
    estate: Estate, environment: Environment
) -> None:
    up = estate.invoke("lab.up", "--rancher")
    assert up.code == 0, up

    ran = estate.invoke("build", "deploy", "register")

    assert ran.code == 0, ran
    assert ask(environment.proxy + "/ws/hello")[0] == 200
    stacks = ask(estate.variables["RANCHER_URL"] + "/v2-beta/projects/1a5/stacks")[1]["data"]
    assert estate.stack in {stack["name"] for stack in stacks}


def test_it_is_up_already_told_by_status_and_gone_after_down(estate: Estate) -> None:
    estate.invoke("lab.up", "--rancher")

    again, status = (
        estate.invoke("lab.up", "--rancher"),
        estate.invoke("lab.status", "-e", estate.environment.name, "--json"),
    )

    assert again.err.count("was up already") == 2, again
    rancher = json.loads(status.out)["rancher"]
    assert (rancher["running"], rancher["url"]) == (True, estate.variables["RANCHER_URL"])
    down = estate.invoke("lab.down")
    assert "its stacks run on" in down.err
    assert (
        json.loads(estate.invoke("lab.status", "-e", estate.environment.name, "--json").out)["rancher"]["running"]
        is False
    )


def test_a_server_that_is_elsewhere_is_no_lab(estate: Estate) -> None:
    ran = estate.invoke("lab.up", "--rancher", RANCHER_URL="https://rancher.example.com")

    assert ran.code == 3, ran
    assert "RANCHER_URL is 'https://rancher.example.com', and the lab only listens on this machine" in ran.err
