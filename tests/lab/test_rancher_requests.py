"""Requests to the lab Rancher: who may, errors, names, ids, and what a write keeps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rancher_support import ACCOUNT_KEY, COMPOSE, P, Rancher

from pipeline.lab.rancher.lab_state import Key, Seed
from pipeline.lab.rancher.running import Lab, running_rancher


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_rancher() as running:
        yield running


@pytest.fixture
def rancher(lab: Lab) -> Rancher:
    return Rancher(lab)


def test_without_a_key_nothing_is_answered_but_the_probe(lab: Lab) -> None:
    nobody, wrong = Rancher(lab, None), Rancher(lab, Key(access="X", secret="Y"))

    assert nobody.ask("GET", "/ping").status == 200
    assert nobody.ask("GET", P).error == (401, "Unauthorized", None)
    assert wrong.ask("GET", P).headers["www-authenticate"].startswith('Basic realm="Enter API access key')
    assert "www-authenticate" not in nobody.ask("GET", P, X_API_No_Challenge="true").headers


def test_a_key_that_is_deactivated_is_refused_at_once(lab: Lab) -> None:
    account = Rancher(lab, ACCOUNT_KEY)
    made = account.post("/v2-beta/apikeys", {"accountId": "1a5", "name": "ci"})
    other = Rancher(lab, Key(access=made["publicValue"], secret=made["secretValue"]))
    assert other.ask("GET", P).status == 401  # registering
    lab.advance(1)
    assert other.ask("GET", P).status == 200

    account.act(account.again(made), "deactivate")

    assert other.ask("GET", P).status == 401
    assert "secretValue" not in account.again(made)


def test_with_security_off_whoever_comes_is_admin() -> None:
    with running_rancher(seed=Seed()) as lab:
        nobody = Rancher(lab, None)

        assert nobody.post(f"{P}/stacks", {"name": "shop"})["state"] == "activating"
        assert nobody.ask("GET", P, X_ENFORCE_AUTHENTICATION="true").status == 401


def test_a_web_page_cannot_write_and_cannot_come_by_a_name_of_its_own() -> None:
    with running_rancher(seed=Seed()) as lab:
        nobody = Rancher(lab, None)
        page = {"User-Agent": "Mozilla/5.0", "Origin": "https://evil.example"}

        assert nobody.ask("POST", f"{P}/stacks", {"name": "s"}, **page).error == (403, "Forbidden", None)
        assert nobody.ask("POST", f"{P}/stacks", {"name": "s"}, Origin="null").status == 403
        assert nobody.ask("GET", f"{P}/stacks", Host="evil.example").status == 403
        assert nobody.ask("GET", f"{P}/subscribe", **page, Connection="Upgrade", Upgrade="websocket").status == 403
        shown = {"Cookie": "CSRF=1", "X-API-CSRF": "1", "User-Agent": "Mozilla/5.0"}
        assert nobody.ask("POST", f"{P}/stacks", {"name": "s"}, **shown).status == 201


def test_an_environment_key_acts_as_its_project_with_or_without_the_path(rancher: Rancher, lab: Lab) -> None:
    stack = rancher.post("/v2-beta/stacks", {"name": "shop"})

    assert stack["links"]["self"] == f"{lab.url}/v2-beta/stacks/1st1"
    assert rancher.get(f"{P}/stacks/1st1")["links"]["self"] == f"{lab.url}{P}/stacks/1st1"
    assert [row["id"] for row in rancher.data("/v2-beta/projects")] == ["1a5"]
    assert rancher.ask("POST", "/v2-beta/projects", {"name": "more"}).error == (403, "Forbidden", None)


def test_an_account_key_writes_only_below_a_project(lab: Lab) -> None:
    account = Rancher(lab, ACCOUNT_KEY)

    assert account.ask("POST", "/v2-beta/stacks", {"name": "shop"}).error == (405, "Method not allowed", None)
    assert account.ask("POST", f"{P}/stacks", {"name": "shop"}).status == 201
    assert account.ask("POST", "/v2-beta/stacks", {"name": "more"}, X_API_Project_Id="1a5").status == 201
    assert account.ask("GET", "/v2-beta/subscribe").status == 404


def test_a_project_that_is_not_there_is_403_below_and_404_itself(lab: Lab, rancher: Rancher) -> None:
    lab.call(lambda: lab.state.add_project("Secret", 9))

    for project in ("1a9", "1a77"):
        assert rancher.ask("GET", f"/v2-beta/projects/{project}/stacks").error == (403, "Forbidden", None)
        assert rancher.ask("GET", f"/v2-beta/projects/{project}").error == (404, "Not Found", None)


def test_a_member_who_may_only_read_sees_no_actions_and_writes_nothing(lab: Lab, rancher: Rancher) -> None:
    rancher.stack()
    reader = lab.call(lambda: lab.state.add_user("reader"))
    lab.state.project.data["_members"] = {reader.number: "readonly"}
    lab.call(lambda: lab.state.add_key(Key(access="R", secret="S"), reader))
    other = Rancher(lab, Key(access="R", secret="S"))

    assert other.get(f"{P}/stacks/1st1")["actions"] == {}
    assert other.ask("POST", f"{P}/stacks", {"name": "x"}).status == 405
    assert other.get(f"{P}/schemas/stack")["collectionMethods"] == ["GET"]


def test_plain_errors_repeat_their_words_and_validation_errors_say_nothing(rancher: Rancher) -> None:
    missing = rancher.ask("GET", f"{P}/stacks/1st99").json
    invalid = rancher.ask("POST", f"{P}/stacks", {}).json

    assert (missing["code"], missing["message"], missing["status"]) == ("Not Found", "Not Found", 404)
    assert "fieldName" not in missing
    assert (invalid["code"], invalid["message"], invalid["fieldName"]) == ("MissingRequired", None, "name")
    assert missing["type"] == "error"
    assert missing["links"] == missing["actions"] == {}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{P}/nothings", 404),
        ("GET", f"{P}/stacks/1st99", 404),
        ("GET", f"{P}/stacks/-", 404),
        ("POST", f"{P}/hosts", 405),
        ("POST", f"{P}/instances", 405),
        ("PUT", f"{P}/secrets/1se1", 405),
        ("DELETE", f"{P}/stacks", 405),
        ("DELETE", f"{P}/hosts/1h1", 405),
        ("GET", f"{P}/stacks/1st1/nowhere", 404),
        ("PATCH", f"{P}/stacks/1st1", 405),
    ],
)
def test_what_is_not_there_or_not_allowed_is_told_apart(rancher: Rancher, method: str, path: str, status: int) -> None:
    rancher.stack()
    rancher.post(f"{P}/secrets", {"name": "s", "value": "eA=="})

    assert rancher.ask(method, path, {} if method in ("POST", "PUT", "PATCH") else None).status == status


def test_a_body_that_is_not_json_is_400(rancher: Rancher) -> None:
    for body in (b"{", b"[1]", b"name=x"):
        assert rancher.ask("POST", f"{P}/stacks", body).error == (400, "InvalidBodyContent", None)


@pytest.mark.parametrize("state", ["registering", "upgraded", "updating-inactive", "deactivating"])
def test_a_scheduled_field_written_in_a_wrong_state_is_stored_and_500(rancher: Rancher, lab: Lab, state: str) -> None:
    service = rancher.service(rancher.stack())
    row = lab.state.store.get("service", 1)
    assert row is not None
    lab.call(lambda: lab.state.store.put(row, state=state))

    told = rancher.ask("PUT", f"{P}/services/1s1", {"scale": 3})

    assert told.error == (500, "Internal Server Error", None)
    assert rancher.again(service)["scale"] == 3
    assert rancher.ask("PUT", f"{P}/services/1s1", {"description": "fine"}).status == 200


def test_what_may_not_be_written_is_dropped_in_silence(rancher: Rancher) -> None:
    stack = rancher.stack(dockerCompose=COMPOSE)

    again = rancher.ask("PUT", stack["links"]["self"], {"dockerCompose": "x", "group": "a", "made-up": 1}).json

    assert (again["dockerCompose"], again["group"]) == (COMPOSE, "a")
    service = rancher.service(stack, "api", launchConfig={"nonsense": 1, "version": "9"})
    assert "nonsense" not in service["launchConfig"]
    assert service["launchConfig"]["version"] == "0"
    changed = rancher.ask("PUT", service["links"]["self"], {"launchConfig": {"imageUuid": "docker:other"}}).json
    assert changed["launchConfig"]["imageUuid"] == "docker:shop/web:1"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "MinLengthExceeded"),
        ("a" * 64, "MaxLengthExceeded"),
        ("-a", "InvalidCharacters"),
        ("a-", "InvalidCharacters"),
        ("a_b", "InvalidCharacters"),
        ("a.b", "InvalidCharacters"),
        ("_" * 64, "MaxLengthExceeded"),
        ("taken", "NotUnique"),
    ],
)
def test_a_stack_name_that_is_refused(rancher: Rancher, name: str, code: str) -> None:
    rancher.stack("taken")

    assert rancher.ask("POST", f"{P}/stacks", {"name": name}).error == (422, code, "name")


@pytest.mark.parametrize("name", ["a", "a" * 63, "a--b", "A-1"])
def test_a_stack_name_that_is_taken(rancher: Rancher, name: str) -> None:
    assert rancher.ask("POST", f"{P}/stacks", {"name": name}).status == 201


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a--b", "InvalidCharacters"),
        ("-a", "InvalidCharacters"),
        ("a-", "InvalidCharacters"),
        ("a_b", "InvalidCharacters"),
        ("a.b", "InvalidCharacters"),
        ("", "MinLengthExceeded"),
        ("a" * 64, "MaxLengthExceeded"),
        ("WEB", "NotUnique"),
        ("Helper", "NotUnique"),
    ],
)
def test_a_service_name_that_is_refused(rancher: Rancher, name: str, code: str) -> None:
    stack = rancher.stack()
    rancher.service(stack, secondaryLaunchConfigs=[{"name": "helper", "imageUuid": "docker:x"}])
    body = {"name": name, "stackId": stack["id"], "launchConfig": {"imageUuid": "docker:x"}}

    assert rancher.ask("POST", f"{P}/services", body).error == (422, code, "name")


def test_a_sidekick_cannot_be_called_as_its_service(rancher: Rancher) -> None:
    config = {"imageUuid": "docker:x"}
    body = {"name": "web", "stackId": rancher.stack()["id"], "launchConfig": config}

    told = rancher.ask("POST", f"{P}/services", body | {"secondaryLaunchConfigs": [{**config, "name": "Web"}]})

    assert told.error == (422, "NotUnique", "name")


@pytest.mark.parametrize(
    ("port", "code"),
    [
        ("x:80", "PortWrongFormat"),
        ("99999:80", "PortInvalidPublicPort"),
        ("80:99999", "PortInvalidPrivatePort"),
        ("80:80/icmp", "PortInvalidProtocol"),
    ],
)
def test_a_port_that_is_refused(rancher: Rancher, port: str, code: str) -> None:
    body = {"name": "web", "stackId": rancher.stack()["id"], "launchConfig": {"imageUuid": "docker:x", "ports": [port]}}

    assert rancher.ask("POST", f"{P}/services", body).error == (422, code, "ports")


def test_the_letters_of_an_id_are_decoration(rancher: Rancher) -> None:
    rancher.stack()

    assert {rancher.get(f"{P}/stacks/{word}")["id"] for word in ("1st1", "1e1", "1s1", "11")} == {"1st1"}


def test_v1_is_a_mask_over_the_same_stacks(rancher: Rancher) -> None:
    made = rancher.post("/v1/projects/1a5/environments", {"name": "shop"})
    rancher.lab.advance(1)
    service = rancher.post(
        "/v1/projects/1a5/services",
        {"name": "web", "environmentId": made["id"], "launchConfig": {"imageUuid": "docker:x"}},
    )

    assert (made["id"], made["type"], made["kind"]) == ("1e1", "environment", "environment")
    assert made["links"]["self"].endswith("/v1/projects/1a5/environments/1e1")
    assert "serviceIds" not in made
    assert (service["environmentId"], service["stackId"]) == ("1e1", "1st1")
    assert service["links"]["environment"].endswith("/environment")
    assert rancher.get(f"{P}/stacks/1e1")["serviceIds"] == ["1s1"]
    assert rancher.ask("GET", f"{P}/environments").status == 404


def test_every_answer_tells_the_schemas_of_its_own_scope(rancher: Rancher, lab: Lab) -> None:
    told = rancher.ask("GET", f"{P}/stacks/1st9")

    assert told.headers["x-api-schemas"] == f"{lab.url}{P}/schemas"
    assert told.headers["x-api-account-id"] == "1a5"
    assert told.headers["x-rancher-version"].startswith("v1.6.")


def test_links_begin_with_what_a_proxy_in_front_says(rancher: Rancher) -> None:
    stack = rancher.ask(
        "POST", f"{P}/stacks", {"name": "s"}, X_Forwarded_Proto="https", X_Forwarded_Host="Rancher.example"
    ).json

    assert stack["links"]["self"] == f"https://rancher.example{P}/stacks/1st1"


def test_writing_through_a_childs_link_fills_in_its_parent(rancher: Rancher) -> None:
    stack = rancher.stack()

    made = rancher.post(stack["links"]["services"], {"name": "web", "launchConfig": {"imageUuid": "docker:x"}})

    assert made["stackId"] == stack["id"]


def test_a_query_is_part_of_the_body_and_may_say_another_method(rancher: Rancher) -> None:
    made = rancher.post(f"{P}/stacks?name=shop&group=a", {"group": "b"})
    rancher.lab.advance(1)

    assert (made["name"], made["group"]) == ("shop", "b")
    assert rancher.ask("POST", f"{P}/stacks/1st1?_method=DELETE").json["state"] == "removing"
