"""build, deploy and register, as a user types them: real engine, real containers, real requests through a gateway."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import forget_routes
from tests.end_to_end.estate import Environment, Estate, ask

pytestmark = pytest.mark.engine


def test_a_release_is_served_through_the_gateway_and_leaves_its_restore_artifacts(estate: Estate) -> None:
    ran = estate.invoke("build", "deploy", "register")

    assert ran.code == 0, ran
    assert ran.out == ""
    assert estate.ask(method="OPTIONS") == (200, {"stack": estate.stack, "version": estate.sha8, "branch": "master"})
    assert sorted(path.name for path in (estate.folder / "artifacts").iterdir()) == [
        f"createKongApi.{estate.sha8}.sh",
        f"createKongApi.hello.{estate.sha8}.sh",
        f"kong.{estate.sha8}.yaml",
    ]


def test_running_it_again_changes_nothing_on_engine_and_gateway(estate: Estate) -> None:
    estate.invoke("build", "deploy", "register")
    before, since = gateway_state(estate.environment), time.time()

    ran = estate.invoke("build", "deploy", "register")

    assert ran.code == 0, ran
    assert gateway_state(estate.environment) == before
    assert engine_writes(estate.environment, since) == []


def test_a_commit_that_does_not_touch_the_service_makes_no_release(estate: Estate) -> None:
    estate.invoke("build", "deploy", "register")
    first = estate.stack
    (estate.folder / "README").write_text("not of the service")
    estate.commit("write a readme")

    ran = estate.invoke("build", "deploy", "register")

    assert ran.code == 0, ran
    assert f"unchanged since {first}" in ran.err
    assert estate.environment.stacks() == {first}
    assert (estate.folder / "artifacts" / f"createKongApi.{estate.sha8}.sh").exists()


def test_force_makes_a_release_of_an_unchanged_commit(estate: Estate) -> None:
    estate.invoke("release")
    estate.commit("nothing")

    ran = estate.invoke("build", "deploy", "--force", "register")

    assert ran.code == 0, ran
    assert estate.ask(method="OPTIONS")[1]["stack"] == estate.stack


def test_a_change_is_served_beside_the_old_stack_which_keeps_running_on_the_same_data(estate: Estate) -> None:
    estate.invoke("release")
    first = estate.stack
    assert estate.ask() == (200, {"says": "well", "starts": 1})

    estate.behave("well again")
    ran = estate.invoke("build", "deploy", "register")

    assert ran.code == 0, ran
    assert estate.ask() == (200, {"says": "well again", "starts": 2})
    assert estate.environment.stacks() == {first, estate.stack}
    assert {container.status for container in estate.environment.containers()} == {"running"}


def test_an_uncommitted_change_is_released_as_dirty_and_the_commit_of_it_is_a_release_of_its_own(
    estate: Estate,
) -> None:
    (estate.service / "behaviour").write_text("not yet committed")

    ran = estate.invoke("release")

    assert ran.code == 0, ran
    assert estate.ask(method="OPTIONS")[1]["stack"] == f"{estate.stack}-dirty"
    assert "uncommitted changes" in ran.err
    estate.commit("now it is")
    assert estate.invoke("release").code == 0
    assert estate.ask(method="OPTIONS")[1] == {"stack": estate.stack, "version": estate.sha8, "branch": "master"}


def test_a_second_dirty_change_replaces_the_first(estate: Estate) -> None:
    (estate.service / "behaviour").write_text("one")
    estate.invoke("release")
    (estate.service / "behaviour").write_text("two")

    ran = estate.invoke("release")

    assert ran.code == 0, ran
    assert estate.ask()[1]["says"] == "two"
    assert len(estate.environment.containers()) == 1


@pytest.mark.parametrize("script", ["createKongApi.{sha8}.sh", "createKongApi.hello.{sha8}.sh"])
def test_a_wiped_gateway_answers_again_after_the_restore_script(estate: Estate, script: str) -> None:
    estate.invoke("release")
    before = gateway_state(estate.environment, moving=False)
    forget_routes(estate.environment)
    assert estate.ask()[0] == 404

    path = estate.folder / "artifacts" / script.format(sha8=estate.sha8)
    ran = estate.run(["sh", str(path)], KONG_ADMIN_URL=estate.environment.admin)

    assert ran.code == 0, ran
    assert estate.ask()[0] == 200
    assert gateway_state(estate.environment, moving=False) == before


def test_artifacts_that_another_environment_wrote_for_the_commit_are_written_anew(estate: Estate) -> None:
    estate.invoke("release")
    path = estate.folder / "artifacts" / f"createKongApi.{estate.sha8}.sh"
    own = path.read_text()
    path.write_text(own.replace(f"environment {estate.environment.name},", "environment stage,"))

    ran = estate.invoke("register")

    assert ran.code == 0, ran
    assert path.read_text() == own


def test_check_prints_the_plan_and_changes_nothing(estate: Estate) -> None:
    since = time.time()

    built = estate.invoke("build", "--check")
    released = estate.invoke("release", "--check")
    dry = estate.run([*estate.command(), "--dry", "build"])

    assert [built.code, released.code, dry.code] == [2, 2, 2], (built, released, dry)
    assert engine_writes(estate.environment, since) == []
    assert not (estate.folder / "build").exists()
    assert estate.invoke("release").code == 0
    assert estate.invoke("release", "--check").code == 0


def test_status_and_logs_tell_of_the_stack_that_serves(estate: Estate) -> None:
    nothing = estate.invoke("status")
    estate.invoke("release")

    table, document = estate.invoke("status"), estate.invoke("status", "--json")
    picked, logs = estate.invoke("status", "--jq", ".stacks[].serves[0]"), estate.invoke("logs")

    assert "nothing is deployed" in nothing.out
    assert estate.stack in table.out
    found = json.loads(document.out)
    assert found["schema_version"] == 2
    assert [(one["stack"], one["state"], one["serves"]) for one in found["stacks"]] == [
        (estate.stack, "healthy", [estate.uri])
    ]
    assert picked.out == f"{estate.uri}\n"
    assert "hello with a token" in logs.out


def test_a_repository_that_is_a_single_service_needs_no_toolkit_code(environment: Environment, tmp_path) -> None:
    folder = tmp_path / "lonely"
    folder.mkdir()
    estate = Estate(folder, environment, single=True, uri="/ws/lonely")
    estate.variables["service_name"] = "lonely"
    command = [str(Path(sys.executable).parent / "pipeline"), *estate.command("build", "deploy", "register")[1:]]

    first, second = estate.run(command), estate.run(command)

    assert (first.code, second.code) == (0, 0), (first, second)
    assert estate.ask(method="OPTIONS")[1]["stack"] == f"lonely-master-{estate.sha8}"
    assert "unchanged" in second.err
    assert "dirty" not in second.err


def gateway_state(environment: Environment, *, moving: bool = True) -> list[object]:
    """Every service and route; without what moves with each write, when told to."""
    found = [ask(f"{environment.admin}/{kind}?size=1000")[1]["data"] for kind in ("services", "routes")]
    left_out = set() if moving else {"updated_at"}
    return [[{key: text for key, text in one.items() if key not in left_out} for one in kind] for kind in found]


def engine_writes(environment: Environment, since: float) -> list[str]:
    """What was made, changed or removed on the engine since then; health checks and reads are none."""
    now = time.time()
    line = ["docker", "events", "--since", f"{since:.3f}", "--until", f"{now:.3f}", "--format", "{{json .}}"]
    shown = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    events = [json.loads(text) for text in shown.splitlines()]
    verbs = ("create", "start", "destroy", "tag", "pull", "push", "delete", "import", "connect", "kill", "die")
    return [
        f"{event['Type']} {event['Action']} {event['Actor']['Attributes'].get('name', event['Actor']['ID'])}"
        for event in events
        if event["Action"] in verbs and _of(environment, event)
    ]


def _of(environment: Environment, event: dict) -> bool:
    text = json.dumps(event)
    return environment.name in text or "hello" in text
