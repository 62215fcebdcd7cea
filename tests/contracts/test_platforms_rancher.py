"""What is Rancher's own: upgrades that are finished or rolled back, reasons in its words, few requests, odd answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.edge.rancher_answers import RancherAnswered
from pipeline.edge.rancher_client import RancherClient
from pipeline.edge.rancher_project import open_rancher
from pipeline.errors import BadInput, Failed, PipelineError, Refused, Unreachable
from pipeline.lab.rancher.lab_state import Key, Seed
from pipeline.lab.rancher.running import ACCOUNT_KEY, ENVIRONMENT_KEY, TEST_SEED, Lab, running_rancher
from pipeline.lab.rancher.troubles import Harm, Trouble
from pipeline.model.address import RancherAddress, RegistryAddress
from pipeline.model.rancher import ContainerRow, ServiceWhole, StackRow
from pipeline.model.secret import Secret
from pipeline.model.stack import RancherPart
from pipeline.platforms.rancher import RancherPlatform
from tests.contracts.platform_scenes import NOWHERE, fitted, service, stack
from tests.contracts.rancher_runs import end_of, release, run, versioned
from tests.contracts.rancher_scene import FAST, OTHER_KEY, address_of


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_rancher() as running:
        yield running


@pytest.fixture
def client(lab: Lab) -> Iterator[RancherClient]:
    opened = open_rancher(address_of(lab), clock=lab)
    yield opened
    opened.close()


@pytest.fixture
def platform(lab: Lab, client: RancherClient) -> Iterator[RancherPlatform]:
    opened = RancherPlatform(client, "stage", NOWHERE, clock=lab)
    yield opened
    opened.close()


def service_named(client: RancherClient, name: str) -> ServiceWhole:
    (found,) = client.every("services", ServiceWhole, name=name, kind="service")
    return found


def uuids(client: RancherClient) -> set[str]:
    return {row.id for row in client.every("containers", ContainerRow)}


def test_an_upgrade_that_does_not_get_well_is_rolled_back_to_the_very_same_containers(
    lab: Lab, client: RancherClient
) -> None:
    run(lab, release("1"))
    before, containers = end_of(lab), uuids(client)
    lab.faults.unhealthy.add("cities:2")
    told: list[str] = []

    with pytest.raises(Failed, match=r"cities-master (was not healthy|does not run)") as failed:
        run(lab, release("2", scale=2), tell=told.append)

    assert "app" in failed.value.what
    assert end_of(lab) == before
    assert uuids(client) == containers
    assert "app: upgrading" in told


def test_an_image_that_cannot_be_pulled_is_told_in_the_servers_words_and_the_stack_goes_again(
    lab: Lab, platform: RancherPlatform
) -> None:
    run(lab, release("1", name="cities-old"))
    lab.faults.unpullable["cities:2"] = "Image [cities:2] failed to pull: no such thing"
    told: list[str] = []

    with pytest.raises(Failed, match=r"was not healthy after 60 s.*failed to pull: no such thing"):
        run(lab, release("2"), tell=told.append)

    assert [found.name for found in platform.stacks()] == ["cities-old"]
    assert any("waiting for" in line and "failed to pull" in line for line in told)
    assert lab.requests.count("DELETE /v2-beta/projects/1a5/stacks/1st3") == 1


def test_a_service_that_is_active_without_a_container_is_not_taken_for_healthy() -> None:
    seed = Seed(environment_key=ENVIRONMENT_KEY, security=True, hosts=0)
    with running_rancher(seed=seed) as lab:
        with pytest.raises(Failed, match="waiting for app to become healthy"):
            run(lab, release("1"))

        assert end_of(lab).services == ()


def test_a_container_that_exits_again_and_again_fails_the_deployment(lab: Lab) -> None:
    lab.faults.exiting["cities:1"] = 3

    with pytest.raises(Failed, match=r"(app|proxy|logs) was restarted 3 times;?$"):
        run(lab, release("1"))

    assert end_of(lab).services == ()


def test_waiting_a_minute_takes_at_most_20_requests(lab: Lab) -> None:
    lab.faults.unhealthy.add("cities:1")
    first = release("1")
    client = open_rancher(address_of(lab), clock=lab)
    platform = RancherPlatform(client, "stage", NOWHERE, clock=lab)
    try:
        platform.start(first, {})
        made = len(lab.requests)

        for _ in range(300):
            assert platform.observe(first.name) is not None
            lab.sleep(0.2)

        assert len(lab.requests) - made <= 20
    finally:
        platform.close()
        client.close()


def test_without_events_it_looks_now_and_then(lab: Lab) -> None:
    lab.troubles.coming.append(Trouble(matching="subscribe", harm=Harm.STATUS, status=404, times=1000))

    assert run(lab, release("1")) < 60

    assert {state for _, state, _, _ in end_of(lab).services} == {"active"}


def test_events_that_end_are_asked_for_again_and_nothing_is_missed(lab: Lab) -> None:
    lab.troubles.coming.append(Trouble(matching="subscribe", harm=Harm.LOST_REQUEST, times=1))

    run(lab, release("1"))

    assert {state for _, state, _, _ in end_of(lab).services} == {"active"}


def test_a_service_that_is_removed_by_hand_while_it_is_deployed_is_told_and_the_next_run_makes_it(lab: Lab) -> None:
    def tell(line: str) -> None:
        if line.startswith("waiting"):
            one = open_rancher(address_of(lab), clock=lab)
            one.delete("services", service_named(one, "app").id)
            one.close()

    with pytest.raises(Failed, match="the service app was removed by somebody else") as failed:
        run(lab, release("1"), tell=tell)

    assert "again" in failed.value.hint
    run(lab, release("1"))
    assert {(name, state) for name, state, _, _ in end_of(lab).services} == {("app", "active"), ("proxy", "active")}


def test_a_service_that_is_removed_by_hand_afterwards_is_made_again(lab: Lab, client: RancherClient) -> None:
    run(lab, release("1"))
    before = end_of(lab)
    client.delete("services", service_named(client, "app").id)
    lab.advance(5)

    run(lab, release("1"))

    assert end_of(lab) == before


def test_what_no_release_defined_outlives_an_upgrade_and_what_one_did_no_more_goes(
    lab: Lab, client: RancherClient
) -> None:
    run(lab, release("1", OLD="ours"))
    found = service_named(client, "app")
    by_hand = dict(found.launch_config or {})
    by_hand["environment"] = by_hand["environment"] | {"BY_HAND": "1"}
    by_hand["labels"] = by_hand["labels"] | {"by.hand": "2"}
    by_hand |= {"userdata": "theirs", "cpuShares": 7}
    client.act("services", found.id, "upgrade", {"inServiceStrategy": {"launchConfig": by_hand}}, ServiceWhole)
    lab.advance(20)
    client.act("services", found.id, "finishupgrade", None, ServiceWhole)
    lab.advance(5)

    run(lab, release("2", NEW="ours"))

    config = service_named(client, "app").launch_config or {}
    assert config["environment"] == {"version": "2", "NEW": "ours", "BY_HAND": "1"}
    assert config["labels"]["by.hand"] == "2"
    assert (config["userdata"], config["cpuShares"]) == ("theirs", 7)


def test_sidekicks_come_and_go_with_an_upgrade(lab: Lab, client: RancherClient) -> None:
    def with_sidekicks(version: str, *names: str) -> Any:
        own = [service("app", environment={"version": version}, rancher=RancherPart(interval_millis=100))]
        own += [service(name, rancher=RancherPart(sidekick_of="app")) for name in names]
        return versioned(stack(*own, name="cities-master"), version)

    run(lab, with_sidekicks("1", "a", "b"))
    run(lab, with_sidekicks("2", "b", "c"))

    launched = service_named(client, "app").secondary_launch_configs or []
    assert {one["name"]: one["imageUuid"] for one in launched} == {"b": "docker:cities:2", "c": "docker:cities:2"}
    assert {name for name, _, _ in end_of(lab).containers} == {
        "cities-master-app-1",
        "cities-master-app-b-1",
        "cities-master-app-c-1",
    }


def test_an_upgrade_that_somebody_left_unfinished_is_finished_before_the_next(lab: Lab, client: RancherClient) -> None:
    run(lab, release("1"))
    found = service_named(client, "app")
    config = dict(found.launch_config or {}) | {"imageUuid": "docker:cities:9"}
    client.act("services", found.id, "upgrade", {"inServiceStrategy": {"launchConfig": config}}, ServiceWhole)
    lab.advance(20)
    assert service_named(client, "app").state == "upgraded"

    run(lab, release("2"))

    assert {image for _, _, image in end_of(lab).containers} == {"docker:cities:2"}


def test_a_stack_that_failed_as_a_whole_is_made_anew(lab: Lab, client: RancherClient) -> None:
    wanted = release("1")
    body = {
        "name": wanted.name,
        "externalId": "pipeline://stage/cities",
        "dockerCompose": "version: '3'\nservices: {}\n",
    }
    client.create("stacks", body, StackRow)
    lab.advance(5)
    (found,) = client.every("stacks", StackRow, name=wanted.name)
    assert found.state == "error"

    run(lab, wanted)

    assert {state for _, state, _, _ in end_of(lab).services} == {"active"}


def test_a_stack_of_that_name_that_is_going_is_waited_for(lab: Lab, client: RancherClient) -> None:
    run(lab, release("1"))
    (found,) = client.every("stacks", StackRow, name="cities-master")
    client.delete("stacks", found.id)

    run(lab, release("1"))

    assert {state for _, state, _, _ in end_of(lab).services} == {"active"}


def test_two_runs_at_once_end_as_one(lab: Lab) -> None:
    with running_rancher(timings=FAST, real_time=True) as live:
        problems: list[BaseException] = []

        def go() -> None:
            try:
                run(live, release("1"), clock=SystemClock())
            except PipelineError as error:
                problems.append(error)

        threads = [threading.Thread(target=go) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert problems == []
        client = open_rancher(address_of(live), clock=SystemClock())
        assert len(client.every("stacks", StackRow, name="cities-master")) == 1
        assert len(client.every("containers", ContainerRow)) == 3
        client.close()


def test_a_key_that_expires_half_way_is_told_and_the_next_run_goes_on(lab: Lab) -> None:
    run(lab, release("1", name="cities-old"))
    lab.troubles.coming.append(Trouble(matching="POST .*/services", harm=Harm.STATUS, status=401, after=1, times=1000))

    with pytest.raises(BadInput, match="401: the key is not known, or not active") as refused:
        run(lab, release("2"))

    assert refused.value.exit_code == 3
    assert "RANCHER_ACCESS_KEY" in refused.value.hint
    lab.troubles.coming.clear()
    run(lab, release("2"))
    assert {state for _, state, _, _ in end_of(lab).services} == {"active"}


def test_the_login_of_a_private_registry_is_made_known_and_written_anew(lab: Lab, client: RancherClient) -> None:
    registry = RegistryAddress(host="registry.example.com", user="ci", password=Secret("first"))
    wanted = fitted(stack(name="cities-master"), "stage", "registry.example.com/cities:1")

    for password in ("first", "second"):
        login = RegistryAddress(host=registry.host, user="ci", password=Secret(password))
        platform = RancherPlatform(client, "stage", login, clock=lab)
        platform.start(wanted, {})
        platform.close()
        lab.advance(2)

    stored = lab.call(lambda: [row.data["secretValue"] for row in lab.state.store.rows("credential")])
    assert [value for value in stored if value in ("first", "second")] == ["second"]
    assert "second" not in "".join(lab.requests)


def test_a_login_of_somebody_else_stays(lab: Lab, client: RancherClient) -> None:
    made: Any = client.create("registries", {"serverAddress": "registry.example.com"}, StackRow)
    lab.advance(1)
    theirs = {"registryId": made.id, "publicValue": "them", "secretValue": "theirs"}
    client.create("registrycredentials", theirs, StackRow)
    login = RegistryAddress(host="registry.example.com", user="ci", password=Secret("ours"))
    platform = RancherPlatform(client, "stage", login, clock=lab)

    platform.start(fitted(stack(name="cities-master"), "stage", "registry.example.com/cities:1"), {})

    platform.close()
    assert "ours" not in lab.call(lambda: str([row.data for row in lab.state.store.rows("credential")]))


def named(lab: Lab, project: str, key: Key = ACCOUNT_KEY) -> RancherAddress:
    return address_of(lab, key, project=project)


@pytest.mark.parametrize("project", ["", "1a5", "Default"])
def test_a_project_is_found_by_its_id_and_by_its_name(lab: Lab, project: str) -> None:
    client = open_rancher(named(lab, project), clock=lab)
    try:
        assert client.scope == "/v2-beta/projects/1a5"
        assert run(lab, release("1")) > 0
    finally:
        client.close()


@pytest.mark.parametrize("wanted", ["", "Third"])
def test_a_project_that_is_not_one_of_the_keys_is_told_with_those_that_are(lab: Lab, wanted: str) -> None:
    lab.call(lambda: lab.state.add_project("Other"))

    with pytest.raises(BadInput, match=r"2 projects, and none is named|no project 'Third'") as refused:
        open_rancher(named(lab, wanted), clock=lab)

    assert "Default (1a5)" in refused.value.hint
    assert "RANCHER_PROJECT" in refused.value.hint


def test_a_key_that_is_not_known_is_bad_input(lab: Lab) -> None:
    with pytest.raises(BadInput, match="401") as refused:
        open_rancher(address_of(lab, Key(access="nobody", secret="x")), clock=lab)

    assert refused.value.exit_code == 3


def test_a_key_that_may_only_read_is_refused_at_its_first_write(lab: Lab, client: RancherClient) -> None:
    lab.troubles.coming.append(Trouble(matching="POST .*/stacks", harm=Harm.STATUS, status=405, times=1000))
    platform = RancherPlatform(client, "stage", NOWHERE, clock=lab)

    with pytest.raises(Refused, match="the key may not do this in the project 1a5") as refused:
        platform.start(release("1"), {})

    assert refused.value.exit_code == 4


def test_a_server_that_is_not_there_is_unreachable(lab: Lab) -> None:
    nowhere = RancherAddress(url="http://127.0.0.1:9", access_key="a", secret_key=Secret("b"))

    with pytest.raises(Unreachable, match=r"Rancher at http://127.0.0.1:9 does not answer") as unreachable:
        open_rancher(nowhere, clock=lab)

    assert unreachable.value.exit_code == 5
    assert "RANCHER_URL" in unreachable.value.hint


def test_a_server_that_answers_a_page_is_told_so(lab: Lab) -> None:
    lab.troubles.coming.append(Trouble(matching="projects", harm=Harm.HTML))

    with pytest.raises(RancherAnswered, match="text/html where JSON was expected") as answered:
        open_rancher(address_of(lab), clock=lab)

    assert "RANCHER_URL" in answered.value.hint


def test_a_server_that_is_busy_is_asked_again(lab: Lab) -> None:
    lab.troubles.coming.append(Trouble(matching="GET .*/stacks", harm=Harm.STATUS, status=503, times=2))
    lab.troubles.coming.append(Trouble(matching="POST .*/stacks", harm=Harm.STATUS, status=409, times=2))

    run(lab, release("1"))

    assert {state for _, state, _, _ in end_of(lab).services} == {"active"}


def test_a_listing_goes_through_all_pages_with_few_requests(
    lab: Lab, client: RancherClient, platform: RancherPlatform
) -> None:
    for number in range(120):
        client.create("stacks", {"name": f"s{number}", "externalId": "pipeline://stage/cities"}, StackRow)
    lab.advance(5)

    pages = list(client.pages("stacks", StackRow, {}, size=50))

    assert [len(page) for page in pages] == [50, 50, 20]
    assert len({row.id for page in pages for row in page}) == 120
    made = len(lab.requests)
    assert len(platform.stacks()) == 120
    assert len(lab.requests) - made == 3


def test_what_other_environments_and_people_have_in_the_project_is_never_seen(
    lab: Lab, client: RancherClient, platform: RancherPlatform
) -> None:
    client.create("stacks", {"name": "by-hand"}, StackRow)
    client.create("stacks", {"name": "theirs", "externalId": "pipeline://stage-two/cities"}, StackRow)
    lab.advance(2)

    assert platform.stacks() == ()
    assert platform.observe("theirs") is None
    assert platform.explain("theirs") == ()
    with pytest.raises(Refused, match="there is a stack theirs"):
        platform.start(release("1", name="theirs"), {})


__all__ = ["OTHER_KEY", "TEST_SEED"]
