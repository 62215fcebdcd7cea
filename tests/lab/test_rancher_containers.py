"""The lab Rancher with real containers: they run, find each other by name, are probed, replaced and removed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rancher_support import P, Rancher

from pipeline.edge.engine import EngineClients
from pipeline.lab.rancher.on_engine import remove_containers
from pipeline.lab.rancher.running import RealLab, rancher_on_engine
from pipeline.model.address import EngineAddress
from tests.builders.engine_support import running_registry
from tests.contracts.platform_scenes import busybox_image

if TYPE_CHECKING:
    from docker import APIClient

SERVE = ["/bin/sh", "-c", "echo $WORD >/index.html; exec /bin/busybox httpd -f -p 80 -h /"]
USERS = "ci:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"  # the password is: secret
CHECK = {"port": 80, "requestLine": "GET /index.html HTTP/1.0", "interval": 200, "healthyThreshold": 2}


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    from pipeline.edge.engine import open_engine

    client = open_engine(EngineAddress())
    try:
        with busybox_image(client) as made:
            yield made
    finally:
        client.close()


@pytest.fixture
def environment(engine_client: APIClient) -> Iterator[str]:
    """An environment of its own; its network and containers are gone at the end."""
    name = f"lab-{uuid.uuid4().hex[:8]}"
    yield name
    network = f"pipeline-{name}"
    remove_containers(EngineClients(engine_client, EngineAddress()), network)
    engine_client.remove_network(network)


@pytest.fixture
def lab(environment: str) -> Iterator[RealLab]:
    with rancher_on_engine(environment=environment) as running:
        yield running


@pytest.fixture
def rancher(lab: RealLab) -> Rancher:
    return Rancher(lab)


def serving(rancher: Rancher, image: str, name: str = "web", word: str = "one", **fields: Any) -> Any:
    """A service of that word, active and healthy."""
    (stack,) = rancher.data(f"{P}/stacks?name=shop") or (rancher.post(f"{P}/stacks", {"name": "shop"}),)
    config = {
        "imageUuid": f"docker:{image}",
        "command": SERVE,
        "environment": {"WORD": word},
        "healthCheck": CHECK,
        # As process 1 it does not end when it is asked to.
        "stopSignal": "SIGKILL",
        **fields.pop("launchConfig", {}),
    }
    body = {"name": name, "stackId": stack["id"], "startOnCreate": True, "launchConfig": config, **fields}
    return rancher.until(rancher.post(f"{P}/services", body), "active", healthState="healthy", seconds=20)


def run_in(client: APIClient, container: str, *words: str) -> str:
    made = client.exec_create(container, list(words))
    return str(client.exec_start(made["Id"]).decode())


def engine_ids(rancher: Rancher, service: Any) -> list[str]:
    rows = rancher.data(f"{service['links']['self']}/instances")
    return [row["externalId"] for row in rows if row["state"] == "running"]


def test_a_service_runs_as_its_launch_config_says_and_answers_by_name(
    rancher: Rancher, image: str, engine_client: APIClient
) -> None:
    web = serving(rancher, image, scale=2)
    asker = serving(rancher, image, "other")
    (container,) = engine_ids(rancher, asker)

    for name in ("web", "web.shop", "WEB.shop.rancher.internal"):
        assert run_in(engine_client, container, "/bin/busybox", "wget", "-qO-", f"http://{name}/") == "one\n", name
    assert len(engine_ids(rancher, web)) == 2
    found = engine_client.inspect_container(engine_ids(rancher, web)[0])
    labels = found["Config"]["Labels"]
    assert labels["io.rancher.stack_service.name"] == "shop/web"
    assert labels["io.rancher.container.name"] in ("shop-web-1", "shop-web-2")
    assert found["Name"].startswith("/r-shop-web-")


def test_only_healthy_containers_are_found_by_name(rancher: Rancher, image: str, engine_client: APIClient) -> None:
    web = serving(rancher, image, scale=2)
    (asker,) = engine_ids(rancher, serving(rancher, image, "asker"))
    ill, well = engine_ids(rancher, web)
    run_in(engine_client, ill, "/bin/busybox", "rm", "/index.html")

    rancher.until(web, "updating-active", "active", healthState="degraded", seconds=20)

    address = engine_client.inspect_container(well)["NetworkSettings"]["Networks"].popitem()[1]["IPAddress"]
    assert address in run_in(engine_client, asker, "/bin/busybox", "nslookup", "web.shop")


def test_an_upgrade_that_starts_first_never_leaves_the_name_unanswered(
    rancher: Rancher, image: str, engine_client: APIClient
) -> None:
    web = serving(rancher, image)
    (asker,) = engine_ids(rancher, serving(rancher, image, "asker"))
    config = {**web["launchConfig"], "environment": {"WORD": "two"}}
    strategy = {"launchConfig": config, "startFirst": True, "intervalMillis": 100}
    assert rancher.act(web, "upgrade", {"inServiceStrategy": strategy}).status == 202
    answers, end = [], time.monotonic() + 30

    while rancher.again(web)["state"] == "upgrading":
        assert time.monotonic() < end
        answers.append(run_in(engine_client, asker, "/bin/busybox", "wget", "-qO-", "http://web.shop/"))

    assert rancher.again(web)["state"] == "upgraded"
    assert set(answers) <= {"one\n", "two\n"}
    rancher.act(web, "finishupgrade")
    rancher.until(web, "active", seconds=20)
    assert run_in(engine_client, asker, "/bin/busybox", "wget", "-qO-", "http://web.shop/") == "two\n"
    assert len(rancher.containers(web)) == 1


def test_a_rollback_runs_the_very_same_container_again(rancher: Rancher, image: str) -> None:
    web = serving(rancher, image)
    before = engine_ids(rancher, web)
    config = {**web["launchConfig"], "environment": {"WORD": "two"}}
    rancher.act(web, "upgrade", {"inServiceStrategy": {"launchConfig": config}})
    rancher.until(web, "upgraded", seconds=30)
    assert engine_ids(rancher, web) != before

    rancher.act(web, "rollback")
    rancher.until(web, "active", seconds=30)

    assert engine_ids(rancher, web) == before


def test_a_container_that_dies_is_started_again_and_one_that_is_removed_is_made_again(
    rancher: Rancher, image: str, engine_client: APIClient
) -> None:
    web = serving(rancher, image)
    (first,) = engine_ids(rancher, web)

    engine_client.kill(first)
    (row,) = rancher.data(f"{web['links']['self']}/instances")
    rancher.until(row, "running", startCount=2, seconds=20)
    assert engine_ids(rancher, web) == [first]

    engine_client.remove_container(first, force=True)
    rancher.until(row, "running", startCount=3, seconds=20)
    assert engine_ids(rancher, web) != [first]


def test_an_image_that_cannot_be_pulled_is_told_by_the_service(rancher: Rancher) -> None:
    stack = rancher.post(f"{P}/stacks", {"name": "shop"})
    body = {"name": "web", "stackId": stack["id"], "startOnCreate": True}
    made = rancher.post(f"{P}/services", body | {"launchConfig": {"imageUuid": "docker:127.0.0.1:1/no/such:1"}})
    end = time.monotonic() + 20
    while "failed to pull" not in (rancher.again(made)["transitioningMessage"] or ""):
        assert time.monotonic() < end
        time.sleep(0.05)

    assert rancher.again(made)["state"] == "activating"
    assert "Image [127.0.0.1:1/no/such:1] failed to pull" in rancher.again(made)["transitioningMessage"]


def test_an_image_of_a_private_registry_is_pulled_with_its_credential(
    rancher: Rancher, image: str, engine_client: APIClient, tmp_path: Path
) -> None:
    with running_registry(tmp_path, htpasswd=USERS) as host:
        name = f"{host}/shop/web"
        engine_client.tag(image, name, "1")
        pushed = engine_client.push(name, "1", auth_config={"username": "ci", "password": "secret"})
        assert "errorDetail" not in pushed
        engine_client.remove_image(f"{name}:1", force=True)
        stack = rancher.post(f"{P}/stacks", {"name": "shop"})
        config = {"imageUuid": f"docker:{name}:1", "command": ["/bin/sleep", "1000"], "stopSignal": "SIGKILL"}
        body = {"name": "web", "stackId": stack["id"], "startOnCreate": True, "launchConfig": config}
        made = rancher.post(f"{P}/services", body)
        end = time.monotonic() + 20
        while "failed to pull" not in (rancher.again(made)["transitioningMessage"] or ""):
            assert time.monotonic() < end
            time.sleep(0.05)

        registry = rancher.post(f"{P}/registries", {"serverAddress": host})
        login = {"registryId": registry["id"], "publicValue": "ci", "secretValue": "secret"}
        rancher.post(f"{P}/registrycredentials", login)

        rancher.until(made, "active", seconds=30)
        engine_client.remove_image(f"{name}:1", force=True)


def test_secrets_are_files_and_sidekicks_share_a_network(
    rancher: Rancher, image: str, engine_client: APIClient
) -> None:
    secret = rancher.post(f"{P}/secrets", {"name": "token", "value": "aHVzaA=="})
    reference = {"secretId": secret["id"], "name": "token", "mode": "400"}
    beside = {
        "name": "beside",
        "imageUuid": f"docker:{image}",
        "command": ["/bin/sleep", "1000"],
        "networkLaunchConfig": "web",
    }

    web = serving(rancher, image, launchConfig={"secrets": [reference]}, secondaryLaunchConfigs=[beside])

    rows = {row["name"]: row["externalId"] for row in rancher.data(f"{web['links']['self']}/instances")}
    assert run_in(engine_client, rows["shop-web-1"], "/bin/cat", "/run/secrets/token") == "hush"
    mode = engine_client.inspect_container(rows["shop-web-beside-1"])["HostConfig"]["NetworkMode"]
    assert mode == f"container:{rows['shop-web-1']}"


def test_removing_a_stack_removes_its_containers(rancher: Rancher, image: str, engine_client: APIClient) -> None:
    web = serving(rancher, image)
    (container,) = engine_ids(rancher, web)

    rancher.ask("DELETE", f"{P}/stacks/{web['stackId']}")
    rancher.until(web, "removed", seconds=30)

    assert container not in {one["Id"] for one in engine_client.containers(all=True)}


def test_a_lab_that_is_started_again_finds_its_containers_and_goes_on(
    environment: str, image: str, tmp_path: Path, engine_client: APIClient
) -> None:
    state = tmp_path / "state.json"
    with rancher_on_engine(environment=environment, state=state) as lab:
        rancher = Rancher(lab)
        web, db = serving(rancher, image), serving(rancher, image, "db")
        kept, killed = engine_ids(rancher, web), engine_ids(rancher, db)
        rancher.act(db, "deactivate")
    engine_client.kill(kept[0])

    with rancher_on_engine(environment=environment, state=state) as lab:
        rancher = Rancher(lab)
        rancher.until(db, "inactive", seconds=20)
        again = rancher.until(web, "active", healthState="healthy", seconds=20)

        assert engine_ids(rancher, again) == kept
        assert engine_ids(rancher, db) == [] != killed
    assert state.stat().st_mode & 0o777 == 0o600


def test_containers_that_a_killed_lab_never_wrote_down_are_removed(
    environment: str, image: str, tmp_path: Path, engine_client: APIClient
) -> None:
    state, earlier = tmp_path / "state.json", tmp_path / "earlier.json"
    with rancher_on_engine(environment=environment, state=state) as lab:
        rancher = Rancher(lab)
        kept = engine_ids(rancher, serving(rancher, image))
        time.sleep(1)
        earlier.write_bytes(state.read_bytes())
        lost = engine_ids(rancher, serving(rancher, image, "db"))
    earlier.replace(state)

    with rancher_on_engine(environment=environment, state=state) as lab:
        rancher = Rancher(lab)
        rows = rancher.data(f"{P}/services")

        assert [row["name"] for row in rows] == ["web"]
        there = {one["Id"] for one in engine_client.containers(all=True)}
        assert set(kept) <= there
        assert not set(lost) & there
