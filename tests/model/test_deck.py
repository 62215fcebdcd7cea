from __future__ import annotations

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.model.deck import deck_file
from pipeline.model.route import Entity, GatewayIdentity, GatewayState


def entity(kind: str, name: str, **body: object) -> Entity:
    return Entity(kind=kind, id=f"{kind}-{name}", name=name, body={"name": name, **body}, created_at=7)


def state(*entities: Entity, version: str = "2.8.5") -> GatewayState:
    return GatewayState(identity=GatewayIdentity(product="kong", version=version), entities=entities)


def test_routes_are_under_their_service_and_detached_ones_apart() -> None:
    service = entity("services", "cities", host="proxy", port=80, path=None, tags=["pipeline", "env.stage"])
    route = entity("routes", "cities", paths=["/ws/cities"], service={"id": service.id}, strip_path=False)
    detached = entity("routes", "old", paths=["/old"], service=None)

    text = deck_file(state(route, detached, service))

    assert text == (
        '_format_version: "1.1"\n'
        "routes:\n"
        "- created_at: 7\n"
        "  id: routes-old\n"
        "  name: old\n"
        "  paths:\n"
        '  - "/old"\n'
        "services:\n"
        "- created_at: 7\n"
        "  host: proxy\n"
        "  id: services-cities\n"
        "  name: cities\n"
        "  port: 80\n"
        "  routes:\n"
        "  - created_at: 7\n"
        "    id: routes-cities\n"
        "    name: cities\n"
        "    paths:\n"
        '    - "/ws/cities"\n'
        "    strip_path: false\n"
        "  tags:\n"
        "  - pipeline\n"
        '  - "env.stage"\n'
    )


def test_the_format_follows_the_servers_version() -> None:
    assert deck_file(state(version="3.4.2")) == '_format_version: "3.0"\n'
    assert deck_file(state(version="0.14.1")) == '_format_version: "1.1"\n'


@given(st.text())
@example("${{ env }}")
@example("\\${{ env }}")
@example("1e3")
@example("0o7")
@example("null")
@example("~")
@example("Norway: no")
@example("- a\n- b")
@example("x" * 4096)
@example("\x85\u2028\ufeff")
def test_hostile_values_survive(value: str) -> None:
    service = entity("services", "cities", tags=[value], headers={value: [value]}, path=value)

    text = deck_file(state(service))

    (found,) = yaml.safe_load(text)["services"]
    assert (found["tags"], found["headers"], found["path"]) == ([value], {value: [value]}, value)
    assert "${{" not in text


@given(st.sampled_from(["1e3", "0o7", "0x1f", "1_000", "no", "Yes", "on", "NULL", "1:30", "2026-11-23", ".inf", "="]))
def test_a_text_that_some_reader_takes_for_something_else_is_quoted(value: str) -> None:
    assert f'path: "{value}"' in deck_file(state(entity("services", "cities", path=value)))
