"""The files beside the code say the same as the code."""

import json
import re

import pytest
import yaml
from django.urls import reverse

from tests.databases import SERVICE

# What Rancher 1.6 knows too, of the keys of compose's version 2.
KNOWN_KEYS = {"build", "environment", "image", "labels", "restart", "volumes"}


def read_yaml(name: str) -> dict:
    return yaml.safe_load((SERVICE / name).read_text())


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_with_hashes_and_no_registry_is_named(name):
    text = (SERVICE / name).read_text()
    requirements = re.split(r"\n(?=\S)", text.strip())

    assert len(requirements) > 15
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+==[\w.]+ \\\n    --hash=sha256:[0-9a-f]{64}", requirement), requirement
    assert "/" not in text


def test_the_tests_use_the_very_versions_that_are_released():
    released, tested = (
        set(re.findall(r"^\S+==\S+", (SERVICE / name).read_text(), re.MULTILINE))
        for name in ("requirements.txt", "requirements-dev.txt")
    )

    assert released <= tested


def test_the_stack_is_one_that_rancher_knows_and_publishes_no_port():
    compose = read_yaml("docker-compose.yml")

    assert compose["version"] == "2"
    assert compose["services"].keys() == {"proxy", "app"}
    for service in compose["services"].values():
        assert service.keys() <= KNOWN_KEYS
        assert service["restart"] == "always"
    assert compose["services"]["app"]["volumes"] == ["data:/data"]
    assert read_yaml("rancher-compose.yml")["services"].keys() == compose["services"].keys()


def test_every_secret_is_a_variable_that_may_be_missing_locally():
    secrets = json.loads((SERVICE / "config" / "package.json").read_text())["pipeline"]["secrets"]
    environment = read_yaml("docker-compose.yml")["services"]["app"]["environment"]

    assert {name: environment[name] for name in secrets} == {name: f"${{{name}:-}}" for name in secrets}


def test_the_addresses_are_those_of_the_code():
    manifest = json.loads((SERVICE / "config" / "package.json").read_text())
    check = read_yaml("rancher-compose.yml")["services"]["proxy"]["health_check"]

    assert manifest["uri"] == reverse("cities")
    assert manifest["pipeline"]["health"]["path"] == reverse("health")
    assert check["request_line"] == f'GET "{reverse("health")}" "HTTP/1.0"'
    assert f"equal:${{PATH_INFO}};{reverse('health')} " in (SERVICE / "uwsgi.ini").read_text()
    assert f"{reverse('health')}:200" in (SERVICE / "proxy" / "nginx.conf").read_text()
    assert read_yaml("rancher-compose.yml")["services"]["app"]["health_check"]["port"] == 3031
