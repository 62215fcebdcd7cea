"""Versions: how one is chosen, what a state file remembers of it, and what the recordings do not show of each."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from lab_support import ask, echo_upstream, put

from pipeline.errors import Refused
from pipeline.lab.gateway.dialects import DIALECTS
from pipeline.lab.gateway.running import running_gateway


@pytest.mark.parametrize("version", DIALECTS)
def test_the_root_page_and_the_server_header_say_the_version(version: str, tmp_path: Path) -> None:
    with running_gateway(state=tmp_path / "state.sqlite3", version=version) as lab:
        reply = ask(lab.admin, "GET", "/")

        assert reply.json()["version"] == DIALECTS[version].version
        assert reply.header("Server") == f"kong/{DIALECTS[version].version}"
        assert DIALECTS[version].version.startswith(f"{version}.")


def test_the_command_line_chooses_a_version(tmp_path: Path) -> None:
    words = ["--admin", "127.0.0.1:0", "--proxy", "127.0.0.1:0", "--state", str(tmp_path / "state.sqlite3")]
    command = [sys.executable, "-m", "pipeline.lab.gateway", "--kong-version", "3.4", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        told = json.loads(gateway.stdout.readline())
        gateway.terminate()

    assert told["version"] == "3.4.2"


def test_a_state_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with running_gateway(state=state, version="3.4") as lab:
        service = put(lab.admin, "/services/s", {"host": "h", "tags": ["with space"]})

    with pytest.raises(Refused) as refused, running_gateway(state=state, version="2.8"):
        pass

    assert "3.4.2" in refused.value.what
    assert "--kong-version 3.4" in refused.value.hint
    with running_gateway(state=state, version="3.4") as lab:
        assert ask(lab.admin, "GET", "/services/s").json() == service


def test_a_state_that_names_no_version_is_of_2_8(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with running_gateway(state=state):
        pass
    base = sqlite3.connect(state)
    base.execute("DROP TABLE about")
    base.close()

    with pytest.raises(Refused), running_gateway(state=state, version="3.4"):
        pass
    with running_gateway(state=state) as lab:
        assert ask(lab.admin, "GET", "/").json()["version"] == "2.8.5"


@pytest.mark.parametrize(("version", "pattern"), [("2.8", "/r/\\d+$"), ("3.4", "~/r/\\d+$")])
def test_a_regular_expression_in_a_path_is_one_in_the_spelling_of_the_version(
    version: str, pattern: str, tmp_path: Path
) -> None:
    with echo_upstream() as upstream, running_gateway(state=tmp_path / "state.sqlite3", version=version) as lab:
        put(lab.admin, "/services/s", {"host": "127.0.0.1", "port": upstream.server_address[1]})
        put(lab.admin, "/services/s/routes/r", {"paths": [pattern], "strip_path": False})

        assert ask(lab.proxy, "GET", "/r/12").json()["target"] == "/r/12"
        assert ask(lab.proxy, "GET", "/r/12x").status == 404


def test_since_3_0_a_path_without_a_tilde_is_a_prefix_whatever_is_in_it(tmp_path: Path) -> None:
    with echo_upstream() as upstream, running_gateway(state=tmp_path / "state.sqlite3", version="3.4") as lab:
        put(lab.admin, "/services/s", {"host": "127.0.0.1", "port": upstream.server_address[1]})
        put(lab.admin, "/services/s/routes/r", {"paths": ["/r/(a)+"]})

        assert ask(lab.proxy, "GET", "/r/(a)+/x").json()["target"] == "/x"
        assert ask(lab.proxy, "GET", "/r/aa").status == 404


def test_next_carries_the_size_in_3_4_but_not_below_a_parent_and_never_in_2_8(tmp_path: Path) -> None:
    carried = {}
    for version in ("2.8", "3.4"):
        with running_gateway(state=tmp_path / f"{version}.sqlite3", version=version) as lab:
            put(lab.admin, "/services/s", {"host": "h"})
            for number in range(3):
                put(lab.admin, f"/services/s/routes/r{number}", {"paths": [f"/{number}"]})
            for url in ("/routes", "/services/s/routes"):
                after = ask(lab.admin, "GET", f"{url}?size=2").json()["next"]
                carried[version, url] = "size" in parse_qs(urlsplit(after).query)

    assert carried == {
        ("2.8", "/routes"): False,
        ("2.8", "/services/s/routes"): False,
        ("3.4", "/routes"): True,
        ("3.4", "/services/s/routes"): False,
    }


@pytest.mark.parametrize(
    ("version", "accept", "form"),
    [
        ("2.8", "*/*", "application/json; charset=utf-8"),
        ("2.8", "text/html,application/xml;q=0.9", "application/json; charset=utf-8"),
        ("3.4", "text/html,application/xml;q=0.9", "text/html; charset=utf-8"),
        ("3.4", "text/html;q=0.1, application/xml", "application/xml; charset=utf-8"),
    ],
)
def test_an_error_page_has_the_form_that_accept_wants(version: str, accept: str, form: str, tmp_path: Path) -> None:
    with running_gateway(state=tmp_path / "state.sqlite3", version=version) as lab:
        put(lab.admin, "/services/s", {"host": "127.0.0.1", "port": 1, "retries": 0})
        put(lab.admin, "/services/s/routes/r", {"paths": ["/r"]})

        reply = ask(lab.proxy, "GET", "/r", Accept=accept)

        assert (reply.status, reply.header("Content-Type")) == (502, form)


def test_a_vault_is_named_by_its_prefix_and_only_env_is_installed(tmp_path: Path) -> None:
    with running_gateway(state=tmp_path / "state.sqlite3", version="3.4") as lab:
        vault = put(lab.admin, "/vaults/my-env", {"name": "env", "config": {"prefix": "SECRET_"}})
        refused = ask(lab.admin, "PUT", "/vaults/other", {"name": "hcv"})

        assert ask(lab.admin, "GET", "/vaults").json()["data"] == [vault]
        assert refused.status == 400
        assert refused.json()["fields"] == {"name": "vault 'hcv' is not installed"}


def test_an_oauth2_credential_has_a_client_id_and_goes_with_its_consumer(tmp_path: Path) -> None:
    with running_gateway(state=tmp_path / "state.sqlite3") as lab:
        put(lab.admin, "/consumers/c", {})
        made = ask(lab.admin, "POST", "/consumers/c/oauth2", {"name": "app", "redirect_uris": ["https://a.example/cb"]})

        assert ask(lab.admin, "GET", f"/oauth2/{made.json()['client_id']}").json() == made.json()
        assert ask(lab.admin, "DELETE", "/consumers/c").status == 204
        assert ask(lab.admin, "GET", "/oauth2").json()["data"] == []


def test_a_key_is_either_a_jwk_or_a_pem(tmp_path: Path) -> None:
    with running_gateway(state=tmp_path / "state.sqlite3", version="3.4") as lab:
        made = ask(lab.admin, "POST", "/keys", {"kid": "a", "jwk": "{}"})
        neither = ask(lab.admin, "POST", "/keys", {"kid": "b"})
        both = ask(lab.admin, "POST", "/keys", {"kid": "b", "jwk": "{}", "pem": {"public_key": "p"}})

        assert (made.status, made.json()["pem"]) == (201, None)
        assert neither.json()["fields"] == {"@entity": ["at least one of these fields must be non-empty: 'jwk', 'pem'"]}
        assert both.json()["fields"] == {"@entity": ["only one or none of these fields must be set: 'jwk', 'pem'"]}


def test_a_plugin_of_3_4_is_found_by_its_instance_name(tmp_path: Path) -> None:
    with running_gateway(state=tmp_path / "state.sqlite3", version="3.4") as lab:
        made = ask(lab.admin, "POST", "/plugins", {"name": "cors", "instance_name": "front"})

        assert made.status == 201
        assert ask(lab.admin, "GET", "/plugins/front").json() == made.json()
        assert ask(lab.admin, "GET", "/plugins/cors").status == 404
