from __future__ import annotations

import json
import shlex

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.restore_script import ScriptHeader, entity_counts, only_service, restore_script, wire_json
from pipeline.model.route import Entity, Excluded, GatewayIdentity, GatewayState

HEADER = ScriptHeader(
    subject="the whole gateway",
    file="artifacts/createKongApi.0a1b2c3d.sh",
    tool_version="0.1.0",
    environment="review/x",
    commit="0a1b2c3d",
)


def entity(kind: str, name: str, **body: object) -> Entity:
    return Entity(kind=kind, id=f"{kind}-{name}", name=name, body={"name": name, **body}, created_at=7)


def state(*entities: Entity, excluded: tuple[Excluded, ...] = ()) -> GatewayState:
    identity = GatewayIdentity(product="kong", version="2.8.5")
    return GatewayState(identity=identity, entities=entities, excluded=excluded)


CITIES = entity("services", "cities", host="proxy")
TOWNS = entity("services", "towns", host="proxy")
ROUTE = entity("routes", "cities", service={"id": CITIES.id})
OTHER = entity("routes", "towns", service={"id": TOWNS.id})
DETACHED = entity("routes", "detached", service=None)


def calls(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in text.splitlines() if line.startswith("kong_put ")]


def test_what_refers_to_another_entity_comes_after_it() -> None:
    text = restore_script(state(ROUTE, DETACHED, OTHER, TOWNS, CITIES), HEADER, library="")

    assert [words[2] for words in calls(text)] == [
        "services cities",
        "services towns",
        "routes cities",
        "routes detached",
        "routes towns",
    ]


def test_the_same_state_gives_the_same_bytes_in_whatever_order_it_was_read() -> None:
    assert restore_script(state(ROUTE, CITIES), HEADER, library="x") == restore_script(
        state(CITIES, ROUTE), HEADER, library="x"
    )


def test_the_header_says_from_what_and_how_to_run_it() -> None:
    text = restore_script(
        state(CITIES, ROUTE, excluded=(Excluded(kind="plugins", count=3, reason="x"),)), HEADER, library="set -eu"
    )

    assert text.splitlines()[:9] == [
        "#!/bin/sh",
        "# Restores the whole gateway: 1 services, 1 routes.",
        "# From kong 2.8.5, environment review/x, commit 0a1b2c3d; written by invoke-pipeline 0.1.0.",
        "# Run: KONG_ADMIN_URL=http://127.0.0.1:8001 sh artifacts/createKongApi.0a1b2c3d.sh",
        "# Also: KONG_ADMIN_TOKEN; KONG_CLIENT_CERT, KONG_CLIENT_KEY, KONG_CA_CERT (PEM files);",
        "# FORCE=1 writes to a gateway that carries another environment's name.",
        "# Not in this file: 3 plugins (x).",
        "# shellcheck disable=SC2016",
        "",
    ]
    assert "\nkong_open review.x\n" in text


def test_an_entity_carries_its_own_time_of_creation() -> None:
    (words,) = calls(restore_script(state(CITIES), HEADER, library=""))

    assert json.loads(words[3]) == {"name": "cities", "host": "proxy", "created_at": 7}


def test_a_service_is_its_entity_and_the_routes_that_lead_to_it() -> None:
    part = only_service(
        state(ROUTE, DETACHED, OTHER, TOWNS, CITIES, excluded=(Excluded(kind="plugins", count=3, reason="x"),)),
        "cities",
    )

    assert part.entities == (CITIES, ROUTE)
    assert part.excluded == ()
    assert entity_counts(part) == (("services", 1), ("routes", 1))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
def test_json_on_the_wire_is_one_word_of_ascii_that_reads_back(value: object) -> None:
    text = wire_json(value)

    assert json.loads(text) == value
    assert text.isascii()
    assert text.isprintable() or "\x7f" in text
    assert len(text.split()) == 1
