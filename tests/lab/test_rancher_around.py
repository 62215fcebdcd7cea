"""What is around stacks and services in the lab Rancher: keys, registries, secrets, hosts, projects, and trouble."""

from __future__ import annotations

import io
import socket
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from rancher_support import ACCOUNT_KEY, COMPOSE, P, Rancher

from pipeline.lab.rancher.crowd import fill
from pipeline.lab.rancher.lab_state import Key
from pipeline.lab.rancher.running import Lab, running_rancher
from pipeline.lab.rancher.troubles import Harm, Trouble

PEM = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_rancher() as running:
        yield running


@pytest.fixture
def rancher(lab: Lab) -> Rancher:
    return Rancher(lab)


def made(rancher: Rancher, kind: str, **fields: Any) -> Any:
    row = rancher.post(f"{P}/{kind}", fields)
    assert row["transitioning"] == "yes"
    rancher.lab.advance(1)
    return rancher.again(row)


@pytest.mark.parametrize(
    ("kind", "fields", "error"),
    [
        ("secrets", {"name": "s", "value": "not base64!"}, (422, "InvalidBase64", "value")),
        ("secrets", {"name": "s"}, (422, "EmptySecret", "value")),
        ("secrets", {"name": "taken", "value": "eA=="}, (422, "NotUnique", "name")),
        ("certificates", {"name": "c", "cert": "x", "key": PEM}, (422, "InvalidFormat", "cert")),
        ("certificates", {"name": "c", "cert": PEM}, (422, "MissingRequired", "key")),
        ("registries", {"serverAddress": "registry.example"}, (400, "ServerAddressUsed", None)),
        ("registries", {}, (422, "MissingRequired", "serverAddress")),
        (
            "registrycredentials",
            {"registryId": "1sp9", "publicValue": "u", "secretValue": "p"},
            (422, "InvalidReference", "registryId"),
        ),
    ],
)
def test_what_is_refused(rancher: Rancher, kind: str, fields: dict[str, str], error: Any) -> None:
    made(rancher, "secrets", name="taken", value="eA==")
    made(rancher, "registries", serverAddress="registry.example")

    assert rancher.ask("POST", f"{P}/{kind}", fields).error == error


def test_secret_values_are_shown_by_the_answer_to_their_creation_and_never_again(rancher: Rancher) -> None:
    secret = rancher.post(f"{P}/secrets", {"name": "s", "value": "eA=="})
    rancher.lab.advance(1)

    assert secret["value"] == "eA=="
    assert "value" not in rancher.again(secret)
    assert all("value" not in row for row in rancher.data(f"{P}/secrets"))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [("registries", {"serverAddress": "r.example"}), ("apikeys", {"name": "k"}), ("volumes", {"name": "v"})],
)
def test_what_is_guarded_is_deactivated_before_it_is_deleted(
    rancher: Rancher, kind: str, fields: dict[str, str]
) -> None:
    row = made(rancher, kind, **fields)
    assert rancher.ask("DELETE", row["links"]["self"]).error == (405, "Method not allowed", None)

    rancher.act(row, "deactivate")
    rancher.lab.advance(1)
    assert rancher.ask("DELETE", row["links"]["self"]).json["state"] == "removing"
    rancher.lab.advance(1)

    assert rancher.again(row)["state"] == "removed"
    rancher.lab.advance(900)
    assert rancher.again(row)["state"] == "purged"


def test_a_host_goes_with_its_containers_once_it_is_inactive(rancher: Rancher) -> None:
    rancher.lab.call(lambda: rancher.lab.state.add_host(rancher.lab.state.project, "host-2"))
    service = rancher.service(rancher.stack(), scale=2)
    host = rancher.get(f"{P}/hosts/1h1")
    assert len(host["instanceIds"]) == 1

    rancher.act(host, "deactivate")
    rancher.lab.advance(1)
    assert rancher.ask("DELETE", host["links"]["self"]).status == 200
    rancher.lab.advance(10)

    assert rancher.again(host)["state"] == "removed"
    rows = rancher.data(f"{service['links']['self']}/instances")
    assert [row["hostId"] for row in rows] == ["1h2", "1h2"]


def test_projects_belong_to_those_who_made_them(lab: Lab) -> None:
    user = lab.call(lambda: lab.state.add_user("somebody"))
    lab.call(lambda: lab.state.add_key(Key(access="U", secret="S"), user))
    somebody, admin = Rancher(lab, Key(access="U", secret="S")), Rancher(lab, ACCOUNT_KEY)
    assert somebody.data("/v2-beta/projects") == []
    project = somebody.post("/v2-beta/projects", {"name": "mine"})
    lab.advance(1)
    assert [row["name"] for row in somebody.data("/v2-beta/projects")] == ["mine"]
    assert somebody.ask("DELETE", "/v2-beta/projects/1a5").status == 404

    user_2 = lab.call(lambda: lab.state.add_user("member"))
    lab.call(lambda: lab.state.add_key(Key(access="M", secret="S"), user_2))
    members = [{"role": role, "externalId": f"1a{row.number}"} for role, row in (("owner", user), ("member", user_2))]
    assert somebody.act(project, "setmembers", {"members": members}).status == 200

    member = Rancher(lab, Key(access="M", secret="S"))
    assert member.ask("DELETE", f"/v2-beta/projects/{project['id']}").error == (403, "Forbidden", None)
    assert member.ask("POST", f"/v2-beta/projects/{project['id']}/stacks", {"name": "s"}).status == 201
    assert admin.ask("DELETE", f"/v2-beta/projects/{project['id']}").json["state"] == "removing"


def test_a_registry_that_is_not_whitelisted_is_refused(lab: Lab, rancher: Rancher) -> None:
    stack = rancher.stack()
    Rancher(lab, ACCOUNT_KEY).ask(
        "PUT", "/v2-beta/settings/registry.whitelist", {"value": "good.example,index.docker.io"}
    )
    body = {"name": "web", "stackId": stack["id"]}

    bad = rancher.ask("POST", f"{P}/services", body | {"launchConfig": {"imageUuid": "docker:bad.example/x:1"}})

    assert bad.error == (422, "InvalidOption", "The provided registry is not whitelisted")
    for number, image in enumerate(("good.example/x", "nginx")):
        config = {"launchConfig": {"imageUuid": f"docker:{image}"}, "name": f"web{number}"}
        assert rancher.ask("POST", f"{P}/services", body | config).status == 201


def test_a_containers_image_is_pulled_with_its_registrys_credential(rancher: Rancher, lab: Lab) -> None:
    registry = made(rancher, "registries", serverAddress="r.example:5000")
    made(rancher, "registrycredentials", registryId=registry["id"], publicValue="me", secretValue="hush")
    rancher.service(rancher.stack(), image="r.example:5000/shop/web:1")
    row = lab.state.store.get("instance", 1)
    assert row is not None

    container = lab.call(lambda: lab.state.instances.container_of(row))

    assert container.login == ("me", "hush")
    assert "hush" not in repr(container)


def test_a_load_balancer_is_checked_and_given_what_it_needs(rancher: Rancher) -> None:
    stack = rancher.stack()
    web = rancher.service(stack)
    rule = {"sourcePort": 80, "targetPort": 8080, "serviceId": web["id"]}
    body = {"name": "lb", "stackId": stack["id"], "launchConfig": {"ports": ["80:80"]}}

    def told(**changes: Any) -> Any:
        rules = [{name: value for name, value in (rule | changes).items() if value is not None}]
        return rancher.ask("POST", f"{P}/loadbalancerservices", body | {"lbConfig": {"portRules": rules}})

    assert told(targetPort=None).error == (422, "MissingRequired", "targetPort")
    assert told(selector="a=b").error == (422, "InvalidOption", "serviceId")
    assert told(sourcePort=42).error == (422, "InvalidOption", "sourcePort")
    assert told(serviceId="1s99").error == (422, "InvalidReference", "serviceId")
    made = told().json
    assert made["type"] == "loadBalancerService"
    assert made["launchConfig"]["healthCheck"]["port"] == 42


def test_a_stack_is_renamed_and_not_to_a_name_that_is_taken(rancher: Rancher) -> None:
    rancher.stack("other")
    stack = rancher.stack()

    assert rancher.ask("PUT", stack["links"]["self"], {"name": "other"}).error == (422, "NotUnique", "name")
    assert rancher.ask("PUT", stack["links"]["self"], {"name": "new"}).json["state"] == "updating-active"
    rancher.lab.advance(1)
    assert (rancher.again(stack)["name"], rancher.again(stack)["state"]) == ("new", "active")


def test_a_scale_that_is_changed_during_an_upgrade_is_part_of_it(rancher: Rancher) -> None:
    service = rancher.service(rancher.stack())
    rancher.upgrade(service, "shop/web:2")
    rancher.lab.advance(0.2)

    assert rancher.ask("PUT", service["links"]["self"], {"scale": 3}).json["state"] == "upgrading"
    rancher.lab.advance(20)

    assert rancher.again(service)["state"] == "upgraded"
    assert sorted(rancher.containers(service).values()) == [*[("running", "shop/web:2")] * 3, ("stopped", "shop/web:1")]


def test_the_compose_files_of_a_stack_come_as_a_zip(rancher: Rancher) -> None:
    stack = rancher.stack(dockerCompose=COMPOSE)

    told = rancher.ask("GET", stack["links"]["composeConfig"])

    assert told.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(told.json)) as archive:
        assert archive.namelist() == ["docker-compose.yml", "rancher-compose.yml"]
        assert b"image: shop/web:1" in archive.read("docker-compose.yml")


def test_trouble_hits_the_requests_that_it_is_meant_for(rancher: Rancher, lab: Lab) -> None:
    lab.troubles.coming += [
        Trouble(matching="POST .*/stacks", harm=Harm.STATUS, status=409, after=1),
        Trouble(matching="GET .*/hosts", harm=Harm.HTML),
        Trouble(matching="DELETE", harm=Harm.LOST_ANSWER),
        Trouble(matching="PUT", harm=Harm.LOST_REQUEST),
    ]
    stack = rancher.stack("first")

    assert rancher.ask("POST", f"{P}/stacks", {"name": "second"}).error == (409, "Conflict", None)
    assert rancher.ask("POST", f"{P}/stacks", {"name": "second"}).status == 201
    assert rancher.ask("GET", f"{P}/hosts").headers["content-type"] == "text/html"
    for method in ("PUT", "DELETE"):
        with pytest.raises((ConnectionError, socket.timeout)):
            rancher.ask(method, stack["links"]["self"], {"group": "g"})
    assert (rancher.again(stack)["group"], rancher.again(stack)["state"]) == (None, "removing")


def test_twenty_thousand_services_are_seven_pages_and_rendered_once(lab: Lab, rancher: Rancher) -> None:
    lab.call(lambda: fill(lab.state, stacks=5000, services=4))
    url, pages, ids = f"{P}/services?limit=-2&removed_null=1", 0, set()
    while url:
        page = rancher.get(url)
        ids |= {row["id"] for row in page["data"]}
        url, pages = page["pagination"]["next"], pages + 1
    row = lab.state.store.get("service", 7)
    assert row is not None
    kept = row.rendered

    rancher.get(f"{P}/services?limit=100")

    assert (pages, len(ids)) == (7, 20_000)
    assert row.rendered is kept is not None
    stack = rancher.get(f"{P}/stacks?name=crowd-4999")["data"][0]
    assert len(rancher.data(stack["links"]["services"])) == 4
