"""status, history, rollback and prune, as a user types them: real engine, real containers, a real gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.end_to_end.estate import Estate, ask, until

pytestmark = pytest.mark.engine


def released(estate: Estate, *behaviours: str) -> list[str]:
    """Releases each; the stacks."""
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
    assert [(record["verb"], record["stack"]) for record in history][:4] == [
        ("rollback", three),
        ("prune", two),
        ("prune", one),
        ("register", four),
    ]
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
