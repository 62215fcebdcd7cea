"""Compose files in the lab Rancher: templates, interpolation, keys, stack upgrades, exports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rancher_support import COMPOSE, P, Rancher

from pipeline.lab.rancher.compose import ComposeError, interpolated, services_of
from pipeline.lab.rancher.running import Lab, running_rancher


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_rancher() as running:
        yield running


@pytest.fixture
def rancher(lab: Lab) -> Rancher:
    return Rancher(lab)


def read(docker: str, rancher: str = "", **variables: str) -> dict[str, Any]:
    return services_of(docker, rancher, variables, {"Stack": {"Name": "shop"}, "Environment": {"Name": "Default"}})


def one(keys: str, **variables: str) -> Any:
    return read(f"version: '2'\nservices:\n  web:\n    image: x\n{keys}", **variables)["web"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("$A", "1"), ("${A}b", "1b"), ("$$A", "$A"), ("$NONE", ""), ("a$$", "a$"), ("${_x}", ""), ("é$A", "é1")],
)
def test_interpolation_knows_three_forms(text: str, wanted: str) -> None:
    assert interpolated(text, {"A": "1"}.get, "image") == wanted


@pytest.mark.parametrize("text", ["${A:-3}", "${A-3}", "$1", "a$", "${}", "${A", "$-"])
def test_any_other_dollar_is_an_error(text: str) -> None:
    with pytest.raises(ComposeError, match="Invalid interpolation format for key") as raised:
        interpolated(text, {"A": "1"}.get, "environment")
    assert f'"{text}"' in str(raised.value)


@given(st.text())
def test_a_value_whose_dollars_are_doubled_comes_through_as_it_was(text: str) -> None:
    assert interpolated(text.replace("$", "$$"), {}.get, "environment") == text


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
def test_a_hostile_value_survives_when_templates_are_off_and_dollars_doubled(text: str) -> None:
    document = {"version": "2", "services": {"web": {"image": "x", "environment": {"A": text.replace("$", "$$")}}}}

    found = read("# notemplating\n" + yaml.safe_dump(document))

    assert found["web"]["environment"] == {"A": text}


def test_templates_run_before_everything_else() -> None:
    text = '{{- if eq .Values.MODE "big" }}\n    scale: 3\n{{- else }}\n    scale: 1\n{{- end }}\n    hostname: {{ .Stack.Name | upper }}\n'

    assert one("    hostname: {{ .Stack.Name | upper }}\n")["hostname"] == "SHOP"
    found = read(
        "version: '2'\nservices:\n  web:\n    image: x\n",
        f"version: '2'\nservices:\n  web:\n    type: x{text}",
        MODE="big",
    )
    assert found["web"]["scale"] == 3


def test_a_template_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ComposeError, match='function "frobnicate" not defined'):
        one("    hostname: {{ frobnicate 1 }}\n")
    with pytest.raises(ComposeError, match="unexpected EOF"):
        one("    hostname: {{ if true }}x\n")


def test_variables_of_the_environment_are_filled_in_by_name() -> None:
    found = one("    environment:\n      - A=$X\n      - B\n      - C\n", X="1", B="2")

    assert found["environment"] == {"A": "1", "B": "2"}
    assert one("    environment:\n      A: true\n      B: 3\n")["environment"] == {"A": "true", "B": "3"}


@pytest.mark.parametrize(
    ("compose", "reason"),
    [
        (COMPOSE.replace("'2'", "'3'"), "version 3 is not supported"),
        (COMPOSE + "    deploy: {}\n", "Unsupported config option for web service: 'deploy'"),
        (COMPOSE + "    command: ${A:-x}\n", 'Invalid interpolation format for key "command": "${A:-x}"'),
        ("a: [", "while parsing"),
        ("version: '2'\nservices:\n  web: {}\n", "neither an image nor a build context"),
    ],
)
def test_a_stack_whose_file_is_wrong_ends_in_error_with_the_reason(rancher: Rancher, compose: str, reason: str) -> None:
    made = rancher.post(f"{P}/stacks", {"name": "shop", "dockerCompose": compose})
    assert made["state"] == "activating"
    rancher.lab.advance(5)

    stack = rancher.again(made)

    assert (stack["state"], stack["transitioning"]) == ("error", "error")
    assert reason in stack["transitioningMessage"]
    body = {"name": "web", "stackId": stack["id"], "launchConfig": {"imageUuid": "docker:x"}}
    assert rancher.ask("POST", f"{P}/services", body).error == (422, "InvalidState", "stackId")


def test_what_was_created_before_the_error_stays(rancher: Rancher) -> None:
    compose = COMPOSE + "  a_b:\n    image: x\n"
    stack = rancher.stack(dockerCompose=compose)

    assert stack["state"] == "error"
    assert "a_b" in stack["transitioningMessage"]
    assert [row["name"] for row in rancher.data(stack["links"]["services"])] == ["web"]


def test_services_appear_while_the_stack_is_activating_and_start_in_the_order_of_links(rancher: Rancher) -> None:
    compose = COMPOSE + "    links: [db]\n  db:\n    image: db\n"
    made = rancher.post(f"{P}/stacks", {"name": "shop", "dockerCompose": compose, "startOnCreate": True})
    rancher.lab.advance(0.15)
    early = [row["name"] for row in rancher.data(made["links"]["services"])]
    assert early == ["db"]
    assert rancher.again(made)["state"] == "activating"
    rancher.lab.advance(10)

    stack = rancher.again(made)

    assert (stack["state"], stack["serviceIds"]) == ("active", ["1s1", "1s2"])
    assert {row["state"] for row in rancher.data(made["links"]["services"])} == {"active"}
    assert rancher.get(f"{P}/services/1s2")["linkedServices"] == {"db": "1s1"}


def test_without_start_on_create_its_services_stay_inactive(rancher: Rancher) -> None:
    stack = rancher.stack(dockerCompose=COMPOSE)

    assert stack["state"] == "active"
    assert rancher.get(f"{P}/services/1s1")["state"] == "inactive"


def test_a_stack_waits_for_a_service_that_never_starts_and_tells_why(rancher: Rancher) -> None:
    rancher.lab.faults.unpullable["shop/web:1"] = "Image [shop/web:1] failed to pull"

    stack = rancher.stack(dockerCompose=COMPOSE, startOnCreate=True)

    assert stack["state"] == "activating"
    assert (
        "web: (Expected state running but got error: Image [shop/web:1] failed to pull" in stack["transitioningMessage"]
    )


def test_sidekicks_health_checks_and_secrets_come_from_the_files(rancher: Rancher) -> None:
    rancher.post(f"{P}/secrets", {"name": "token", "value": "eA=="})
    docker = COMPOSE + "    labels:\n      io.rancher.sidekicks: log\n    secrets: [token]\n  log:\n    image: log:1\n"
    extra = (
        "version: '2'\nservices:\n  web:\n    scale: 2\n    health_check:\n      port: 80\n      request_line: GET /\n"
    )

    rancher.stack(dockerCompose=docker, rancherCompose=extra)

    (service,) = rancher.data(f"{P}/services")
    assert (service["scale"], [one["name"] for one in service["secondaryLaunchConfigs"]]) == (2, ["log"])
    assert service["launchConfig"]["healthCheck"]["requestLine"] == "GET /"
    assert service["launchConfig"]["secrets"][0]["secretId"] == "1se1"


def test_the_stacks_own_variables_are_used_and_the_defaults_of_its_questions(rancher: Rancher) -> None:
    extra = (
        "catalog:\n  questions:\n    - variable: PORT\n      default: 80\n    - variable: TAG\n      default: none\n"
    )
    docker = COMPOSE.replace("web:1", "web:${TAG}") + "    environment:\n      PORT: $PORT\n"

    rancher.stack(dockerCompose=docker, rancherCompose=extra, environment={"TAG": "7"})

    config = rancher.get(f"{P}/services/1s1")["launchConfig"]
    assert (config["imageUuid"], config["environment"]) == ("docker:shop/web:7", {"PORT": "80"})


def test_a_stack_without_a_file_is_upgraded_to_nothing(rancher: Rancher) -> None:
    stack = rancher.stack()
    service = rancher.service(stack)

    rancher.act(stack, "upgrade", {"dockerCompose": COMPOSE.replace("web:1", "web:2")})
    rancher.lab.advance(10)

    assert rancher.again(stack)["state"] == "upgraded"
    assert rancher.again(service)["launchConfig"]["imageUuid"] == "docker:shop/web:1"


def test_a_stack_upgrade_changes_services_in_place_and_leaves_scale_and_file_alone(rancher: Rancher) -> None:
    docker = COMPOSE + "  old:\n    image: old\n"
    stack = rancher.stack(
        dockerCompose=docker, startOnCreate=True, environment={"A": "1"}, externalId="one", rancherCompose=""
    )
    newer = COMPOSE.replace("web:1", "web:2") + "  new:\n    image: new\n"
    extra = "version: '2'\nservices:\n  web:\n    scale: 5\n"

    told = rancher.act(
        stack,
        "upgrade",
        {"dockerCompose": newer, "rancherCompose": extra, "environment": {"B": "2"}, "externalId": "two"},
    )
    assert (told.status, told.json["state"]) == (202, "upgrading")
    rancher.lab.advance(20)

    after = rancher.again(stack)
    assert (after["state"], after["externalId"], after["previousExternalId"]) == ("upgraded", "two", "one")
    assert (after["environment"], after["previousEnvironment"]) == ({"A": "1", "B": "2"}, {"A": "1"})
    assert after["dockerCompose"] == docker
    rows = {row["name"]: row for row in rancher.data(stack["links"]["services"])}
    assert {name: row["state"] for name, row in rows.items()} == {"web": "upgraded", "old": "active", "new": "active"}
    assert (rows["web"]["launchConfig"]["imageUuid"], rows["web"]["scale"]) == ("docker:shop/web:2", 1)

    rancher.act(stack, "finishupgrade")
    rancher.lab.advance(10)
    assert rancher.again(rows["web"])["state"] == rancher.again(stack)["state"] == "active"


def test_a_stack_upgrade_is_rolled_back_with_what_it_was_made_from(rancher: Rancher) -> None:
    stack = rancher.stack(dockerCompose=COMPOSE, startOnCreate=True, environment={"A": "1"}, externalId="one")
    rancher.act(stack, "upgrade", {"dockerCompose": COMPOSE.replace("web:1", "web:2"), "externalId": "two"})
    rancher.lab.advance(20)

    rancher.act(stack, "rollback")
    rancher.lab.advance(20)

    after = rancher.again(stack)
    assert (after["state"], after["externalId"], after["environment"]) == ("active", "one", {"A": "1"})
    assert rancher.get(f"{P}/services/1s1")["launchConfig"]["imageUuid"] == "docker:shop/web:1"


def test_a_bad_file_leaves_the_stack_upgrading_until_it_is_cancelled(rancher: Rancher) -> None:
    stack = rancher.stack(dockerCompose=COMPOSE, startOnCreate=True)
    rancher.act(stack, "upgrade", {"dockerCompose": COMPOSE + "    nonsense: 1\n"})
    rancher.lab.advance(3600)

    stuck = rancher.again(stack)
    assert (stuck["state"], stuck["transitioning"]) == ("upgrading", "yes")
    assert "nonsense" in stuck["transitioningMessage"]
    rancher.act(stuck, "cancelupgrade")
    rancher.lab.advance(2)
    rancher.act(stuck, "rollback")
    rancher.lab.advance(2)

    assert rancher.again(stack)["state"] == "active"


def test_an_export_reads_as_compose_and_doubles_every_dollar(rancher: Rancher) -> None:
    stack = rancher.stack()
    rancher.service(stack, "db", image="db:1")
    web = rancher.service(
        stack,
        scale=2,
        launchConfig={"environment": {"A": "$x"}, "ports": ["80:80"], "labels": {"io.rancher.service.hash": "h"}},
        secondaryLaunchConfigs=[{"name": "log", "imageUuid": "docker:log:1"}],
        metadata={"k": "v"},
    )
    rancher.act(web, "setservicelinks", {"serviceLinks": [{"serviceId": "1s1", "name": "store"}]})

    config = rancher.act(stack, "exportconfig").json

    docker, extra = yaml.safe_load(config["dockerComposeConfig"]), yaml.safe_load(config["rancherComposeConfig"])
    assert (docker["version"], set(docker["services"])) == ("2", {"web", "db", "log"})
    assert docker["services"]["web"]["environment"] == {"A": "$$x"}
    assert docker["services"]["web"]["links"] == ["db:store"]
    assert docker["services"]["web"]["labels"] == {"io.rancher.sidekicks": "log"}
    assert extra["services"]["web"]["scale"] == 2
    assert extra["services"]["web"]["metadata"] == {"k": "v"}
    assert extra["services"]["web"]["health_check"]["port"] == 80
    only = rancher.act(stack, "exportconfig", {"serviceIds": ["1s1"]}).json
    assert set(yaml.safe_load(only["dockerComposeConfig"])["services"]) == {"db"}


def test_what_was_exported_makes_the_same_stack_again(rancher: Rancher) -> None:
    stack = rancher.stack()
    rancher.service(stack, launchConfig={"environment": {"A": "${B} $$ {{ .C }}"}, "command": ["a b", "$c"]})
    config = rancher.act(stack, "exportconfig").json

    rancher.stack(
        "copy",
        dockerCompose="# notemplating\n" + config["dockerComposeConfig"],
        rancherCompose="# notemplating\n" + config["rancherComposeConfig"],
        startOnCreate=True,
    )

    made = rancher.get(f"{P}/services/1s2")["launchConfig"]
    assert (made["environment"], made["command"]) == ({"A": "${B} $$ {{ .C }}"}, ["a b", "$c"])
