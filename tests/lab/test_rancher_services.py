"""Services in the lab Rancher: they take time, never give up, and keep the old containers until told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rancher_support import P, Rancher

from pipeline.lab.rancher.running import Lab, running_rancher


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_rancher() as running:
        yield running


@pytest.fixture
def rancher(lab: Lab) -> Rancher:
    return Rancher(lab)


def states(rancher: Rancher, row: Any, *, seconds: float = 20) -> list[str]:
    """The states that a client sees that asks every tenth of a second."""
    seen: list[str] = []
    for _ in range(int(seconds * 10)):
        state = str(rancher.again(row)["state"])
        if not seen or seen[-1] != state:
            seen.append(state)
        rancher.lab.advance(0.1)
    return seen


def images(rancher: Rancher, service: Any) -> list[tuple[str, str]]:
    return sorted(rancher.containers(service).values())


def test_a_service_that_is_made_shows_every_state_on_its_way(rancher: Rancher) -> None:
    body = {"name": "web", "stackId": rancher.stack()["id"], "launchConfig": {"imageUuid": "docker:x"}}
    made = rancher.post(f"{P}/services", body | {"startOnCreate": True})

    assert made["transitioning"] == "yes"
    assert "setservicelinks" in made["actions"]
    assert states(rancher, made) == ["registering", "activating", "active"]


def test_without_start_on_create_it_ends_inactive_and_is_started_by_hand(rancher: Rancher) -> None:
    body = {"name": "web", "stackId": rancher.stack()["id"], "launchConfig": {"imageUuid": "docker:x"}}
    made = rancher.post(f"{P}/services", body)

    assert states(rancher, made, seconds=2) == ["registering", "inactive"]
    assert rancher.containers(made) == {}
    assert rancher.act(made, "activate").json["state"] == "activating"
    assert states(rancher, made) == ["activating", "active"]


def test_containers_carry_ranchers_names_and_labels(rancher: Rancher) -> None:
    service = rancher.service(
        rancher.stack(), scale=2, secondaryLaunchConfigs=[{"name": "log", "imageUuid": "docker:l"}]
    )

    rows = {row["name"]: row for row in rancher.data(f"{service['links']['self']}/instances")}

    assert set(rows) == {"shop-web-1", "shop-web-2", "shop-web-log-1", "shop-web-log-2"}
    labels = rows["shop-web-log-2"]["labels"]
    assert labels["io.rancher.stack.name"] == "shop"
    assert labels["io.rancher.stack_service.name"] == "shop/web/log"
    assert labels["io.rancher.service.launch.config"] == "log"
    assert rows["shop-web-2"]["deploymentUnitUuid"] == rows["shop-web-log-2"]["deploymentUnitUuid"]


def test_a_service_is_active_before_it_is_healthy(rancher: Rancher) -> None:
    rancher.lab.faults.unhealthy.add("shop/web:1")

    service = rancher.service(rancher.stack())

    assert service["healthState"] != "healthy"
    assert rancher.get(f"{P}/stacks/1st1")["healthState"] != "healthy"


def test_an_image_that_cannot_be_pulled_leaves_it_activating_with_the_reason(rancher: Rancher) -> None:
    rancher.lab.faults.unpullable["shop/web:1"] = "Image [shop/web:1] failed to pull: not found"

    service = rancher.service(rancher.stack())

    assert (service["state"], service["transitioning"]) == ("activating", "yes")
    assert service["transitioningMessage"] == (
        "(Expected state running but got error: Image [shop/web:1] failed to pull: not found)"
    )
    rancher.lab.faults.unpullable.clear()
    rancher.lab.advance(60)
    assert rancher.again(service)["state"] == "active"


def test_without_an_active_host_a_service_is_active_with_nothing(rancher: Rancher) -> None:
    rancher.act(rancher.get(f"{P}/hosts/1h1"), "deactivate")
    rancher.lab.advance(1)

    service = rancher.service(rancher.stack())

    assert (service["state"], service["healthState"], service["instanceIds"]) == ("active", "healthy", None)


def test_a_container_that_stops_is_started_again_and_one_that_is_removed_is_replaced(rancher: Rancher) -> None:
    service = rancher.service(rancher.stack())
    (before,) = rancher.containers(service)
    rancher.act(rancher.get(f"{P}/containers/1i1"), "stop")
    rancher.lab.advance(0.2)
    assert rancher.again(service)["state"] == "updating-active"
    rancher.lab.advance(5)
    assert list(rancher.containers(service)) == [before]

    assert rancher.ask("DELETE", f"{P}/containers/1i1").json["state"] == "stopping"
    rancher.lab.advance(5)

    (after,) = rancher.containers(service)
    assert after != before
    assert rancher.again(service)["state"] == "active"


def test_a_service_whose_containers_exit_never_comes_to_rest(rancher: Rancher) -> None:
    rancher.lab.faults.exiting["shop/web:1"] = 1
    service = rancher.service(rancher.stack())

    seen = states(rancher, service)

    assert set(seen) == {"active", "updating-active"}
    assert len(seen) > 4


def test_scaling_is_an_update_and_takes_the_surplus_away(rancher: Rancher) -> None:
    service = rancher.service(rancher.stack())

    assert rancher.ask("PUT", service["links"]["self"], {"scale": 3}).json["state"] == "updating-active"
    rancher.lab.advance(5)
    assert rancher.again(service)["currentScale"] == len(rancher.containers(service)) == 3
    rancher.ask("PUT", service["links"]["self"], {"scale": 1})
    rancher.lab.advance(5)
    assert [row["name"] for row in rancher.data(f"{service['links']['self']}/instances")] == ["shop-web-1"]


def test_a_global_service_has_a_container_on_every_host(rancher: Rancher) -> None:
    rancher.lab.call(lambda: rancher.lab.state.add_host(rancher.lab.state.project, "host-2"))
    labels = {"io.rancher.scheduler.global": "true"}

    service = rancher.service(rancher.stack(), launchConfig={"labels": labels})

    rows = rancher.data(f"{service['links']['self']}/instances")
    assert {row["hostId"] for row in rows} == {"1h1", "1h2"}


def test_a_host_that_is_lost_stays_active_and_its_checked_containers_move(rancher: Rancher) -> None:
    lab = rancher.lab
    lab.call(lambda: lab.state.add_host(lab.state.project, "host-2"))
    service = rancher.service(rancher.stack(), scale=2)

    lab.call(lambda: lab.state.lose_host(1))
    lab.advance(10)

    host = rancher.get(f"{P}/hosts/1h1")
    assert (host["state"], host["agentState"]) == ("active", "disconnected")
    assert {row["hostId"] for row in rancher.data(f"{service['links']['self']}/instances")} == {"1h2"}
    lab.call(lambda: lab.state.find_host(1))
    assert rancher.get(f"{P}/hosts/1h1")["agentState"] == "active"


def test_deactivating_stops_and_activating_starts_the_same_containers(rancher: Rancher) -> None:
    service = rancher.service(rancher.stack())
    before = set(rancher.containers(service))
    rancher.act(service, "deactivate")
    rancher.lab.advance(5)
    assert images(rancher, service) == [("stopped", "shop/web:1")]

    rancher.act(service, "activate")
    rancher.lab.advance(5)

    assert set(rancher.containers(service)) == before
    assert images(rancher, service) == [("running", "shop/web:1")]


def test_a_restart_is_rolling_and_needs_to_be_told_so(rancher: Rancher) -> None:
    service = rancher.service(rancher.stack(), scale=2)
    assert rancher.act(service, "restart", {}).error == (422, "MissingRequired", "rollingRestartStrategy")

    told = rancher.act(service, "restart", {"rollingRestartStrategy": {"batchSize": 1, "intervalMillis": 1000}})

    assert (told.status, told.json["state"]) == (202, "restarting")
    rancher.lab.advance(10)
    rows = rancher.data(f"{service['links']['self']}/instances")
    assert [row["startCount"] for row in rows] == [2, 2]
    assert rancher.again(service)["state"] == "active"


def test_removing_takes_time_and_the_name_is_not_free_before_its_end(rancher: Rancher) -> None:
    stack = rancher.stack()
    service = rancher.service(stack)

    gone = rancher.ask("DELETE", stack["links"]["self"])

    assert (gone.status, gone.json["state"], gone.json["removed"]) == (200, "removing", None)
    assert rancher.ask("POST", f"{P}/stacks", {"name": "shop"}).error == (422, "NotUnique", "name")
    assert rancher.ask("DELETE", stack["links"]["self"]).error == (405, "Method not allowed", None)
    rancher.lab.advance(5)
    assert rancher.ask("POST", f"{P}/stacks", {"name": "shop"}).status == 201
    assert rancher.again(stack)["state"] == rancher.again(service)["state"] == "removed"
    assert rancher.data(f"{P}/containers") == []
    rancher.lab.advance(3 * 24 * 3600)
    assert rancher.ask("GET", stack["links"]["self"]).status == 404


def test_a_service_cannot_be_added_to_a_stack_on_its_way_out(rancher: Rancher) -> None:
    stack = rancher.stack()
    rancher.ask("DELETE", stack["links"]["self"])
    body = {"name": "web", "stackId": stack["id"], "launchConfig": {"imageUuid": "docker:x"}}

    assert rancher.ask("POST", f"{P}/services", body).error == (422, "InvalidState", "stackId")


def test_links_are_set_read_and_cleared(rancher: Rancher) -> None:
    stack = rancher.stack()
    web, db = rancher.service(stack), rancher.service(stack, "db")

    rancher.act(web, "setservicelinks", {"serviceLinks": [{"serviceId": db["id"], "name": "store"}]})

    assert rancher.again(web)["linkedServices"] == {"store": db["id"]}
    (link,) = rancher.data(f"{P}/serviceconsumemaps?serviceId={web['id']}")
    assert (link["consumedServiceId"], link["name"]) == (db["id"], "store")
    again = {"serviceLink": {"serviceId": db["id"], "name": "store"}}
    assert rancher.act(web, "addservicelink", again).error == (422, "NotUnique", "serviceId")
    bad = {"serviceLinks": [{"serviceId": db["id"], "name": "a..b"}]}
    assert rancher.act(web, "setservicelinks", bad).error == (422, "InvalidCharacters", "name")
    rancher.act(web, "setservicelinks", {"serviceLinks": None})
    assert rancher.again(web)["linkedServices"] is None


def test_a_stuck_process_goes_on_when_it_is_let(rancher: Rancher) -> None:
    service = rancher.service(rancher.stack())
    rancher.lab.faults.stuck.add("web")
    rancher.act(service, "deactivate")
    rancher.lab.advance(600)
    assert rancher.again(service)["state"] == "deactivating"

    rancher.lab.faults.stuck.clear()
    rancher.lab.advance(5)

    assert rancher.again(service)["state"] == "inactive"
