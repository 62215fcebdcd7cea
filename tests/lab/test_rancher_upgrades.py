"""In-service upgrades of the lab Rancher: what runs, what is kept beside it, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rancher_support import P, Rancher

from pipeline.lab.rancher.running import Lab, running_rancher
from pipeline.lab.rancher.scheduler import Timings


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_rancher() as running:
        yield running


@pytest.fixture
def rancher(lab: Lab) -> Rancher:
    return Rancher(lab)


@pytest.fixture
def service(rancher: Rancher) -> Any:
    """Two units, each with a sidekick."""
    return rancher.service(
        rancher.stack(),
        scale=2,
        launchConfig={"environment": {"A": "1"}, "labels": {"own": "yes"}},
        secondaryLaunchConfigs=[{"name": "log", "imageUuid": "docker:log:1"}],
    )


def found(rancher: Rancher, service: Any) -> list[tuple[str, str]]:
    return sorted(rancher.containers(service).values())


def test_an_upgrade_keeps_the_old_ones_stopped_until_it_is_finished(rancher: Rancher, service: Any) -> None:
    told = rancher.upgrade(service, "shop/web:2")

    assert (told.status, told.json["state"]) == (202, "upgrading")
    assert told.json["launchConfig"]["imageUuid"] == "docker:shop/web:2"
    assert "previousLaunchConfig" not in told.json["upgrade"]["inServiceStrategy"]
    rancher.lab.advance(20)
    upgraded = rancher.again(service)
    assert upgraded["state"] == "upgraded"
    assert upgraded["upgrade"]["inServiceStrategy"]["previousLaunchConfig"]["imageUuid"] == "docker:shop/web:1"
    assert found(rancher, service) == [
        *[("running", "log:1")] * 2,
        *[("running", "shop/web:2")] * 2,
        *[("stopped", "shop/web:1")] * 2,
    ]

    assert rancher.act(service, "finishupgrade").json["state"] == "finishing-upgrade"
    rancher.lab.advance(5)

    assert rancher.again(service)["state"] == "active"
    assert found(rancher, service) == [*[("running", "log:1")] * 2, *[("running", "shop/web:2")] * 2]


def test_a_rollback_brings_the_same_old_containers_back(rancher: Rancher, service: Any) -> None:
    before = rancher.containers(service)
    rancher.upgrade(service, "shop/web:2")
    rancher.lab.advance(20)

    assert rancher.act(service, "rollback").json["launchConfig"]["imageUuid"] == "docker:shop/web:1"
    rancher.lab.advance(5)

    assert rancher.containers(service) == before
    assert rancher.again(service)["state"] == "active"


def test_a_rollback_half_way_takes_back_only_what_was_done(rancher: Rancher, service: Any) -> None:
    before = rancher.containers(service)
    rancher.upgrade(service, "shop/web:2", intervalMillis=60_000)
    rancher.lab.advance(10)
    assert ("running", "shop/web:1") in found(rancher, service)
    assert ("running", "shop/web:2") in found(rancher, service)

    rancher.act(service, "rollback")
    rancher.lab.advance(5)

    assert rancher.containers(service) == before


@pytest.mark.parametrize("start_first", [False, True])
@pytest.mark.parametrize("moment", [number / 20 for number in range(1, 60, 3)])
def test_a_rollback_at_any_moment_ends_with_the_old_ones_running(moment: float, start_first: bool) -> None:
    with running_rancher(timings=Timings(stop=0.5)) as lab:
        rancher = Rancher(lab)
        service = rancher.service(rancher.stack(), scale=2)
        before = rancher.containers(service)
        rancher.upgrade(service, "shop/web:2", startFirst=start_first, intervalMillis=300)
        lab.advance(moment)

        rancher.act(service, "rollback")
        lab.advance(10)

        assert rancher.again(service)["state"] == "active"
        assert rancher.containers(service) == before


@pytest.mark.parametrize("moment", [number / 20 for number in range(1, 60, 5)])
def test_cancelling_at_any_moment_can_be_gone_on_from_or_taken_back(rancher: Rancher, moment: float) -> None:
    service = rancher.service(rancher.stack(), scale=2)
    before = rancher.containers(service)
    for last, state in (("rollback", "active"), ("continueupgrade", "upgraded")):
        rancher.upgrade(service, "shop/web:2", intervalMillis=300)
        rancher.lab.advance(moment)
        if rancher.act(service, "cancelupgrade").status == 202:
            rancher.lab.advance(1)
            rancher.act(service, last)
        elif last == "rollback":
            rancher.act(service, last)
        rancher.lab.advance(20)
        assert rancher.again(service)["state"] == state
        assert (rancher.containers(service) == before) is (state == "active")


def test_with_start_first_no_old_one_stops_before_the_new_one_is_healthy(rancher: Rancher, service: Any) -> None:
    rancher.upgrade(service, "shop/web:2", startFirst=True, batchSize=2)
    least = 9
    for _ in range(100):
        running = [image for state, image in found(rancher, service) if state == "running" and image != "log:1"]
        least = min(least, len(running))
        rancher.lab.advance(0.05)

    assert least == 2
    assert rancher.again(service)["state"] == "upgraded"


def test_without_start_first_the_old_one_stops_first(rancher: Rancher, service: Any) -> None:
    rancher.upgrade(service, "shop/web:2", batchSize=2)
    rancher.lab.advance(0.3)

    assert ("running", "shop/web:1") not in found(rancher, service)


def test_a_new_version_that_is_never_healthy_stays_upgrading_for_ever(rancher: Rancher, service: Any) -> None:
    rancher.lab.faults.unhealthy.add("shop/web:2")
    rancher.upgrade(service, "shop/web:2")
    rancher.lab.advance(3600)
    assert rancher.again(service)["state"] == "upgrading"

    rancher.act(service, "cancelupgrade")
    rancher.lab.advance(5)
    assert rancher.again(service)["state"] == "canceled-upgrade"
    rancher.act(service, "rollback")
    rancher.lab.advance(10)

    assert rancher.again(service)["state"] == "active"
    assert {image for _, image in found(rancher, service)} == {"log:1", "shop/web:1"}


def test_a_cancelled_upgrade_can_go_on(rancher: Rancher, service: Any) -> None:
    rancher.upgrade(service, "shop/web:2", intervalMillis=60_000)
    rancher.lab.advance(10)
    rancher.act(service, "cancelupgrade")
    rancher.lab.advance(5)

    assert rancher.act(service, "continueupgrade").json["state"] == "upgrading"
    rancher.lab.advance(70)

    assert rancher.again(service)["state"] == "upgraded"


def test_the_launch_config_is_replaced_as_a_whole(rancher: Rancher, service: Any) -> None:
    rancher.act(service, "upgrade", {"inServiceStrategy": {"launchConfig": {"imageUuid": "docker:shop/web:2"}}})
    rancher.lab.advance(20)

    config = rancher.again(service)["launchConfig"]
    assert not any(config.get(name) for name in ("environment", "labels", "healthCheck"))
    assert [one["imageUuid"] for one in rancher.again(service)["secondaryLaunchConfigs"]] == ["docker:log:1"]


def test_only_the_configs_that_are_sent_get_a_new_version(rancher: Rancher, service: Any) -> None:
    sidekick = {"name": "log", "imageUuid": "docker:log:2"}
    rancher.act(service, "upgrade", {"inServiceStrategy": {"secondaryLaunchConfigs": [sidekick]}})
    rancher.lab.advance(20)

    after = rancher.again(service)
    assert after["launchConfig"]["version"] == "0"
    assert after["secondaryLaunchConfigs"][0]["version"] != "0"
    assert found(rancher, service) == [
        *[("running", "log:2")] * 2,
        *[("running", "shop/web:1")] * 2,
        *[("stopped", "log:1")] * 2,
    ]


def test_a_sidekick_without_an_image_is_dropped_and_a_rollback_brings_it_back(rancher: Rancher, service: Any) -> None:
    none = {"name": "log", "imageUuid": "docker:rancher/none"}
    rancher.act(service, "upgrade", {"inServiceStrategy": {"secondaryLaunchConfigs": [none]}})
    rancher.lab.advance(20)
    assert rancher.again(service)["secondaryLaunchConfigs"] == []
    assert found(rancher, service) == [*[("running", "shop/web:1")] * 2, *[("stopped", "log:1")] * 2]

    rancher.act(service, "rollback")
    rancher.lab.advance(10)

    assert found(rancher, service) == [*[("running", "log:1")] * 2, *[("running", "shop/web:1")] * 2]


def test_a_sidekick_that_shares_the_network_is_upgraded_along(rancher: Rancher) -> None:
    sidekick = {"name": "log", "imageUuid": "docker:log:1", "networkLaunchConfig": "web"}
    service = rancher.service(rancher.stack(), secondaryLaunchConfigs=[sidekick])

    rancher.upgrade(service, "shop/web:2")
    rancher.lab.advance(20)

    assert rancher.again(service)["secondaryLaunchConfigs"][0]["version"] != "0"
    assert ("stopped", "log:1") in found(rancher, service)


def test_an_upgrade_from_inactive_starts_the_service(rancher: Rancher, service: Any) -> None:
    rancher.act(service, "deactivate")
    rancher.lab.advance(5)
    rancher.upgrade(service, "shop/web:2")
    rancher.lab.advance(20)
    rancher.act(service, "finishupgrade")
    rancher.lab.advance(5)

    assert rancher.again(service)["state"] == "active"
    assert ("running", "shop/web:2") in found(rancher, service)


def test_a_fixed_port_leaves_no_room_for_starting_first(rancher: Rancher) -> None:
    service = rancher.service(rancher.stack(), launchConfig={"ports": ["8080:80"]})
    rancher.upgrade(service, "shop/web:2", startFirst=True)
    rancher.lab.advance(60)

    after = rancher.again(service)
    assert after["state"] == "upgrading"
    assert "8080" in after["transitioningMessage"]


@pytest.mark.parametrize(
    ("strategy", "error"),
    [
        ({}, ("MissingRequired", "Upgrade strategy needs to be set")),
        ({"inServiceStrategy": {"batchSize": 1}}, ("InvalidOption", "launchConfig")),
        ({"inServiceStrategy": {"intervalMillis": 99, "launchConfig": {}}}, ("MinLimitExceeded", "intervalMillis")),
        ({"inServiceStrategy": {"batchSize": 0, "launchConfig": {}}}, ("MinLimitExceeded", "batchSize")),
        (
            {"inServiceStrategy": {"launchConfig": {"labels": {"io.rancher.scheduler.global": "true"}}}},
            ("InvalidOption", "io.rancher.scheduler.global"),
        ),
    ],
)
def test_an_upgrade_that_is_refused_changes_nothing(
    rancher: Rancher, service: Any, strategy: dict[str, Any], error: tuple[str, str]
) -> None:
    assert rancher.act(service, "upgrade", strategy).error == (422, *error)
    assert rancher.again(service)["state"] == "active"


def test_retained_addresses_exclude_starting_first(rancher: Rancher) -> None:
    service = rancher.service(rancher.stack(), retainIp=True)

    assert rancher.upgrade(service, "x", startFirst=True).error == (422, "InvalidOption", "startFirst")


def test_a_service_can_hand_its_scale_to_another(rancher: Rancher, service: Any) -> None:
    target = rancher.service(rancher.get(f"{P}/stacks/1st1"), "next", image="shop/web:2")
    told = rancher.act(service, "upgrade", {"toServiceStrategy": {"toServiceId": target["id"], "finalScale": 3}})
    assert told.status == 202
    rancher.lab.advance(30)

    assert (rancher.again(service)["state"], rancher.again(service)["scale"]) == ("upgraded", 0)
    assert (rancher.again(target)["scale"], len(rancher.containers(target))) == (3, 3)
