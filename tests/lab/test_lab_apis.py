"""Kong 0.14's apis: what the recordings do not show of them, and how they stand beside services and routes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from lab_support import Reply, ask, echo_upstream

from pipeline.lab.gateway.running import Lab, running_gateway


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_gateway(state=tmp_path / "state.sqlite3", version="0.14") as lab:
        yield lab


def made(lab: Lab, url: str, **fields: Any) -> Any:
    """POST and return the entity."""
    reply = ask(lab.admin, "POST", url, fields)
    assert reply.status == 201, reply.body
    return reply.json()


def api(lab: Lab, name: str, **fields: Any) -> Any:
    return made(lab, "/apis", **{"name": name, "uris": [f"/{name}"], "upstream_url": "http://h", **fields})


def patched(lab: Lab, path: str, **fields: Any) -> Reply:
    return ask(lab.admin, "PATCH", path, fields)


def test_null_unsets_a_list_and_a_list_that_is_empty_is_shown_as_an_object(lab: Lab) -> None:
    api(lab, "a", hosts=[])

    assert ask(lab.admin, "GET", "/apis/a").json()["hosts"] == {}
    assert "uris" not in patched(lab, "/apis/a", uris=None, hosts=["a.com"]).json()


def test_a_patch_answers_400_to_nothing_500_to_a_null_number_and_404_to_another_id(lab: Lab) -> None:
    api(lab, "a")

    assert (patched(lab, "/apis/a").status, patched(lab, "/apis/a").json()) == (400, {"message": "empty body"})
    assert patched(lab, "/apis/a", retries=None).status == 500
    assert patched(lab, "/apis/a", id="00000000-0000-4000-8000-000000000001").status == 404
    assert patched(lab, "/apis/a", upstream_url=None).json() == {"upstream_url": "upstream_url is required"}


def test_a_post_with_the_id_of_another_api_is_a_409_and_changes_nothing(lab: Lab) -> None:
    first = api(lab, "a")

    refused = ask(lab.admin, "POST", "/apis", {**first, "name": "b"})

    assert (refused.status, refused.json()) == (409, {"id": f"already exists with value '{first['id']}'"})
    assert ask(lab.admin, "GET", "/apis").json()["data"] == [first]


def test_deleting_an_api_takes_its_plugins_along_and_a_second_time_it_is_a_404(lab: Lab) -> None:
    api(lab, "a")
    plugin = made(lab, "/apis/a/plugins", name="key-auth")

    assert ask(lab.admin, "GET", f"/apis/a/plugins/{plugin['id']}").json() == plugin
    assert ask(lab.admin, "DELETE", "/apis/a").status == 204
    assert ask(lab.admin, "DELETE", "/apis/a").status == 404
    assert ask(lab.admin, "GET", "/plugins").json() == {"data": [], "total": 0}


def test_a_plugin_may_belong_to_a_service_that_does_not_exist_but_not_to_such_an_api(lab: Lab) -> None:
    nobody = "00000000-0000-4000-8000-000000000001"

    assert made(lab, "/plugins", name="cors", service_id=nobody)["service_id"] == nobody
    refused = ask(lab.admin, "POST", "/plugins", {"name": "cors", "api_id": nobody})
    assert (refused.status, refused.json()) == (404, {"api_id": f"does not exist with value '{nobody}'"})


def test_every_page_is_reached_by_the_absolute_next_and_filters_are_forgotten_in_it(lab: Lab) -> None:
    for number in range(5):
        api(lab, f"a{number}", retries=1)
    seen: list[str] = []
    url = "/apis?size=2&retries=1"

    while url:
        page = ask(lab.admin, "GET", url).json()
        seen += [one["name"] for one in page["data"]]
        after = urlsplit(page.get("next", ""))
        assert "retries" not in after.query
        assert after.netloc in ("", f"{lab.admin[0]}:{lab.admin[1]}")
        url = f"{after.path}?{after.query}" if after.path else ""

    assert sorted(seen) == [f"a{number}" for number in range(5)]


def test_a_password_that_is_stored_already_is_not_hashed_again(lab: Lab) -> None:
    made(lab, "/consumers", username="c")
    stored = made(lab, "/consumers/c/basic-auth", username="u", password="p")

    again = ask(lab.admin, "PUT", "/consumers/c/basic-auth", stored).json()

    assert again == stored
    assert patched(lab, "/consumers/c/basic-auth/u", password="p").json()["password"] == stored["password"]
    assert patched(lab, "/consumers/c/basic-auth/u", password="q").json()["password"] != stored["password"]


def test_a_route_that_a_patch_leaves_without_a_condition_is_refused_whatever_is_stored(lab: Lab) -> None:
    service = made(lab, "/services", name="s", host="h")
    route = made(lab, "/routes", paths=["/r"], hosts=["a.com"], service={"id": service["id"]})

    refused = patched(lab, f"/routes/{route['id']}", paths=None)

    assert refused.status == 400
    assert refused.json()["fields"]["@entity"][0].startswith("when updating, at least one of")
    assert patched(lab, f"/routes/{route['id']}", paths=["/q"]).json()["hosts"] == ["a.com"]


def test_a_route_wins_over_an_api_with_the_same_path_and_an_api_serves_alone(lab: Lab, tmp_path: Path) -> None:
    with echo_upstream("A") as first, echo_upstream("B") as second:
        api(lab, "x", upstream_url=f"http://127.0.0.1:{first.server_address[1]}/base")
        alone = ask(lab.proxy, "GET", "/x/y").json()
        service = made(lab, "/services", name="s", host="127.0.0.1", port=second.server_address[1])
        route = made(lab, "/routes", paths=["/x"], service={"id": service["id"]})
        both = ask(lab.proxy, "GET", "/x/y").json()
        ask(lab.admin, "DELETE", f"/routes/{route['id']}")

        assert (alone["upstream"], alone["target"]) == ("A", "/base/y")
        assert (both["upstream"], both["target"]) == ("B", "/y")
        assert ask(lab.proxy, "GET", "/x/y").json()["upstream"] == "A"


def test_a_service_that_moves_takes_its_routes_along(lab: Lab) -> None:
    with echo_upstream("A") as first, echo_upstream("B") as second:
        service = made(lab, "/services", name="s", host="127.0.0.1", port=first.server_address[1])
        made(lab, "/routes", paths=["/x"], service={"id": service["id"]})
        before = ask(lab.proxy, "GET", "/x").json()["upstream"]

        patched(lab, "/services/s", port=second.server_address[1])

        assert (before, ask(lab.proxy, "GET", "/x").json()["upstream"]) == ("A", "B")


def test_an_api_for_https_only_answers_426_over_http(lab: Lab) -> None:
    api(lab, "safe", https_only=True)

    reply = ask(lab.proxy, "GET", "/safe")

    assert (reply.status, reply.json()) == (426, {"message": "Please use HTTPS protocol"})
    assert reply.header("Upgrade") == "TLS/1.2, HTTP/1.1"


def test_requests_go_to_the_newest_entries_of_an_upstreams_targets(lab: Lab) -> None:
    with echo_upstream("A") as first, echo_upstream("B") as second:
        made(lab, "/upstreams", name="up")
        api(lab, "x", upstream_url="http://up")
        old, new = (f"127.0.0.1:{server.server_address[1]}" for server in (first, second))
        made(lab, "/upstreams/up/targets", target=old)
        made(lab, "/upstreams/up/targets", target=new)
        made(lab, "/upstreams/up/targets", target=old, weight=0)

        assert {ask(lab.proxy, "GET", "/x").json()["upstream"] for _ in range(4)} == {"B"}
        assert [row["target"] for row in ask(lab.admin, "GET", "/upstreams/up/targets").json()["data"]] == [new]
        assert ask(lab.admin, "GET", "/upstreams/up/targets/all").json()["total"] == 3
        assert ask(lab.admin, "DELETE", f"/upstreams/up/targets/{new}").status == 204
        assert ask(lab.proxy, "GET", "/x").status == 503


def test_a_restart_keeps_apis_routes_and_whom_they_serve(tmp_path: Path) -> None:
    state = tmp_path / "kept.sqlite3"
    with echo_upstream("A") as upstream:
        port = upstream.server_address[1]
        with running_gateway(state=state, version="0.14") as before:
            kept = api(before, "x", upstream_url=f"http://127.0.0.1:{port}")
            service = made(before, "/services", name="s", host="127.0.0.1", port=port, path="/s")
            made(before, "/routes", paths=["/r"], service={"id": service["id"]})

        with running_gateway(state=state, version="0.14") as after:
            assert ask(after.admin, "GET", "/apis/x").json() == kept
            assert ask(after.proxy, "GET", "/x/1").json()["target"] == "/1"
            assert ask(after.proxy, "GET", "/r/1").json()["target"] == "/s/1"
