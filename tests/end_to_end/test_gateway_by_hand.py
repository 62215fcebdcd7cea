"""Someone writes to the gateway by hand: what stays, what is put right, and what `status --drift` says of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.end_to_end.estate import Estate, ask

pytestmark = pytest.mark.engine

LIMIT = {"name": "rate-limiting", "config": {"minute": 60, "policy": "local"}}


def drift(estate: Estate) -> list[dict[str, Any]]:
    ran = estate.invoke("status", "--drift", "--json")
    assert ran.code == 0, ran
    found: list[dict[str, Any]] = json.loads(ran.out)["drift"]
    return found


def plugins(estate: Estate) -> dict[str, dict[str, Any]]:
    listed = ask(f"{estate.environment.admin}/services/hello/plugins")[1]["data"]
    return {plugin["name"]: plugin for plugin in listed}


def test_a_route_that_was_changed_by_hand_has_drifted_until_it_is_registered_again(estate: Estate) -> None:
    assert estate.invoke("build", "deploy", "register").code == 0
    assert drift(estate) == []
    assert "by services and routes (a Kong 2.8.5 has no /apis), carries" in estate.invoke("doctor").out

    ask(f"{estate.environment.admin}/routes/hello", "PATCH", {"methods": ["OPTIONS"]})

    (found,) = drift(estate)
    assert (found["reason"], found["subject"], found["service"]) == ("changed by hand", "route", "hello")
    assert found["what"] == "methods is OPTIONS, recorded is none"
    assert estate.invoke("register").code == 0
    assert drift(estate) == []


def test_a_route_and_a_stack_that_are_gone_are_missing(estate: Estate) -> None:
    assert estate.invoke("build", "deploy", "register").code == 0

    ask(f"{estate.environment.admin}/routes/hello", "DELETE")
    for container in estate.environment.containers():
        container.remove(force=True)

    assert [(one["reason"], one["subject"]) for one in drift(estate)] == [
        ("recorded but missing", "route"),
        ("recorded but missing", "stack"),
    ]


def test_a_stack_that_nobody_recorded_is_told(estate: Estate) -> None:
    assert estate.invoke("build", "deploy").code == 0
    for volume in estate.environment.engine.volumes.list():
        if volume.name == f"pipeline-records-{estate.environment.name}":
            for container in estate.environment.engine.containers.list(all=True, filters={"volume": volume.name}):
                container.remove(force=True)
            volume.remove(force=True)

    ran = estate.invoke("status", "--drift")

    assert ran.code == 0, ran
    assert "running but unrecorded: the stack of hello: hello-master-" in ran.out


def test_the_plugins_of_a_manifest_come_and_go_and_those_by_hand_stay(estate: Estate) -> None:
    estate.manifest(plugins=[LIMIT])
    assert estate.invoke("build", "deploy", "register").code == 0
    assert plugins(estate)["rate-limiting"]["config"]["minute"] == 60
    ask(f"{estate.environment.admin}/services/hello/plugins", "POST", {"name": "correlation-id"})

    again = estate.invoke("register")
    estate.manifest(plugins=None)
    gone = estate.invoke("build", "deploy", "register")

    assert again.code == 0, again
    assert gone.code == 0, gone
    assert "hello: keep plugins correlation-id: added by hand to the service: it stays" in again.err
    assert "hello: delete plugins rate-limiting: no longer wanted" in gone.err
    assert list(plugins(estate)) == ["correlation-id"]
