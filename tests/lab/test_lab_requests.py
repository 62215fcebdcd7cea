"""Admin requests that are odd, malformed or hostile: each gets an answer, none harms the gateway."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab_support import Client, ask, put

from pipeline.lab.gateway.running import Lab, running_gateway

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = [
    "name",
    "id",
    "host",
    "port",
    "protocol",
    "path",
    "url",
    "tags",
    "retries",
    "connect_timeout",
    "client_certificate",
    "ca_certificates",
    "service",
    "paths",
    "hosts",
    "methods",
    "headers",
    "protocols",
    "snis",
    "sources",
    "regex_priority",
    "created_at",
    "config",
    "consumer",
    "username",
    "target",
    "cert",
    "snis",
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_gateway(state=tmp_path_factory.mktemp("lab") / "state.sqlite3") as running:
        put(running.admin, "/services/s", {"host": "h"})
        yield running


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        ["services", "routes", "services/s/routes", "plugins", "consumers", "upstreams", "certificates", "snis"]
    ),
    st.sampled_from(["POST", "PUT", "PATCH"]),
    st.dictionaries(st.sampled_from(_FIELDS), _VALUES, max_size=5),
)
def test_no_body_makes_the_gateway_fail(lab: Lab, kind: str, method: str, content: dict[str, Any]) -> None:
    path = f"/{kind}" if method == "POST" else f"/{kind}/x"

    reply = ask(lab.admin, method, path, content)

    assert reply.status in (200, 201, 400, 404, 405, 409), reply.body


@pytest.mark.parametrize("pattern", ["/a\\u0041", "/[z-a]", "/(?<n>a)(?P=n)", "/a**", "/(?i)x", "/\\", "/é[ü]+"])
def test_a_pattern_is_either_refused_or_served(lab: Lab, pattern: str) -> None:
    reply = ask(lab.admin, "PUT", "/services/s/routes/pattern", {"paths": [pattern]})

    assert reply.status in (200, 400)
    assert ask(lab.proxy, "GET", "/nothing/here").status in (404, 503)


def test_what_is_no_http_gets_nginxs_page(lab: Lab) -> None:
    with Client(lab.admin) as client:
        client.sock.sendall(b"hello\r\n\r\n")
        reply = client.receive()

    assert reply.status == 400
    assert reply.body.startswith(b"<html>\r\n<head><title>400 Bad Request")


def test_a_url_that_no_parser_likes_is_a_violation(lab: Lab) -> None:
    for url in ("http://[::1", "http://a b:1/", "http://%zz/", "http:///x", "http://h:٣/"):
        assert ask(lab.admin, "POST", "/services", {"url": url}).status in (201, 400)


def test_a_null_time_out_means_the_default(lab: Lab) -> None:
    put(lab.admin, "/services/t", {"host": "127.0.0.1", "port": 1, "read_timeout": None, "connect_timeout": None})
    put(lab.admin, "/services/t/routes/t", {"paths": ["/t"]})

    assert ask(lab.proxy, "GET", "/t").status == 502


def test_a_plugin_needs_a_known_name_and_goes_with_its_service(lab: Lab) -> None:
    put(lab.admin, "/services/p", {"host": "h"})
    created = ask(lab.admin, "POST", "/services/p/plugins", {"name": "key-auth", "config": {"key_names": ["k"]}})
    assert (created.status, created.json()["config"]["hide_credentials"]) == (201, False)
    assert ask(lab.admin, "POST", "/services/p/plugins", {"name": "nope"}).status == 400

    ask(lab.admin, "DELETE", "/services/p")

    assert ask(lab.admin, "GET", f"/plugins/{created.json()['id']}").status == 404
