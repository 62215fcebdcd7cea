"""One state, three formats: each is read back to the state that was written, and none shows a secret."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.edge.library import shell_library
from pipeline.errors import BadInput
from pipeline.model.deck import deck_file, deck_variable
from pipeline.model.deck_reader import read_deck_file
from pipeline.model.kinds import KINDS, kind_of, rank
from pipeline.model.made_up import membership_id
from pipeline.model.restore_script import ScriptHeader, restore_script
from pipeline.model.restore_script_reader import is_restore_script, read_restore_script
from pipeline.model.route import Entity, Excluded, GatewayIdentity, GatewayState
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import Variable, filled, lacks_secret, named_secrets, schema_marks, sealed
from pipeline.model.state_file import read_state_file, state_file

PEM = '-----BEGIN PRIVATE KEY-----\nMIIE it\'s "x" $(id) %s\\n\n-----END PRIVATE KEY-----\n'
HEADER = ScriptHeader(subject="all", file="restore.sh", tool_version="1", environment="stage", commit="0a1b2c3d")
BODIES: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("services", "s1", {"name": "cities", "host": "h", "tags": ["pipeline", "env.stage"], "retries": None}),
    ("routes", "r1", {"name": "cities", "paths": ["/ws"], "service": {"id": "s1"}}),
    ("routes", "r2", {"paths": ["/detached"], "service": None}),
    ("upstreams", "u1", {"name": "up"}),
    ("targets", "t1", {"target": "10.0.0.1:80", "weight": 0, "upstream": {"id": "u1"}}),
    ("plugins", "p1", {"name": "cors", "config": {"origins": ["*"]}, "service": None, "route": None}),
    ("plugins", "p2", {"name": "rate-limiting", "service": {"id": "s1"}, "config": {"redis_password": "hunter2"}}),
    ("plugins", "p3", {"name": "acl", "service": {"id": "s1"}, "consumer": {"id": "c1"}, "config": {}}),
    ("consumers", "c1", {"username": "ann b", "custom_id": None}),
    ("key-auths", "aaaaaaaa-1", {"consumer": {"id": "c1"}, "key": "kkkk"}),
    ("key-auths", "aaaaaaaa-2", {"consumer": {"id": "c1"}, "key": "llll"}),
    ("basic-auths", "b1", {"consumer": {"id": "c1"}, "username": "ann", "password": "0hash0"}),
    ("hmac-auths", "h1", {"consumer": {"id": "c1"}, "username": "ann", "secret": "hhhh"}),
    ("jwts", "j1", {"consumer": {"id": "c1"}, "key": "iss", "secret": "jjjj", "algorithm": "HS256"}),
    ("oauth2", "o1", {"consumer": {"id": "c1"}, "name": "app", "client_id": "id", "client_secret": "oooo"}),
    ("acls", "l1", {"consumer": {"id": "c1"}, "group": "admins"}),
    ("consumer_groups", "g1", {"name": "gold"}),
    ("certificates", "e1", {"cert": "CERT", "key": PEM, "cert_alt": None, "key_alt": None}),
    ("snis", "n1", {"name": "a.example.com", "certificate": {"id": "e1"}}),
    ("ca_certificates", "a1", {"cert": "CA"}),
    ("vaults", "v1", {"name": "hcv", "prefix": "my", "config": {"host": "vault", "token": "vvvv"}}),
)  # fmt: skip


def entity(kind: str, key: str, body: dict[str, object]) -> Entity:
    name = str(body.get("name") or body.get("username") or body.get("target") or body.get("group") or "")
    return Entity(kind=kind, id=key, name=name, body=sealed(kind_of(kind), body), created_at=1700000000)


def whole() -> GatewayState:
    member = Entity(
        kind="consumer_group_consumers",
        id=membership_id("g1", "c1"),
        name="c1",
        body={"consumer": {"id": "c1"}, "consumer_group": {"id": "g1"}},
    )
    entities = sorted((*(entity(*one) for one in BODIES), member), key=lambda one: (one.kind, one.name, one.id))
    return GatewayState(
        identity=GatewayIdentity(product="kong", version="3.4.2", environments=("stage",)),
        entities=tuple(entities),
        excluded=(Excluded(kind="sessions", count=2, reason="made at run time"),),
    )


def without_null(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: without_null(one) for key, one in value.items() if one is not None}
    return [without_null(one) for one in value] if isinstance(value, list) else value


def secrets(state: GatewayState) -> dict[str, Secret]:
    return {one.variable: one.value for one in named_secrets(state) if isinstance(one.value, Secret)}


def as_sh(state: GatewayState) -> str:
    return restore_script(state, HEADER, library=shell_library())


def read_back(form: str, state: GatewayState) -> tuple[GatewayState, str]:
    if form == "sh":
        return read_restore_script(as_sh(state), file="restore.sh")
    if form == "json":
        return read_state_file(state_file(state, "stage"), file="dump.json")
    values = {deck_variable(name): secret.reveal() for name, secret in secrets(state).items()}
    return read_deck_file(deck_file(state), file="kong.yaml", find=values.get)


def test_every_kind_is_in_the_state_of_these_tests() -> None:
    assert {one.kind for one in whole().entities} == {kind.name for kind in KINDS}


@pytest.mark.parametrize("form", ["sh", "json", "deck"])
def test_what_was_written_is_read_back_as_it_was(form: str) -> None:
    state = whole()

    found, environment = read_back(form, state)

    complete, missing = filled(found, secrets(state).get)
    assert (missing, environment) == ((), "stage")
    assert not any(map(lacks_secret, complete.entities))
    assert [(one.kind, one.id, one.name, one.created_at) for one in complete.entities] == [
        (one.kind, one.id, one.name, one.created_at) for one in state.entities
    ]
    for one, other in zip(complete.entities, state.entities, strict=True):
        assert without_null(one.body) == without_null(other.body)
        assert not (one.partial and other.created_at)
    assert form == "deck" or found.excluded == state.excluded


@pytest.mark.parametrize("write", [as_sh, lambda state: state_file(state, "stage"), deck_file])
def test_no_format_shows_a_secret(write: object) -> None:
    text = write(whole())  # type: ignore[operator]  # one of the writers

    for value in ("kkkk", "llll", "0hash0", "hhhh", "jjjj", "oooo", "vvvv", "hunter2", "MIIE"):
        assert value not in text


@pytest.mark.parametrize("write", [as_sh, lambda state: state_file(state, "stage"), deck_file])
def test_the_same_state_gives_the_same_bytes(write: object) -> None:
    assert write(whole()) == write(whole())  # type: ignore[operator]  # one of the writers


def test_a_variable_is_named_after_kind_owner_and_id_and_no_two_are_alike() -> None:
    assert list(secrets(whole())) == [
        "KONG_SECRET_BASIC_AUTH_ANN_B_B1",
        "KONG_SECRET_CERTIFICATE_E1_KEY",
        "KONG_SECRET_HMAC_AUTH_ANN_B_H1",
        "KONG_SECRET_JWT_ANN_B_J1",
        "KONG_SECRET_KEY_AUTH_ANN_B_AAAAAAAA1",
        "KONG_SECRET_KEY_AUTH_ANN_B_AAAAAAAA2",
        "KONG_SECRET_OAUTH2_ANN_B_O1",
        "KONG_SECRET_PLUGIN_RATE_LIMITING_P2_CONFIG_REDIS_PASSWORD",
        "KONG_SECRET_VAULT_HCV_V1_CONFIG_TOKEN",
    ]


def test_fields_that_differ_only_in_signs_have_variables_of_their_own() -> None:
    config = {"a-token": "one", "a_token": "two", "a": {"token": "three"}}
    state = replace(whole(), entities=(entity("plugins", "p", {"name": "x", "config": config}),))

    assert {name: secret.reveal() for name, secret in secrets(state).items()} == {
        "KONG_SECRET_PLUGIN_X_P_CONFIG_A_TOKEN": "three",
        "KONG_SECRET_PLUGIN_X_P_CONFIG_A_TOKEN_2": "one",
        "KONG_SECRET_PLUGIN_X_P_CONFIG_A_TOKEN_3": "two",
    }


def test_a_script_names_its_variables_at_the_top_and_asks_for_them_before_it_opens() -> None:
    text = as_sh(whole())
    top, calls = text.partition("set -eu")[0], text.partition("# The entities:")[2]

    assert "\n#   KONG_SECRET_KEY_AUTH_ANN_B_AAAAAAAA1  key of key-auths aaaaaaaa-1\n" in top
    assert calls.index("kong_needs KONG_SECRET_VAULT_HCV_V1_CONFIG_TOKEN") < calls.index("kong_open")
    assert "kong_may_need KONG_SECRET_BASIC_AUTH_ANN_B_B1\n" in calls
    assert "kong_needs KONG_SECRET_BASIC_AUTH_ANN_B_B1\n" not in calls


def test_what_the_server_hashes_is_not_missing() -> None:
    found, _ = read_back("json", whole())

    complete, missing = filled(found, lambda name: None if "BASIC" in name else Secret("x"))

    assert [one.label for one in complete.entities if lacks_secret(one)] == ["basic-auths ann"]
    assert missing == ()


def test_what_is_missing_is_named() -> None:
    found, _ = read_back("json", whole())

    assert filled(found, lambda name: None)[1] == tuple(name for name in secrets(whole()) if "BASIC" not in name)


@pytest.mark.parametrize("value", ["{vault://env/x}", ""])
def test_a_reference_to_a_vault_is_no_secret(value: str) -> None:
    assert sealed(kind_of("jwts"), {"secret": value}) == {"secret": value}


def test_the_servers_schema_says_what_is_secret() -> None:
    schema = {
        "fields": [
            {"config": {"type": "record", "fields": [
                {"endpoint": {"type": "string", "referenceable": True}},
                {"plain": {"type": "string"}},
                {"headers": {"type": "map", "values": {"type": "string", "encrypted": True}}},
            ]}},
        ]
    }  # fmt: skip
    body = {"config": {"endpoint": "http://u:p@h", "plain": "x", "headers": {"a": "b"}}}

    found = sealed(kind_of("plugins"), body, schema_marks(schema))

    assert found["config"] == {"endpoint": Secret("http://u:p@h"), "plain": "x", "headers": {"a": Secret("b")}}


def test_what_is_referred_to_is_of_a_lower_rank() -> None:
    for kind in KINDS:
        assert all(rank(other) < rank(kind.name) for other in (*kind.references.values(), *kind.lists.values()))


@pytest.mark.parametrize(
    "line",
    [
        "kong_put /services/x services $(id)",
        "kong_put /services/x 'services x' '{}'; touch /tmp/x",
        "kong_put /services/x 'services x' {} `id`",
        "kong_put /services/x 'services x' '{'",
        "kong_put /nothing/x 'nothing x' '{}'",
        "touch /tmp/x",
        "kong_open 'stage",
    ],
)
def test_a_script_that_was_changed_is_not_read(line: str) -> None:
    text = as_sh(whole()).replace("kong_close", f"{line}\nkong_close")

    assert is_restore_script(text)
    with pytest.raises(BadInput, match=r"restore\.sh, line [0-9]+ "):
        read_restore_script(text, file="restore.sh")


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text()), max_size=4), st.text(min_size=1))
def test_hostile_values_are_read_back_from_each_format(values: dict[str, object], name: str) -> None:
    one = entity("services", "s1", {"name": name, "host": "h", "headers": values, "tags": [name]})
    state = replace(whole(), entities=(one,))

    for form in ("sh", "json", "deck"):
        (found,) = read_back(form, state)[0].entities
        assert without_null(found.body) == without_null(state.entities[0].body)


def test_a_generated_script_with_secrets_is_clean_for_shellcheck(tmp_path: object) -> None:
    file = tmp_path / "restore.sh"  # type: ignore[operator]  # a Path
    file.write_text(as_sh(whole()))

    done = subprocess.run(["shellcheck", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_decK_file_of_a_user_without_ids_gets_stable_ones_and_its_references() -> None:
    text = """
_format_version: "3.0"
_info: {select_tags: [team], defaults: {route: {strip_path: false}}}
_plugin_configs: {limits: {minute: 5, policy: local}}
services:
- name: cities
  url: https://cities.example.com/base
  routes: [{name: cities, paths: [/ws], plugins: [{name: cors}]}]
routes: [{name: flat, paths: [/flat], service: cities}]
plugins: [{name: rate-limiting, service: cities, _config: limits, config: {minute: 7}}]
consumers:
- username: ann
  keyauth_credentials: [{key: '${{ env "DECK_KEY" }}'}]
  acls: [admins]
  groups: [{name: gold}]
consumer_groups: [{name: gold}]
certificates: [{id: e1, cert: C, key: K, snis: [a.example.com]}]
upstreams: [{name: up, slots: '${{ env "DECK_SLOTS" | toInt }}', targets: [{target: "10.0.0.1:80"}]}]
"""
    variables = {"DECK_SLOTS": "10"}

    state, _ = read_deck_file(text, file="kong.yaml", find=variables.get)
    again, _ = read_deck_file(text, file="kong.yaml", find=variables.get)

    assert state == again
    by_kind = {one.kind: one for one in state.entities}
    (service,) = state.of("services")
    assert dict(service.body) == {
        "name": "cities", "protocol": "https", "host": "cities.example.com", "port": 443, "path": "/base",
        "tags": ["team"],
    }  # fmt: skip
    assert {one.name: one.body["service"] for one in state.of("routes")} == {
        "cities": {"id": service.id},
        "flat": {"id": service.id},
    }
    assert all(one.body["strip_path"] is False for one in state.of("routes"))
    limits = next(one for one in state.of("plugins") if one.name == "rate-limiting")
    assert limits.body["config"] == {"minute": 7, "policy": "local"}
    assert by_kind["key-auths"].body["key"] == Variable("DECK_KEY")
    assert by_kind["upstreams"].body["slots"] == 10
    assert by_kind["snis"].body["certificate"] == {"id": "e1"}
    assert by_kind["consumer_group_consumers"].body == {
        "consumer": {"id": by_kind["consumers"].id},
        "consumer_group": {"id": by_kind["consumer_groups"].id},
    }
    assert by_kind["certificates"].body["key"] == Secret("K")
    assert (service.made_up, service.partial, by_kind["certificates"].made_up) == (True, True, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: []", "has no _format_version"),
        ('_format_version: "3.0"\nnothing: []', "nothing is not known"),
        ('_format_version: "3.0"\nservices: {a: 1}', "services should be a list"),
        ('_format_version: "3.0"\nroutes: [{name: a, service: gone}]', "there are no services 'gone'"),
        ('_format_version: "3.0"\nservices: [{name: a, host: "x${{ env "DECK_X" }}"}]', "wants the variable DECK_X"),
        ('_format_version: "3.0"\nservices: [{name: "${{ readFile "x" }}"}]', "line 2: an expression"),
        ('_format_version: "3.0"\n_workspace: team', "_workspace: 'team' is not the default one"),
        ('_format_version: "3.0"\nservices: [{name: a}, {name: a}]', "there are two services a"),
        ('_format_version: "3.0"\nplugins: [{name: a, _config: x}]', "_config: x is not known"),
        ('_format_version: "3.0"\nservices: [{name: a, url: nothing}]', "'nothing' is not a URL"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_mistake_in_a_decK_file_is_named(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=r"kong\.yaml") as caught:
        read_deck_file(text.replace('"${{ readFile "x" }}"', "${{ readFile }}"), file="kong.yaml", find={}.get)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.update(extra=1), "extra: missing or not known"),
        (lambda one: one.update(schema_version=9), "schema_version 9"),
        (lambda one: one["entities"][0].pop("id"), "entities.0: id: missing"),
        (lambda one: one["entities"][0].update(created_at="x"), "entities.0.created_at: 'x'"),
        (lambda one: one["entities"][0].update(secrets=[{"path": ["a", "b"], "variable": "X"}]), "no field"),
        (lambda one: one.update(entities={}), "entities should be a list"),
    ],
)
def test_a_mistake_in_a_json_file_is_named(change: object, words: str) -> None:
    document = json.loads(state_file(whole(), "stage"))
    change(document)  # type: ignore[operator]  # one of the changes

    with pytest.raises(BadInput, match=words):
        read_state_file(json.dumps(document), file="dump.json")
