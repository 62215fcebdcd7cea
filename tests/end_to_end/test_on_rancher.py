"""Stacks on Rancher as a user types it: the lab Rancher's real containers, real requests through the lab gateway."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders.engine_support import running_registry
from tests.end_to_end.conftest import forget_routes
from tests.end_to_end.estate import Environment, Estate, ask, free_port
from tests.end_to_end.load import Load
from tests.end_to_end.test_bootstrap import bare, rehearsals, run_scripts

pytestmark = pytest.mark.engine

USERS = "ci:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"  # the password is: secret
IN_PLACE = """
version: '2'
services:
  proxy:
    upgrade_strategy: {start_first: true, interval_millis: 500}
"""


@pytest.fixture(scope="module")
def rancher() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def environment(rancher: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """With a lab gateway and a lab Rancher that run."""
    found = Environment()
    lab = Estate(tmp_path_factory.mktemp("lab"), found)
    lab.variables["RANCHER_URL"] = rancher
    try:
        ran = lab.invoke("lab.up", "--rancher")
        assert ran.code == 0, ran
        yield found
    finally:
        lab.invoke("lab.down", "--state")
        found.destroy()


@pytest.fixture
def estate(environment: Environment, rancher: str, tmp_path: Path) -> Iterator[Estate]:
    made = Estate(tmp_path, environment)
    made.variables["RANCHER_URL"] = rancher
    yield made
    made.stop()
    forget_routes(environment)
    for stack in listed(estate_url(made), "stacks"):
        ask(f"{estate_url(made)}/v2-beta/projects/1a5/stacks/{stack['id']}", "DELETE")


def estate_url(estate: Estate) -> str:
    return estate.variables["RANCHER_URL"]


def listed(url: str, kind: str) -> list[dict[str, Any]]:
    return list(ask(f"{url}/v2-beta/projects/1a5/{kind}?limit=-1")[1]["data"])


def stacks(estate: Estate) -> set[str]:
    names = {str(stack["name"]) for stack in listed(estate_url(estate), "stacks")}
    return {name for name in names if not name.startswith("pipeline-ledger")}


def use_in_place(estate: Estate) -> None:
    (estate.service / "rancher-compose.yml").write_text(IN_PLACE)
    estate.manifest(strategy="in-place")


def test_a_release_on_rancher_is_served_and_told_of_by_every_task(estate: Estate) -> None:
    ran = estate.invoke("build", "deploy", "register", HELLO_TOKEN="hunter2-hunter2")

    assert ran.code == 0, ran
    assert estate.ask(method="OPTIONS")[1]["stack"] == estate.stack
    assert estate.ask("/secret") == (200, {"length": len("hunter2-hunter2")})
    assert "hunter2" not in ran.err
    status = json.loads(estate.invoke("status", "--json").out)["stacks"]
    assert [(one["stack"], one["state"], one["serves"]) for one in status] == [(estate.stack, "healthy", [estate.uri])]
    logs = estate.invoke("logs", HELLO_TOKEN="hunter2-hunter2")
    assert "| hello with a token: [secret]" in logs.out, logs
    assert f"Rancher at {estate_url(estate)}" in estate.invoke("doctor").out
    assert "nothing is being changed" in estate.invoke("lock").out


def test_running_it_again_changes_nothing(estate: Estate) -> None:
    estate.invoke("release")
    before = {one["uuid"] for one in listed(estate_url(estate), "containers")}

    ran = estate.invoke("release")

    assert ran.code == 0, ran
    assert "already runs as defined" in ran.err
    assert {one["uuid"] for one in listed(estate_url(estate), "containers")} == before


def test_a_change_is_served_beside_the_old_stack_on_the_same_data(estate: Estate) -> None:
    estate.invoke("release")
    first = estate.stack
    starts = estate.ask()[1]["starts"]

    estate.behave("well again")
    ran = estate.invoke("build", "deploy", "register")

    assert ran.code == 0, ran
    assert estate.ask() == (200, {"says": "well again", "starts": starts + 1})
    assert stacks(estate) == {first, estate.stack}


def test_a_release_that_does_not_get_well_goes_again_with_its_reason_and_the_old_one_serves(estate: Estate) -> None:
    estate.invoke("release")
    first = estate.stack
    estate.behave("sick")

    ran = estate.invoke("build", "deploy")

    assert ran.code == 1, ran
    assert f"{estate.stack} was not healthy after 30 s" in ran.err or f"{estate.stack} does not run" in ran.err
    assert re.search(r'proxy\.1i[0-9]+ \| "GET .*/health HTTP/1\.0" 503', ran.err), ran
    assert stacks(estate) == {first}
    assert estate.ask()[0] == 200


def test_releases_are_told_put_away_pruned_and_rolled_back(estate: Estate) -> None:
    estate.settings(settle=0)
    made = []
    for words in ("one", "two", "three"):
        estate.behave(words)
        assert estate.invoke("release").code == 0
        made.append(estate.stack)
    one, two, three = made

    stopped = estate.invoke("prune", "--yes")
    told = {entry["stack"]: entry for entry in json.loads(estate.invoke("status", "--json").out)["stacks"]}
    back = estate.invoke("rollback", "--to", one)

    assert stopped.code == 0, stopped
    assert (told[one]["state"], told[two]["previous"], told[three]["serves"]) == ("stopped", True, [estate.uri])
    assert back.code == 0, back
    assert "its containers are stopped: they are started" in back.err, back
    assert estate.ask()[1]["says"] == "one"
    pruned = estate.invoke("prune", "--now", "--keep", "1", "--yes")
    assert pruned.code == 0, pruned
    assert one in stacks(estate)
    assert len(stacks(estate)) == 2, pruned
    assert estate.invoke("prune", "--now", "--keep", "1", "--check").code == 0
    history = json.loads(estate.invoke("history", "--json").out)["records"]
    assert [record["verb"] for record in history][:2] == ["prune", "rollback"]


def test_an_upgrade_in_place_loses_no_request(estate: Estate) -> None:
    use_in_place(estate)
    assert estate.invoke("release").code == 0
    first = estate.sha8

    with Load(f"{estate.environment.proxy}{estate.uri}", 100, method="OPTIONS") as load:
        time.sleep(2)
        estate.behave("well, and newer")
        ran = estate.invoke("build", "deploy", "register")
        time.sleep(2)

    assert ran.code == 0, ran
    assert load.failed == []
    assert load.versions.keys() == {first, estate.sha8}
    assert stacks(estate) == {"hello-master"}
    assert [one["state"] for one in listed(estate_url(estate), "containers") if one["stackId"]] == ["running"]
    assert estate.ask()[1]["says"] == "well, and newer"


def test_an_upgrade_in_place_that_does_not_get_well_is_rolled_back(estate: Estate) -> None:
    use_in_place(estate)
    estate.invoke("release")
    before = [one["uuid"] for one in listed(estate_url(estate), "containers")]
    estate.behave("sick")

    ran = estate.invoke("build", "deploy")

    assert ran.code == 1, ran
    assert [one["uuid"] for one in listed(estate_url(estate), "containers")] == before
    assert estate.ask()[1]["says"] == "well"


@pytest.fixture
def pushed(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Images come from a registry with a password, as a Rancher's hosts have to have them."""
    with running_registry(tmp_path_factory.mktemp("registry"), htpasswd=USERS) as registry:
        estate.variables |= {"CI_REGISTRY": registry, "CI_REGISTRY_IMAGE": f"{registry}/estate"}
        estate.variables |= {"CI_REGISTRY_USER": "ci", "CI_REGISTRY_PASSWORD": "secret"}
        ran = estate.invoke("release", HELLO_TOKEN="hunter2-hunter2")
        assert ran.code == 0, ran
        yield estate


def test_images_that_are_in_no_registry_are_not_written_down(estate: Estate) -> None:
    estate.invoke("release")

    ran = estate.invoke("bootstrap")

    assert ran.code == 4, ran
    assert "the images of hello.proxy are only on hosts: sha256:" in ran.err
    assert "with-images" not in ran.err
    assert estate.invoke("bootstrap", "--with-images").code == 3


def test_the_environment_is_written_down_and_rehearsed_on_a_rancher_of_its_own(
    pushed: Estate, environment: Environment
) -> None:
    ran = pushed.invoke("bootstrap")
    checked = pushed.invoke("bootstrap", "--check")
    without_engine = pushed.invoke("bootstrap", "--check", DOCKER_HOST="unix:///nowhere.sock")
    rehearsed = pushed.invoke("bootstrap", "--rehearse")

    assert ran.code == 0, ran
    folder = pushed.folder / "bootstrap" / environment.name
    assert "hunter2" not in "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert checked.code == 0, checked
    assert without_engine.code == 0, without_engine
    assert rehearsed.code == 0, rehearsed
    report = json.loads((pushed.folder / f"build/bootstrap-{environment.name}/rehearsal.json").read_text())
    assert report["passed"]
    assert report["verification"]["found"] == {"services": 1, "entities": 2, "routes": 1}
    assert "hunter2" not in rehearsed.out + rehearsed.err
    assert rehearsals(environment) == []
    pushed.behave("changed")
    pushed.invoke("release", HELLO_TOKEN="hunter2-hunter2")
    assert pushed.invoke("bootstrap", "--check").code == 2


def test_the_scripts_bring_the_stacks_back_by_a_shell_and_curl_alone(
    pushed: Estate, environment: Environment, tmp_path: Path
) -> None:
    url = estate_url(pushed)
    assert pushed.invoke("bootstrap").code == 0
    before = pushed.ask()[1]["starts"]
    for stack in listed(url, "stacks"):
        ask(f"{url}/v2-beta/projects/1a5/stacks/{stack['id']}", "DELETE")
    forget_routes(environment)

    folder = pushed.folder / "bootstrap" / environment.name
    given = {"RANCHER_URL": url, "RANCHER_REGISTER": "no", "HELLO_TOKEN": "hunter2-hunter2"}
    given |= {"KONG_ADMIN_URL": environment.admin, "KONG_PROXY_URL": environment.proxy}
    port = pushed.variables["CI_REGISTRY"].rpartition(":")[2]
    given |= {f"REGISTRY_PASSWORD_127_0_0_1_{port}": "secret"}
    # 10-engine.sh is for machines without an engine: it would look for docker, and install it.
    done = run_scripts(folder, bare(tmp_path / "bin", "sleep"), but="10-engine.sh", **given)

    assert [one.code for one in done] == [0] * 7, done[-1]
    assert json.loads(done[-1].out)["differences"] == []
    assert pushed.ask()[1]["starts"] == before + 1
    assert pushed.ask("/secret") == (200, {"length": len("hunter2-hunter2")})
    assert pushed.invoke("bootstrap", "--check").code == 0


def test_from_nothing_the_scripts_start_a_server_and_bring_all_to_it(
    pushed: Estate, environment: Environment, tmp_path: Path
) -> None:
    """The server's image is the lab's, with containers in memory: a real one's is in no registry of this machine."""
    engine = environment.engine
    if any(one.name == "rancher-server" for one in engine.containers.list(all=True)):
        pytest.skip("this machine has a Rancher server")
    assert pushed.invoke("bootstrap").code == 0
    forget_routes(environment)
    # Its volume is where a real one has its database; the lab has nothing there.
    words = ["python3", "-m", "pipeline.lab.rancher", "--listen", "0.0.0.0:8080"]
    made = engine.containers.create("invoke-pipeline:lab", ["true"])
    made.commit("pipeline-test/rancher-server", "1", conf={"Cmd": words})
    made.remove()
    port = pushed.variables["CI_REGISTRY"].rpartition(":")[2]
    given = {"RANCHER_URL": f"http://127.0.0.1:{free_port()}", "RANCHER_SERVER_IMAGE": "pipeline-test/rancher-server:1"}
    given |= {"RANCHER_REGISTER": "no", "RANCHER_PROJECT": "production", "KONG_ADMIN_URL": environment.admin}
    given |= {"HELLO_TOKEN": "hunter2-hunter2", f"REGISTRY_PASSWORD_127_0_0_1_{port}": "secret"}
    folder = pushed.folder / "bootstrap" / environment.name
    try:
        done = run_scripts(folder, bare(tmp_path / "bin", "docker", "sleep"), but="10-engine.sh", **given)
        assert [one.code for one in done[:4]] == [0, 0, 0, 0], done[-1]
        assert "the Rancher server: started from pipeline-test/rancher-server:1" in done[2].err
        assert "project production: made" in done[2].err
        # A machine that registers would be its first host.
        assert (done[4].code, "has no active host" in done[4].err) == (4, True), done[4]
        again = run_scripts(
            folder, bare(tmp_path / "bin"), but="10-engine.sh", **{**given, "RANCHER_PROJECT": "Default"}
        )
        assert [one.code for one in again] == [0] * 7, again[-1]
        assert json.loads(again[-1].out)["differences"] == []
    finally:
        engine.containers.get("rancher-server").remove(force=True, v=True)
        engine.volumes.get("rancher-server").remove(force=True)
        engine.images.remove("pipeline-test/rancher-server:1", force=True)
