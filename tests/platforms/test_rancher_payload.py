"""What Rancher is sent: nothing of it is interpolated, and an upgrade sends back what is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.edge.rancher_client import RancherClient
from pipeline.edge.rancher_project import open_rancher
from pipeline.lab.rancher.running import Lab, running_rancher
from pipeline.model.compose_yaml import load_yaml
from pipeline.model.interpolate import interpolate, secret_mark
from pipeline.model.rancher import ServiceWhole
from pipeline.model.secret import Secret
from pipeline.model.stack import Mount, Port, RancherHealth, RancherPart, StackService
from pipeline.platforms.rancher import RancherPlatform
from pipeline.platforms.rancher_payload import defined, launch_config, merged, service_payload
from tests.contracts.platform_scenes import NOWHERE, fitted, service, stack
from tests.contracts.rancher_scene import address_of

HOSTILE = st.text(
    st.sampled_from("${}$$abcVERSION_:-?+'\"\\\n\t #&*!|>%@`{{}}.Values日é")
    | st.characters(exclude_categories=("Cs", "Cc")),
    max_size=30,
)
NAMES = st.text("ABCDEFGHIJ_", min_size=1, max_size=6)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_rancher() as running:
        yield running


@pytest.fixture(scope="module")
def client(lab: Lab) -> Iterator[RancherClient]:
    opened = open_rancher(address_of(lab), clock=lab)
    yield opened
    opened.close()


@given(environment=st.dictionaries(NAMES, HOSTILE, max_size=4), word=HOSTILE, secret=HOSTILE.filter(bool))
def test_a_hostile_value_arrives_as_it_is_and_leaves_as_it_is(
    lab: Lab, client: RancherClient, environment: dict[str, str], word: str, secret: str
) -> None:
    given_environment = environment | {"SECRET": f"<{secret_mark('SECRET')}>"}
    one = service(command=("echo", word), environment=given_environment)
    wanted = fitted(stack(one, name="hostile"), "stage", "image:1")
    platform = RancherPlatform(client, "stage", NOWHERE, clock=lab)

    platform.start(wanted, {"SECRET": Secret(secret)})

    try:
        (found,) = client.every("services", ServiceWhole, name="app")
        config = found.launch_config or {}
        assert config["environment"] == environment | {"SECRET": f"<{secret}>"}
        assert config["command"] == ["echo", word]
        exported, _ = platform.export("hostile")
        document: Any = load_yaml(exported.encode(), "exported")
        again = document["services"]["app"]
        assert {name: once(text) for name, text in again["environment"].items()} == config["environment"]
        assert [once(text) for text in again["command"]] == ["echo", word]
    finally:
        observed = platform.observe("hostile")
        assert observed is not None
        platform.remove(observed.containers)


def once(text: str) -> str:
    """An exported text as compose reads it; no variable may stand in it any more."""

    def nothing_is_asked(name: str, _: bool) -> str | None:
        raise AssertionError(f"{name} was interpolated a second time")

    return interpolate(text, nothing_is_asked, where="exported")


def test_every_key_of_a_service_has_its_place() -> None:
    part = RancherPart(health=RancherHealth(port=80, request_line="GET / HTTP/1.0"), drain_timeout_ms=5)
    one = StackService(
        name="app",
        image="cities:1",
        command=("a", "b"),
        entrypoint=("c",),
        ports=(Port(container=80), Port(container=53, protocol="udp", host=5353, address="127.0.0.1")),
        mounts=(
            Mount(source="data", target="/data"),
            Mount(source="/etc", target="/etc", read_only=True),
            Mount(target="/t"),
        ),
        stop_seconds=1.5,
        init=True,
        tmpfs=("/run:size=1m", "/tmp"),
        log_driver="none",
        rancher=part,
    )

    config = launch_config(fitted(stack(one), "review/x", "image:1"), one, {})

    assert config["imageUuid"] == "docker:cities:1"
    assert (config["command"], config["entryPoint"]) == (["a", "b"], ["c"])
    assert config["ports"] == ["80/tcp", "127.0.0.1:5353:53/udp"]
    assert config["dataVolumes"] == ["cities-review-x-data:/data", "/etc:/etc:ro", "/t"]
    assert (config["stopTimeout"], config["runInit"], config["drainTimeoutMs"]) == (2, True, 5)
    assert config["tmpfs"] == {"/run": "size=1m", "/tmp": ""}
    assert config["logConfig"] == {"driver": "none", "config": {}}
    assert config["healthCheck"]["requestLine"] == "GET / HTTP/1.0"
    assert "privileged" not in config


def test_a_service_is_sent_with_its_sidekicks() -> None:
    own = service("app", scale=2, rancher=RancherPart(metadata={"a": 1}))
    beside = service("logs", scale=2, rancher=RancherPart(sidekick_of="app"))

    payload = service_payload(fitted(stack(own, beside), "stage", "image:1"), "1st1", own, {})

    assert (payload["scale"], payload["metadata"], payload["stackId"]) == (2, {"a": 1}, "1st1")
    assert [one["name"] for one in payload["secondaryLaunchConfigs"]] == ["logs"]


FIELDS = st.dictionaries(st.sampled_from(["cpuShares", "userdata", "memory", "hostname"]), st.integers(1, 9))
TEXTS = st.dictionaries(NAMES, st.text(max_size=3), max_size=3)


def made_by(environment: dict[str, str], **fields: Any) -> dict[str, Any]:
    one = service(environment=environment, **fields)
    return launch_config(fitted(stack(one), "stage", "image:1"), one, {})


@given(first=TEXTS, second=TEXTS, others=TEXTS, fields=FIELDS)
def test_what_is_not_ours_stays_and_what_was_ours_goes(
    first: dict[str, str], second: dict[str, str], others: dict[str, str], fields: dict[str, int]
) -> None:
    before = made_by(first, user="me")
    by_hand = {name: text for name, text in others.items() if name not in first}
    found = before | fields | {"environment": before["environment"] | by_hand, "version": "7", "type": "launchConfig"}

    after = merged(found, made_by(second))

    assert after["environment"] == by_hand | second
    assert {key: after.get(key) for key in fields} == fields
    assert "user" not in after
    assert not {"version", "type"} & after.keys()
    assert merged(after, made_by(second)) == after


def test_a_launch_config_that_somebody_else_made_is_kept_whole() -> None:
    after = merged({"environment": {"A": "1"}, "labels": {"b": "2"}, "tty": True}, made_by({"C": "3"}))

    assert after["environment"] == {"A": "1", "C": "3"}
    assert (after["labels"]["b"], after["tty"]) == ("2", True)


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"environment": "A"}'])
def test_a_label_that_somebody_changed_defines_nothing(text: str) -> None:
    assert defined({"labels": {"pipeline.defines": text}})["environment"] == []
