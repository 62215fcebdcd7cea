"""The lab Rancher beside the lab gateway: what a laptop needs to try a deployment to Rancher."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.end_to_end.estate import Environment, Estate, ask, free_port

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def environment() -> Iterator[Environment]:
    found = Environment()
    yield found
    found.destroy()


@pytest.fixture(scope="module")
def estate(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """With a lab gateway and a lab Rancher that run."""
    made = Estate(tmp_path_factory.mktemp("estate"), environment)
    made.variables["RANCHER_URL"] = f"http://127.0.0.1:{free_port()}"
    ran = made.invoke("lab.up", "--rancher")
    assert ran.code == 0, ran
    yield made
    made.invoke("lab.down", "--state")


def project(estate: Estate, path: str) -> str:
    return f"{estate.variables['RANCHER_URL']}/v2-beta/projects/1a5/{path}"


def loaded(url: str, until: Callable[[], bool]) -> Counter[int]:
    """The statuses of 100 requests a second, sent when their time has come and not when others are answered."""
    found: Counter[int] = Counter()
    begun, number = time.monotonic(), 0
    with ThreadPoolExecutor(64) as pool:
        answers = []
        while not until():
            for _ in range(20):
                time.sleep(max(0.0, begun + number / 100 - time.monotonic()))
                answers.append(pool.submit(lambda: ask(url)[0]))
                number += 1
        found.update(answer.result() for answer in answers)
    return found


def test_a_release_goes_through_the_gateway_to_containers_of_the_lab_rancher(
    estate: Estate, environment: Environment
) -> None:
    ran = estate.invoke("build", "deploy", "register")

    assert ran.code == 0, ran
    assert ask(environment.proxy + "/ws/hello")[0] == 200
    stacks = ask(project(estate, "stacks"))[1]["data"]
    assert estate.stack in {stack["name"] for stack in stacks}


def test_an_upgrade_that_starts_first_costs_no_request_of_a_hundred_a_second(
    estate: Estate, environment: Environment
) -> None:
    assert estate.invoke("build", "deploy", "register").code == 0
    (stack,) = ask(project(estate, f"stacks?name={estate.stack}"))[1]["data"]
    (service,) = ask(stack["links"]["services"])[1]["data"]
    before = {row["uuid"] for row in ask(service["links"]["instances"])[1]["data"]}
    strategy = {"launchConfig": service["launchConfig"], "startFirst": True, "intervalMillis": 1000}
    assert ask(service["actions"]["upgrade"], "POST", {"inServiceStrategy": strategy})[0] == 202
    ends: list[float] = []

    def finished() -> bool:
        """The upgrade, its end, and two seconds more."""
        state = ask(service["links"]["self"])[1]
        if state["state"] == "upgraded":
            ask(state["actions"]["finishupgrade"], "POST")
        elif state["state"] == "active":
            ends.append(time.monotonic())
        return bool(ends) and time.monotonic() - ends[0] > 2

    statuses = loaded(environment.proxy + "/ws/hello", finished)

    after = {row["uuid"] for row in ask(service["links"]["instances"])[1]["data"]}
    assert not before & after
    assert set(statuses) == {200}, statuses
    assert statuses.total() > 300


def test_it_is_up_already_told_by_status_and_its_stacks_outlive_it(estate: Estate, environment: Environment) -> None:
    again, status = estate.invoke("lab.up", "--rancher"), shown(estate)
    assert again.err.count("was up already") == 2, again
    assert (status["running"], status["url"]) == (True, estate.variables["RANCHER_URL"])

    down = estate.invoke("lab.down")

    assert "its stacks run on" in down.err
    assert shown(estate)["running"] is False
    assert estate.invoke("lab.up", "--rancher").code == 0
    assert ask(environment.proxy + "/ws/hello")[0] == 200
    (stack,) = ask(project(estate, f"stacks?name={estate.stack}"))[1]["data"]
    assert {row["state"] for row in ask(stack["links"]["services"])[1]["data"]} == {"active"}


def shown(estate: Estate) -> dict[str, Any]:
    """What `lab.status` says of the Rancher."""
    found: dict[str, Any] = json.loads(estate.invoke("lab.status", "-e", estate.environment.name, "--json").out)
    return dict(found["rancher"])


def test_a_server_that_is_elsewhere_is_no_lab(estate: Estate) -> None:
    ran = estate.invoke("lab.up", "--rancher", RANCHER_URL="https://rancher.example.com")

    assert ran.code == 3, ran
    assert "RANCHER_URL is 'https://rancher.example.com', and the lab only listens on this machine" in ran.err
