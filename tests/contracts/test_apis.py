"""The legacy /apis (Kong 0.10 – 0.14): what was recorded of 0.14.1, what a plan asks, and the way back by a script."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.edge.clock import SystemClock
from pipeline.edge.library import shell_library
from pipeline.errors import GatewayAnswered, Refused
from pipeline.flows.dump import Origin, restore_files
from pipeline.flows.register import plan_registration
from pipeline.gateways.kong.any_kong import AnyKong
from pipeline.gateways.kong.apis_entities import found_api, legacy_entity
from pipeline.model.address import GatewayAddress
from pipeline.model.dialect import Dialect
from pipeline.model.plan import Verb, writing
from pipeline.model.restore_script import ScriptHeader, restore_script
from pipeline.model.route import GatewayState, Owner, Route, WantedPlugin
from tests.contracts.legacy_kong import LegacyKong, legacy_kong
from tests.contracts.test_gateways_recorded import Answer, Replay, replay

__all__ = ["replay"]
RECORDINGS = Path(__file__).parents[1] / "recordings" / "kong-0.14.1"
SHELLS = {"bash": ("bash", "--posix"), "busybox": ("busybox", "sh"), "dash": ("dash",)}
WANTED = Route(
    service="cities",
    environment="stage",
    stack="cities-master-0a1b2c3d",
    uri="/ws/cities",
    upstream="http://proxy.cities-master-0a1b2c3d",
)
LIMIT = WantedPlugin(name="rate-limiting", config={"minute": 5})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LegacyKong]:
    with legacy_kong(tmp_path) as running:
        yield running


@pytest.fixture
def gateway(server: LegacyKong) -> Iterator[AnyKong]:
    opened = opened_at(server.url)
    yield opened
    opened.close()


def opened_at(url: str) -> AnyKong:
    return AnyKong(GatewayAddress(admin=url), clock=SystemClock(), environment="stage")


def exchanges(scenario: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RECORDINGS / f"{scenario}.json").read_text())
    return found


def make(gateway: AnyKong, route: Route) -> None:
    gateway.apply(gateway.plan(route))


def test_every_recorded_api_can_be_read() -> None:
    files = (exchanges(file.stem) for file in RECORDINGS.glob("apis_*.json"))
    bodies = [one["response"]["body"] for file in files for one in file]
    pages = [body["data"] for body in bodies if isinstance(body, dict) and isinstance(body.get("data"), list)]
    entities = [one for one in [*bodies, *(one for page in pages for one in page)] if isinstance(one, dict)]
    apis = [one for one in entities if "upstream_url" in one and "id" in one]
    assert len(apis) > 250

    for api in apis:
        found, entity = found_api(api, "stage"), legacy_entity("apis", api)
        assert (found.id, found.name, found.upstream) == (api["id"], api["name"], api["upstream_url"])
        assert not found.owner.ours
        assert entity.created_at == api["created_at"] > 1_000_000_000_000
        assert all(entity.body[key] == (value or []) for key, value in api.items() if key in ("uris", "hosts"))


@pytest.mark.parametrize("scenario", ["apis_put", "apis_create_post"])
def test_every_recorded_refusal_is_told_in_kongs_own_words(scenario: str, replay: Replay) -> None:
    refusals = [one["response"] for one in exchanges(scenario) if one["response"]["status"] in (400, 404, 405, 409)]
    assert refusals
    gateway = opened_at(replay.url)

    for refusal in refusals:
        replay.default = Answer(status=refusal["status"], body=refusal["body"])
        with pytest.raises(GatewayAnswered) as caught:
            gateway._admin.write("POST", ("apis",), {})
        assert caught.value.status == refusal["status"]
        assert all(str(word) in str(caught.value) for word in refusal["body"].values())
    gateway.close()


def test_the_recorded_kong_is_spoken_to_by_its_apis(replay: Replay) -> None:
    (root, *_) = exchanges("apis_root_and_status")
    replay.answers["GET /"] = Answer(body=root["response"]["body"])
    gateway = opened_at(replay.url)

    identity = gateway.identity()
    gateway.close()

    assert (identity.product, identity.version, identity.dialect) == ("kong", "0.14.1", Dialect.APIS)
    assert "no names and no tags" in identity.because


def test_nothing_to_do_is_found_in_three_requests_and_no_write(server: LegacyKong, gateway: AnyKong) -> None:
    make(gateway, replace(WANTED, plugins=(LIMIT,)))
    gateway.close()
    fresh = opened_at(server.url)
    server.requests.clear()

    plan = plan_registration(replace(WANTED, plugins=(LIMIT,)), fresh)
    fresh.close()

    assert plan.changes == ()
    assert server.requests == [
        "GET /services/cities",
        "GET /apis/cities",
        "GET /apis/cities/plugins?size=1000",
    ]


def test_creating_an_api_twice_is_as_once(gateway: AnyKong) -> None:
    changes = gateway.plan(WANTED)
    gateway.apply(changes)
    once = gateway.dump()

    gateway.apply(changes)

    assert gateway.dump() == once


def test_a_release_is_switched_by_one_patch_of_the_upstream(server: LegacyKong, gateway: AnyKong) -> None:
    make(gateway, WANTED)
    server.requests.clear()

    changes = gateway.plan(replace(WANTED, upstream="http://proxy.cities-master-22222222"))
    gateway.apply(changes)

    (api,) = server.all("apis")
    assert [request for request in server.requests if not request.startswith("GET")] == [f"PATCH /apis/{api['id']}"]
    assert changes[0].after == {"upstream_url": "http://proxy.cities-master-22222222"}


def test_a_new_api_with_plugins_answers_nobody_before_they_are_there(server: LegacyKong, gateway: AnyKong) -> None:
    changes = gateway.plan(replace(WANTED, plugins=(LIMIT,)))

    gateway.apply(changes[:2])
    (api,) = server.all("apis")
    assert api["hosts"] == ["not-yet.invalid"]

    gateway.apply(changes[2:])
    (api,) = server.all("apis")
    assert "hosts" not in api


def test_a_uri_with_a_slash_at_the_end_is_not_changed_again_and_again(gateway: AnyKong) -> None:
    make(gateway, replace(WANTED, uri="/ws/cities/"))

    assert gateway.plan(replace(WANTED, uri="/ws/cities/")) == ()


def test_an_api_of_our_name_and_uri_is_taken_over_wherever_it_leads(server: LegacyKong, gateway: AnyKong) -> None:
    server.add("apis", name="cities", uris=["/ws/cities"], upstream_url="http://by.hand.example.com")

    plan = plan_registration(WANTED, gateway)
    gateway.apply(plan.changes)

    assert [change.verb for change in plan.changes] == [Verb.UPDATE]
    assert plan.before is not None
    assert plan.before.upstream == "http://by.hand.example.com"
    (route,) = gateway.routes()
    assert route.owner == Owner(environment="stage", service="cities", stack="cities-master-0a1b2c3d")


def test_an_api_of_our_name_that_answers_something_else_is_refused(server: LegacyKong, gateway: AnyKong) -> None:
    server.add("apis", name="cities", uris=["/other"], upstream_url="http://by.hand.example.com")

    with pytest.raises(Refused, match=r"answers /other and leads to http://by"):
        gateway.plan(WANTED)


def test_an_api_of_another_name_on_our_uri_is_refused(server: LegacyKong, gateway: AnyKong) -> None:
    server.add("apis", name="towns", uris=["/ws/cities"], upstream_url="http://by.hand.example.com")

    with pytest.raises(Refused, match="'towns', which belongs to someone else"):
        plan_registration(WANTED, gateway)


def test_a_uri_that_changed_in_the_manifest_is_followed(gateway: AnyKong) -> None:
    make(gateway, WANTED)

    make(gateway, replace(WANTED, uri="/ws/towns"))

    assert [route.paths for route in gateway.routes()] == [("/ws/towns",)]


def test_a_kong_before_0_10_is_refused(replay: Replay) -> None:
    replay.answers["GET /"] = Answer(body={"version": "0.9.9"})
    gateway = opened_at(replay.url)

    with pytest.raises(Refused, match=r"is 0\.9\.9: its apis have no uris"):
        gateway.plan(WANTED)
    gateway.close()


def test_pages_that_overlap_lose_nothing(replay: Replay) -> None:
    """The recorded walk of 50 at a time saw 226 of 250; what is missing comes with one page as long as the list."""
    pages = {one["request"]["path"]: one["response"]["body"] for one in exchanges("apis_pagination")}
    offsets = ("Mg==", "Mw==", "NA==", "NQ==")
    replay.answers["GET /apis?size=1000"] = Answer(body=pages["/apis?size=50&retries=1"])
    for offset in (quote(offset) for offset in offsets):
        replay.answers[f"GET /apis?size=1000&offset={offset}"] = Answer(body=pages[f"/apis?size=50&offset={offset}"])
    replay.answers["GET /apis?size=1250"] = Answer(body=pages["/apis?size=250"])
    replay.answers["GET /"] = Answer(body={"version": "0.14.1"})
    gateway = opened_at(replay.url)

    found = {route.name for route in gateway.routes()}
    gateway.close()

    assert found == {f"pg{number:03}" for number in range(250)}


def test_a_list_longer_than_a_page_is_read_to_its_end(server: LegacyKong, gateway: AnyKong) -> None:
    for number in range(1200):
        server.add("apis", name=f"a{number}", uris=[f"/a{number}"], upstream_url="http://h")

    assert len(gateway.routes()) == 1200


def filled(server: LegacyKong, gateway: AnyKong) -> GatewayState:
    """Apis as they were recorded, plugins of one and of all."""
    for exchange in exchanges("apis_create_post"):
        body, recorded = exchange["request"]["body"], exchange["response"]
        if recorded["status"] == 201 and isinstance(body, dict) and "id" in recorded["body"]:
            fields = {**recorded["body"], "name": f"{recorded['body']['name'][:40]}-{recorded['body']['id'][:8]}"}
            server.add("apis", **fields)
    make(gateway, replace(WANTED, plugins=(LIMIT,)))
    server.add("plugins", name="request-termination", config={"message": 'it\'s $(id) `id` "x"\n\\ é'})
    consumer = server.add("consumers", username="someone")
    server.add("plugins", name="rate-limiting", consumer_id=consumer, config={"minute": 1})
    server.add("apis", name="hostile", uris=["/it's $x `id` \\$ %25s"], upstream_url="http://h/é")
    return gateway.dump()


def script(state: GatewayState) -> str:
    header = ScriptHeader(
        subject="the whole gateway", file="restore.sh", tool_version="1", environment="stage", commit="0a1b2c3d"
    )
    return restore_script(state, header, library=shell_library())


def run(shell: str, text: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "restore.sh"
    file.write_text(text)
    words = [shutil.which(SHELLS[shell][0]) or shell, *SHELLS[shell][1:], str(file)]
    variables = {"PATH": os.environ["PATH"], "KONG_ADMIN_URL": url}
    return subprocess.run(words, env=variables, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_a_wiped_gateway_is_the_same_again_by_ids_and_times(
    shell: str, server: LegacyKong, gateway: AnyKong, tmp_path: Path
) -> None:
    before = filled(server, gateway)
    assert len(before.of("apis")) > 40
    text = script(before)
    server.wipe()

    first = run(shell, text, server.url, tmp_path)
    after = gateway.dump()
    writes = len(server.requests)
    second = run(shell, text, server.url, tmp_path)

    assert first.returncode == 0, first.stderr
    assert len(first.stderr.splitlines()) == len(before.excluded) > 0
    assert replace(after, excluded=()) == replace(before, excluded=())
    assert (second.returncode, replace(gateway.dump(), excluded=())) == (0, replace(before, excluded=()))
    assert not any(request.startswith("POST") for request in server.requests[writes:])


hostile = st.one_of(
    st.sampled_from(
        ("'; touch /tmp/pwned; '", '"q" \\ b', "$(id)`id`", "a\nb\tc", "-v --help", "@/etc/passwd", "%25s", "日本")
    ),
    st.text(max_size=20),
)
api = st.fixed_dictionaries(
    {"uris": st.lists(hostile.map(lambda text: "/" + text), min_size=1, max_size=2)},
    optional={
        "hosts": st.lists(st.sampled_from(["a.example.com", "*.b.com"]), max_size=2),
        "methods": st.just(["GET", "PUT"]),
        "upstream_url": hostile.map(lambda text: "http://h/" + text),
        "strip_uri": st.booleans(),
        "retries": st.integers(0, 9),
        "created_at": st.integers(1_600_000_000_000, 1_700_000_000_000),
    },
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LegacyKong]:
    with legacy_kong(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.mark.parametrize("shell", sorted(SHELLS))
@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(apis=st.lists(api, max_size=4), message=hostile)
def test_whatever_a_gateway_took_comes_back(
    shell: str, shared: LegacyKong, apis: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    shared.wipe()
    for number, fields in enumerate(apis):
        # What it refuses could not be in a dump.
        shared.ask("POST", "/apis", {"name": f"a{number}", "upstream_url": "http://h", **fields})
    shared.ask("POST", "/plugins", {"name": "request-termination", "config": {"message": message}})
    gateway = opened_at(shared.lab.admin_url)
    before = gateway.dump()
    text = script(before)
    shared.wipe()

    first = run(shell, text, shared.lab.admin_url, tmp_path)
    after = gateway.dump()
    second = run(shell, text, shared.lab.admin_url, tmp_path)
    again = gateway.dump()
    gateway.close()

    assert (first.returncode, first.stderr) == (0, "")
    assert (after, second.returncode, again) == (before, 0, before)


def test_a_script_stops_at_the_api_that_the_gateway_refuses(
    server: LegacyKong, gateway: AnyKong, tmp_path: Path
) -> None:
    server.add("apis", name="a", uris=["/a"], upstream_url="http://h")
    server.add("apis", name="b", uris=["/b"], upstream_url="http://h")
    text = script(gateway.dump())
    server.wipe()
    server.add("apis", name="b", uris=["/other"], upstream_url="http://h")

    done = run("dash", text, server.url, tmp_path)

    assert done.returncode == 1
    assert "apis b could not be restored" in done.stderr
    assert "already exists with value 'b'" in done.stderr
    assert "1 before it are restored" in done.stderr


def test_a_script_for_apis_says_so_to_a_kong_that_has_none(
    server: LegacyKong, gateway: AnyKong, replay: Replay, tmp_path: Path
) -> None:
    make(gateway, WANTED)
    replay.answers["GET /"] = Answer(body=b'{"version":"2.8.5"}')

    done = run("dash", script(gateway.dump()), replay.url, tmp_path)

    assert done.returncode == 1
    assert "has no /apis" in done.stderr
    assert "from 0.10 to 0.14" in done.stderr


def test_the_artifacts_of_a_service_hold_its_api_and_a_deck_file_for_a_newer_kong(
    server: LegacyKong, gateway: AnyKong
) -> None:
    state = filled(server, gateway)
    origin = Origin(tool_version="1", environment="stage", commit="0a1b2c3d", version="0a1b2c3d")

    single, whole, deck = restore_files(state, "cities", origin, library=shell_library())

    assert "1 apis, 1 plugins" in single.text
    assert f"{len(state.of('apis'))} apis, 2 plugins" in whole.text
    services = {service["name"]: service for service in yaml.safe_load(deck.text)["services"]}
    assert services["cities"]["host"] == "proxy.cities-master-0a1b2c3d"
    assert services["cities"]["routes"][0]["paths"] == ["/ws/cities"]
    assert services["cities"]["routes"][0]["strip_path"] is False


def test_a_plugin_that_holds_a_secret_is_in_no_script(server: LegacyKong, gateway: AnyKong) -> None:
    make(gateway, WANTED)
    server.add("plugins", name="rate-limiting", config={"second": 1, "redis_password": "s3cret"})

    state = gateway.dump()

    assert "s3cret" not in script(state)
    assert "KONG_SECRET_PLUGIN" in script(state)


def test_writing_steps_are_all_there_is_without_plugins(gateway: AnyKong) -> None:
    steps = gateway.plan(WANTED)

    assert writing(steps) == steps


def test_a_step_that_is_refused_puts_back_those_before_it(server: LegacyKong, gateway: AnyKong) -> None:
    wrong = WantedPlugin(name="rate-limiting", config={"minute": 10, "hour": 5})

    with pytest.raises(GatewayAnswered, match=r"plugins rate-limiting could not be written.* put back as before: apis"):
        make(gateway, replace(WANTED, plugins=(wrong,)))

    assert (server.all("apis"), server.all("plugins")) == ([], [])
