"""The calls that Rancher's command line 0.6.14 and rancher-compose 0.12.5 make, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rancher_support import ACCOUNT_KEY, P, Rancher

from pipeline.lab.rancher.running import Lab, running_rancher

NIL = "removed_null=%3Cnil%3E"
HIDDEN = "state_ne=inactive&state_ne=stopped&state_ne=removing&system=false"
INSPECTED = {
    "Name": "",
    "Config": {"Image": "nginx:1", "Env": ["A=1"], "Cmd": ["run", "it"], "Labels": {"own": "yes"}},
    "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}, "LogConfig": {}, "NetworkMode": "default"},
}


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_rancher() as running:
        yield running


@pytest.fixture
def cli(lab: Lab) -> Rancher:
    return Rancher(lab, ACCOUNT_KEY)


def brought_up(cli: Rancher, image: str, stack: Any, base: str = P) -> Any:
    """`up` of one service: looked up, transformed, made, linked, waited for, activated."""
    assert cli.data(f"{base}/services?name=web&{NIL}&stackId={stack['id']}") == []
    config = cli.post(f"{base}/scripts/transform", INSPECTED)
    config |= {"type": "container", "imageUuid": f"docker:{image}", "networkMode": "managed", "logConfig": {}}
    body = {"name": "web", "scale": 1, "stackId": stack["id"], "launchConfig": config, "links": None, "actions": None}
    made = cli.post(f"{base}/services", body | {"metadata": {"io.rancher.service.hash": "h"}})
    assert cli.data(f"{base}/serviceconsumemaps?serviceId={made['id']}") == []
    assert cli.act(made, "setservicelinks", {"serviceLinks": None}).status == 200
    cli.lab.advance(1)
    assert cli.again(made)["transitioning"] == "no"
    assert cli.act(cli.again(made), "activate").status == 202
    cli.lab.advance(2)
    return cli.again(made)


def test_the_preamble_of_every_command(cli: Rancher, lab: Lab) -> None:
    for path in ("/v2-beta", "/v2-beta/schemas", "/v2-beta/projects", f"{P}/schemas/schemas", f"{P}/schemas"):
        told = cli.ask("GET", path)
        assert told.status == 200
        schemas = "/v2-beta/projects/1a5/schemas" if path.startswith(P) else "/v2-beta/schemas"
        assert told.headers["x-api-schemas"] == f"{lab.url}{schemas}"
    nested = cli.data(f"{P}/projects?all=true&name=default&removed_null=1")
    assert [row["id"] for row in nested] == ["1a5"]
    stack = next(one for one in cli.get(f"{P}/schemas")["data"] if one["id"] == "stack")
    assert stack["links"]["collection"] == f"{lab.url}{P}/stacks"
    assert (stack["pluralName"], stack["collectionMethods"]) == ("stacks", ["GET", "POST"])


def test_stacks(cli: Rancher) -> None:
    cli.stack()

    rows = cli.data(f"{P}/stacks?limit=-2&removed_null=1&{HIDDEN}")

    assert [row["name"] for row in rows] == ["shop"]
    catalog = cli.ask("GET", "/v1-catalog")
    assert catalog.status == 200
    assert "x-api-schemas" in catalog.headers
    assert cli.get(f"{P}/settings/rancher.server.version")["value"].startswith("v1.6.")


def test_ps_lists_stacks_and_services_without_the_inactive(cli: Rancher) -> None:
    stack = cli.stack()
    service = cli.service(stack)
    cli.act(cli.service(stack, "resting"), "deactivate")
    cli.lab.advance(5)

    assert len(cli.data(f"{P}/stacks?all=true&limit=-2")) == 1
    rows = cli.data(f"{P}/services?limit=-2&removed_null=1&{HIDDEN}")
    assert [row["id"] for row in rows] == [service["id"]]
    assert len(cli.data(f"{P}/services?all=true&limit=-2&system=false")) == 2
    assert len(cli.data(f"{P}/containers?all=true&limit=-2&system=false")) == 2


def test_up_and_its_upgrade_confirmed_and_rolled_back(cli: Rancher) -> None:
    assert cli.data(f"{P}/stacks?name=app&{NIL}") == []
    stack = cli.post(f"{P}/stacks", {"name": "app", "links": None, "actions": None})
    service = brought_up(cli, "nginx:1", stack)
    assert (service["state"], service["startOnCreate"]) == ("active", False)
    assert service["launchConfig"]["labels"] == {"own": "yes"}
    strategy = {"batchSize": 2, "intervalMillis": 1000}

    for image, last in (("nginx:2", "finishupgrade"), ("nginx:3", "rollback")):
        config = {**service["launchConfig"], "imageUuid": f"docker:{image}"}
        assert cli.act(service, "upgrade", {"inServiceStrategy": {**strategy, "launchConfig": config}}).status == 202
        cli.lab.advance(5)
        assert cli.again(service)["state"] == "upgraded"
        assert cli.act(service, last).status == 202
        cli.lab.advance(5)
        service = cli.again(service)
        assert service["state"] == "active"

    assert service["launchConfig"]["imageUuid"] == "docker:nginx:2"
    assert cli.act(service, "rollback").error == (422, "ActionNotAvailable", "action")


def test_transforming_what_docker_inspect_says(cli: Rancher) -> None:
    config = cli.post(f"{P}/scripts/transform", INSPECTED)

    assert (config["imageUuid"], config["environment"]) == ("docker:nginx:1", {"A": "1"})
    assert (config["command"], config["ports"], config["networkMode"]) == (["run", "it"], ["8080:80/tcp"], "managed")
    assert config["logConfig"] == {"type": "logConfig", "driver": "", "config": {}}


def test_pull_is_a_task_that_tells_what_each_host_has_done(cli: Rancher) -> None:
    cli.lab.faults.unpullable["gone:1"] = "not found"
    done = cli.post(f"{P}/pulltasks", {"image": "nginx:2", "mode": "all"})
    failed = cli.post(f"{P}/pulltasks", {"image": "gone:1", "mode": "all"})
    assert done["transitioning"] == "yes"
    cli.lab.advance(2)

    assert cli.again(done)["status"] == {"host-1": "Done"}
    assert cli.again(failed)["status"] == {"host-1": "not found"}
    assert cli.again(done)["transitioning"] == "no"


def test_pruning_finds_services_by_the_stacks_own_list(cli: Rancher) -> None:
    service = cli.service(cli.stack())

    assert cli.get(f"{P}/stacks/1st1")["serviceIds"] == [service["id"]]
    cli.ask("DELETE", service["links"]["self"])
    cli.lab.advance(5)
    assert cli.get(f"{P}/stacks/1st1")["serviceIds"] is None


def test_export_looks_a_name_up_and_asks_without_a_body(cli: Rancher) -> None:
    cli.service(cli.stack("app"))
    assert cli.ask("GET", f"{P}/stacks/app").status == 404
    (stack,) = cli.data(f"{P}/stacks?name=app&removed_null=1")

    told = cli.ask("POST", f"{P}/stacks/{stack['id']}/?action=exportconfig")

    assert (told.status, told.json["type"]) == (200, "composeConfig")


def test_rm_looks_in_every_type_and_deletes(cli: Rancher) -> None:
    service = cli.service(cli.stack())
    for kind in ("services", "containers", "stacks", "hosts", "volumes", "secrets"):
        assert cli.ask("GET", f"{P}/{kind}/web").status == 404
    assert [row["id"] for row in cli.data(f"{P}/services?name=web&stackId=1st1")] == [service["id"]]

    assert cli.ask("DELETE", f"{P}/services/{service['id']}").status == 200


def test_scale_restart_stop_and_start(cli: Rancher) -> None:
    service = cli.service(cli.stack())

    assert cli.ask("PUT", service["links"]["self"], {"scale": 3}).status == 200
    cli.lab.advance(5)
    rolling = {"rollingRestartStrategy": {"batchSize": 1, "intervalMillis": 1000}}
    for action, body in (("restart", rolling), ("deactivate", None), ("activate", None)):
        assert cli.act(service, action, body).status == 202
        cli.lab.advance(10)
        assert cli.again(service)["transitioning"] == "no"
    assert cli.again(service)["currentScale"] == 3


def test_rancher_compose_does_the_same_with_an_environment_key_and_no_path(lab: Lab) -> None:
    cli = Rancher(lab)
    assert cli.ask("GET", "/v2-beta/settings/rancher.compose.version").status == 200
    stack = cli.post("/v2-beta/stacks", {"name": "app"})

    service = brought_up(cli, "nginx:1", stack, "/v2-beta")

    assert service["state"] == "active"
    assert service["links"]["self"] == f"{lab.url}/v2-beta/services/1s1"


def test_the_subscription_is_found_in_the_schemas(cli: Rancher, lab: Lab) -> None:
    schema = cli.get(f"{P}/schemas/subscribe")

    assert schema["links"]["collection"] == f"{lab.url}{P}/subscribe"
    assert "GET" in schema["collectionMethods"]
