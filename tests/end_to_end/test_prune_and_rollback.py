"""status, history, rollback and prune, as a user types them: real engine, real containers, a real gateway."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.estate import Estate, ask, until

pytestmark = pytest.mark.engine
INVOKE = Path(sys.executable)


def released(estate: Estate, *behaviours: str) -> list[str]:
    """Releases each; the stacks. How long a busy machine takes for a probe is no matter here."""
    estate.manifest(health={"path": f"{estate.uri}/health", "interval": 0.5, "timeout": 10, "retries": 60})
    stacks = []
    for words in behaviours:
        estate.behave(words)
        ran = estate.invoke("release")
        assert ran.code == 0, ran
        stacks.append(estate.stack)
    return stacks


def entries(estate: Estate) -> dict[str, Any]:
    ran = estate.invoke("status", "--json")
    assert ran.code == 0, ran
    return {entry["stack"]: entry for entry in json.loads(ran.out)["stacks"]}


def test_four_releases_are_told_pruned_and_rolled_back(estate: Estate) -> None:
    estate.settings(settle=0, grace=0)
    one, two, three, four = released(estate, "one", "two", "three", "four")

    told = entries(estate)
    assert (told[four]["answers"], told[four]["serves"], told[four]["subject"]) == (True, [estate.uri], "four")
    assert told[three]["previous"] is True
    assert told[two]["prune"].startswith("remove: ")

    checked = estate.invoke("prune", "--check")
    assert checked.code == 2, checked
    assert len(estate.environment.stacks()) == 4
    unasked = estate.invoke("prune")
    assert (unasked.code, "Add --yes" in unasked.err) == (3, True), unasked

    ran = estate.invoke("prune", "--yes")
    assert ran.code == 0, ran
    assert estate.environment.stacks() == {three, four}
    assert "2 stacks removed" in ran.err
    assert "2 images" in ran.err
    again = estate.invoke("prune", "--check")
    assert again.code == 0, again

    back = estate.invoke("rollback")
    assert back.code == 0, back
    assert estate.ask()[1]["says"] == "three"
    assert entries(estate)[four]["prune"] == "remove: was rolled back from"
    history = json.loads(estate.invoke("history", "--json").out)["records"]
    done = [(record["verb"], record["stack"]) for record in history]
    assert (done[0], set(done[1:3]), done[3]) == (
        ("rollback", three),
        {("prune", one), ("prune", two)},
        ("register", four),
    )
    assert history[0]["stack_before"] == four
    assert (history[0]["subject"], history[0]["author"]) == ("three", "Test")


def test_a_stopped_stack_is_started_again_and_one_that_is_gone_is_made_again(estate: Estate) -> None:
    estate.settings(settle=0)
    one, two, _three = released(estate, "one", "two", "three")
    ran = estate.invoke("prune", "--keep", "0", "--yes")
    assert ran.code == 0, ran
    assert entries(estate)[one]["state"] == "stopped"

    back = estate.invoke("rollback", "--to", one)
    assert back.code == 0, back
    assert "they are started" in back.err
    assert estate.ask()[1]["says"] == "one"

    for container in estate.environment.containers(stack=two):
        container.remove(force=True, v=True)
    gone = estate.invoke("rollback", "--to", two)
    assert gone.code == 0, gone
    assert "they are made again" in gone.err
    assert estate.ask()[1]["says"] == "two"
    assert entries(estate)[two]["answers"] is True


def test_a_lie_is_marked_and_a_route_that_was_changed_by_hand_is_drift(estate: Estate) -> None:
    (one,) = released(estate, "one")
    (container,) = estate.environment.containers(stack=one)
    container.exec_run(["python3", "-c", "open('/app/behaviour', 'w').write('lies')"])
    container.restart(timeout=0)
    until(lambda: estate.ask(method="OPTIONS")[0] == 200)
    ask(f"{estate.environment.admin}/routes/hello", "PATCH", {"methods": ["GET", "OPTIONS"]})

    told = estate.invoke("status", "--drift")

    assert told.code == 0, told
    assert f'hello lies: OPTIONS {estate.uri}: stack = "somebody-else"' in told.out
    assert "changed by hand: the route of hello: methods is" in told.out


def test_a_wiped_gateway_is_no_reason_to_remove_anything(estate: Estate) -> None:
    estate.settings(settle=0, grace=0)
    released(estate, "one", "two", "three")
    for kind in ("routes", "services"):
        ask(f"{estate.environment.admin}/{kind}/hello", "DELETE")

    ran = estate.invoke("prune", "--yes")

    assert ran.code == 4, ran
    assert "no route of this gateway leads to a running stack of hello" in ran.err
    assert len(estate.environment.stacks()) == 3


def by_hand(estate: Estate, name: str, behaviour: str) -> None:
    """A stack as the first pipeline made them: no labels of ours, and its alias on the network."""
    engine, network = estate.environment.engine, f"pipeline-{estate.environment.name}"
    image = next(image for container in estate.environment.containers() for image in container.image.tags)
    environment = {"stack": name, "version": name[-8:], "branch": "master"}
    made = engine.api.create_container(
        image,
        name=f"{name}.proxy.1",
        command=["sh", "-c", f"mkdir -p /data; echo {behaviour} > behaviour; exec python3 server.py"],
        environment=environment,
        labels={"com.docker.compose.project": name, "com.docker.compose.service": "proxy"},
        networking_config=engine.api.create_networking_config(
            {network: engine.api.create_endpoint_config(aliases=[f"proxy.{name}"])}
        ),
    )
    engine.api.start(made["Id"])


def test_what_the_first_pipeline_left_is_adopted_switched_and_pruned(estate: Estate) -> None:
    estate.settings(settle=0, grace=0)
    released(estate, "one")
    for container in estate.environment.containers():
        container.stop(timeout=0)
    old, older = "hello-master-0a1b2c3d", "hello-master-00000001"
    try:
        by_hand(estate, older, "older")
        by_hand(estate, old, "old")
        estate.environment.clear()
        for kind in ("routes", "services"):
            ask(f"{estate.environment.admin}/{kind}/hello", "DELETE")
        carl = ["carl", "update_api", "--server", estate.environment.admin, "--uri", estate.uri]
        ran = estate.run([f"{INVOKE.parent}/carl", *carl[1:], "--upstream_url", f"http://proxy.{old}:80"])
        assert ran.code == 0, ran
        until(lambda: estate.ask()[0] == 200)

        checked = estate.invoke("adopt", "--check")
        assert checked.code == 2, checked
        assert f"adopt {old} as hello's" in checked.out
        ran = estate.invoke("adopt", "--yes")
        assert ran.code == 0, ran
        told = entries(estate)
        assert (told[old]["serves"], told[old]["answers"]) == ([estate.uri], True)
        assert estate.invoke("adopt", "--check").code == 0

        (new,) = released(estate, "new")
        ran = estate.invoke("prune", "--yes")
        assert ran.code == 0, ran
        assert set(entries(estate)) == {new, old}
        back = estate.invoke("rollback")
        assert back.code == 0, back
        assert estate.ask()[1]["says"] == "old"
    finally:
        for name in (old, older):
            for container in estate.environment.engine.containers.list(all=True, filters={"name": name}):
                container.remove(force=True)


def test_a_registration_takes_over_its_untagged_route_and_says_so(estate: Estate) -> None:
    (one,) = released(estate, "one")
    for kind in ("routes", "services"):
        ask(f"{estate.environment.admin}/{kind}/hello", "DELETE")
    carl = [f"{INVOKE.parent}/carl", "update_api", "--server", estate.environment.admin, "--uri", estate.uri]
    assert estate.run([*carl, "--upstream_url", f"http://proxy.{one}:80"]).code == 0

    estate.behave("two")
    ran = estate.invoke("release")

    assert ran.code == 0, ran
    assert f"which had no tags: it leads to {one}" in ran.err
    assert estate.ask()[1]["says"] == "two"
    assert [entity["name"] for entity in ask(f"{estate.environment.admin}/services")[1]["data"]] == ["hello"]


def test_watching_shows_it_again_and_again_until_ctrl_c(estate: Estate) -> None:
    released(estate, "one")

    watching = estate.start("status", "--watch")
    assert watching.stdout is not None
    heads = 0
    while heads < 2:
        line = watching.stdout.readline()
        assert line, watching.communicate()
        heads += line.startswith("SERVICE")
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=60)

    assert watching.returncode == 130


def test_a_service_that_is_nowhere_cannot_be_pruned_and_one_without_a_folder_can(estate: Estate) -> None:
    estate.settings(settle=0, grace=0)
    released(estate, "one", "two", "three")

    nowhere = estate.invoke("prune", "-s", "nowhere", "--yes")
    assert (nowhere.code, "there is no service 'nowhere'" in nowhere.err) == (3, True), nowhere
    estate.git("mv", "services/hello", "services/other")
    ran = estate.invoke("prune", "-s", "hello", "--yes")

    assert ran.code == 0, ran
    assert len(estate.environment.stacks()) == 2
