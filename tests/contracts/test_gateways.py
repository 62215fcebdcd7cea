"""The contract of every gateway driver (gateways.base.Gateway), on memory and on a Kong's Admin API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.errors import GatewayAnswered, Refused
from pipeline.gateways.base import Gateway
from pipeline.gateways.kong.any_kong import AnyKong
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.gateways.memory import MemoryGateway
from pipeline.lab.gateway.running import running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.plan import Verb, kept, writing
from pipeline.model.route import Owner, Route, WantedPlugin, owner_tags, same_upstream

AddForeign = Callable[[str, str, str, tuple[str, ...]], None]


@dataclass(frozen=True)
class Driven:
    """A gateway by its driver, and ways to put something into it behind the driver's back. Where there are no tags,
    entities are ours by name, and say nothing of an environment."""

    gateway: Gateway
    add_foreign: AddForeign
    add_plugin: Callable[[str, str, dict[str, object]], None]
    kinds: tuple[str, ...] = ("routes", "services")
    tags: bool = True


@contextmanager
def memory(folder: Path) -> Iterator[Driven]:
    gateway = MemoryGateway()
    yield Driven(gateway, gateway.add_foreign, gateway.add_foreign_plugin)


@contextmanager
def kong(folder: Path) -> Iterator[Driven]:
    with running_gateway(state=folder / "gateway") as lab:
        gateway = KongGateway(GatewayAddress(admin=lab.admin_url), clock=SystemClock())
        yield driven_kong(gateway, lab.admin_url)
        gateway.close()


@contextmanager
def any_kong(folder: Path) -> Iterator[Driven]:
    with running_gateway(state=folder / "gateway", version="3.4") as lab:
        gateway = AnyKong(GatewayAddress(admin=lab.admin_url), clock=SystemClock(), environment="local")
        yield driven_kong(gateway, lab.admin_url)
        gateway.close()


def driven_kong(gateway: Gateway, url: str) -> Driven:
    def add_foreign(name: str, path: str, upstream: str, tags: tuple[str, ...]) -> None:
        send(url, "PUT", f"/services/{name}", {"url": upstream, "tags": list(tags)})
        send(url, "PUT", f"/services/{name}/routes/{name}", {"paths": [path], "tags": list(tags)})

    def add_plugin(service: str, name: str, config: dict[str, object]) -> None:
        send(url, "POST", f"/services/{service}/plugins", {"name": name, "config": config})

    return Driven(gateway, add_foreign, add_plugin)


@contextmanager
def apis(folder: Path) -> Iterator[Driven]:
    with running_gateway(state=folder / "gateway", version="0.14") as lab:
        gateway = AnyKong(GatewayAddress(admin=lab.admin_url), clock=SystemClock(), environment="local")

        def add_foreign(name: str, path: str, upstream: str, tags: tuple[str, ...]) -> None:
            send(lab.admin_url, "POST", "/apis", {"name": name, "uris": [path], "upstream_url": upstream})

        def add_plugin(service: str, name: str, config: dict[str, object]) -> None:
            send(lab.admin_url, "POST", f"/apis/{service}/plugins", {"name": name, "config": config})

        yield Driven(gateway, add_foreign, add_plugin, kinds=("apis",), tags=False)
        gateway.close()


def send(url: str, method: str, path: str, body: object = None) -> None:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status < 300, text


@pytest.fixture(params=[memory, kong, any_kong, apis], ids=["memory", "kong-2.8", "kong-3.4", "kong-0.14"])
def driven(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Driven]:
    with request.param(tmp_path) as opened:
        yield opened


@pytest.fixture
def gateway(driven: Driven) -> Gateway:
    return driven.gateway


def wanted(stack: str = "cities-master-0a1b2c3d", **fields: object) -> Route:
    route = Route(
        service="cities", environment="local", stack=stack, uri="/ws/cities", upstream=f"http://proxy.{stack}:80"
    )
    return replace(route, **fields)  # type: ignore[arg-type]  # the fields of Route


def make(gateway: Gateway, route: Route) -> None:
    gateway.apply(gateway.plan(route))


def test_an_empty_gateway_has_no_routes_and_is_nobodys(gateway: Gateway) -> None:
    assert gateway.routes() == ()
    assert gateway.dump().entities == ()
    assert gateway.identity().environments == ()
    assert gateway.identity().version


def test_a_plan_writes_nothing(gateway: Gateway) -> None:
    changes = gateway.plan(wanted())

    assert {change.verb for change in changes} == {Verb.CREATE}
    assert gateway.routes() == ()


def test_a_route_that_was_applied_is_there_as_wanted(gateway: Gateway) -> None:
    route = wanted(
        hosts=("api.example.com", "*.example.com"), methods=("GET", "PUT"), strip_uri=True, preserve_host=True
    )

    make(gateway, route)

    (found,) = gateway.routes()
    assert (found.name, found.paths) == ("cities", ("/ws/cities",))
    assert (found.hosts, found.methods) == (route.hosts, route.methods)
    assert (found.strip_uri, found.preserve_host) == (True, True)
    assert same_upstream(found.upstream, route.upstream)
    assert found.owner == Owner(environment="local", service="cities", stack="cities-master-0a1b2c3d")


def test_a_gateway_with_tags_says_which_environment_it_carries(driven: Driven) -> None:
    make(driven.gateway, wanted())

    assert driven.gateway.identity().environments == (("local",) if driven.tags else ())


def test_nothing_differs_from_what_was_applied(gateway: Gateway) -> None:
    for route in (wanted(), wanted(hosts=("a.example.com",), methods=("PUT", "GET")), wanted(hosts=(), methods=())):
        make(gateway, route)

        assert gateway.plan(route) == ()


def test_a_new_stack_is_one_change_and_the_last(gateway: Gateway) -> None:
    make(gateway, wanted("cities-master-11111111"))

    only = gateway.plan(wanted("cities-master-22222222"))
    several = gateway.plan(wanted("cities-master-22222222", uri="/ws/towns"))
    gateway.apply(only)

    assert len(only) == 1
    assert several[-1].after.items() >= only[0].after.items()
    (found,) = gateway.routes()
    assert same_upstream(found.upstream, "http://proxy.cities-master-22222222")
    assert found.owner.stack == "cities-master-22222222"


@pytest.mark.parametrize(
    "fields",
    [
        {"uri": "/ws/towns"},
        {"hosts": ("a.example.com",)},
        {"methods": ("GET",)},
        {"strip_uri": True},
        {"preserve_host": True},
        {"upstream": "https://elsewhere.example.com:8443"},
        {"stack": "cities-master-33333333"},
    ],
)
def test_each_field_makes_one_change_and_back(fields: dict[str, object], driven: Driven) -> None:
    gateway = driven.gateway
    if not driven.tags and "stack" in fields:
        # Nothing but the upstream says there which stack it is.
        fields = {"stack": "cities-master-33333333", "upstream": "http://proxy.cities-master-33333333"}
    make(gateway, wanted())
    before = gateway.dump()

    changes = gateway.plan(wanted(**fields))
    gateway.apply(changes)

    assert [change.verb for change in changes] == [Verb.UPDATE]
    assert gateway.plan(wanted(**fields)) == ()
    make(gateway, wanted())
    assert gateway.dump() == before


def test_reverting_an_update_gives_the_state_before_however_often(gateway: Gateway) -> None:
    make(gateway, wanted())
    before = gateway.dump()
    changes = gateway.plan(wanted("cities-master-22222222", hosts=("a.example.com",), strip_uri=True))
    gateway.apply(changes)

    for _ in range(2):
        gateway.revert(changes)

        assert gateway.dump() == before


def test_reverting_a_creation_leaves_nothing_however_often(gateway: Gateway) -> None:
    changes = gateway.plan(wanted())
    gateway.apply(changes)

    for _ in range(2):
        gateway.revert(changes)

        assert gateway.dump().entities == ()


def test_reverting_what_was_never_applied_changes_nothing(gateway: Gateway) -> None:
    make(gateway, wanted())
    before = gateway.dump()

    gateway.revert(gateway.plan(wanted("cities-master-22222222")))

    assert gateway.dump() == before


def test_applying_twice_is_as_applying_once(gateway: Gateway) -> None:
    make(gateway, wanted())
    changes = gateway.plan(wanted("cities-master-22222222", strip_uri=True))
    gateway.apply(changes)
    once = gateway.dump()

    gateway.apply(changes)

    assert gateway.dump() == once


def test_other_services_are_left_alone(gateway: Gateway) -> None:
    make(gateway, wanted(service="towns", uri="/ws/towns"))
    (towns,) = gateway.routes()

    make(gateway, wanted())
    make(gateway, wanted("cities-master-22222222"))

    assert [route.name for route in gateway.routes()] == ["cities", "towns"]
    assert gateway.routes()[1] == towns


def test_what_others_made_is_listed_as_theirs(driven: Driven) -> None:
    driven.add_foreign("legacy", "/old", "http://old.example.com:8080", ())
    driven.add_foreign(
        "theirs", "/x", "http://x.example.com", owner_tags(wanted(service="theirs", environment="stage"))
    )

    legacy, theirs = driven.gateway.routes()

    assert (legacy.name, legacy.paths, legacy.upstream) == ("legacy", ("/old",), "http://old.example.com:8080")
    assert not legacy.owner.ours
    if driven.tags:
        assert (theirs.owner.service, theirs.owner.environment) == ("theirs", "stage")
        assert driven.gateway.identity().environments == ("stage",)
    else:
        assert not theirs.owner.ours


@pytest.mark.parametrize("tags", [(), owner_tags(wanted(environment="stage")), owner_tags(wanted(service="towns"))])
def test_a_name_that_someone_else_has_is_refused(tags: tuple[str, ...], driven: Driven) -> None:
    driven.add_foreign("cities", "/elsewhere", "http://old.example.com", tags)

    with pytest.raises(Refused, match="'cities' belongs to"):
        driven.gateway.plan(wanted())


def test_a_dump_is_sorted_and_the_same_each_time(driven: Driven) -> None:
    for name in ("b", "c", "a"):
        driven.add_foreign(name, f"/{name}", "http://old.example.com", ())

    first, second = driven.gateway.dump(), driven.gateway.dump()

    assert first == second
    assert [(entity.kind, entity.name) for entity in first.entities] == [
        (kind, name) for kind in driven.kinds for name in "abc"
    ]
    assert all(entity.id and entity.created_at for entity in first.entities)
    assert not {"id", "created_at", "updated_at"} & {key for entity in first.entities for key in entity.body}


LIMIT = WantedPlugin(name="rate-limiting", config={"minute": 5, "policy": "local"})
KEYS = WantedPlugin(name="key-auth", config={"key_names": ["x-key"]})


def test_the_plugins_of_a_manifest_are_set_before_the_first_request(gateway: Gateway) -> None:
    changes = gateway.plan(wanted(plugins=(LIMIT, KEYS)))
    gateway.apply(changes)

    assert [change.kind for change in changes].index("plugins") < len(changes) - 1
    assert changes[-1].kind != "plugins"
    assert gateway.plan(wanted(plugins=(LIMIT, KEYS))) == ()


def test_a_plugins_configuration_is_changed_and_put_back(gateway: Gateway) -> None:
    make(gateway, wanted(plugins=(LIMIT,)))
    before = gateway.dump()

    changes = gateway.plan(wanted(plugins=(replace(LIMIT, config={"minute": 7}),)))
    gateway.apply(changes)

    assert [(change.verb, change.kind) for change in changes] == [(Verb.UPDATE, "plugins")]
    assert gateway.plan(wanted(plugins=(replace(LIMIT, config={"minute": 7}),))) == ()
    gateway.revert(changes)
    assert gateway.dump() == before


def test_a_plugin_that_the_manifest_no_longer_names_goes_and_comes_back(gateway: Gateway) -> None:
    make(gateway, wanted(plugins=(LIMIT, KEYS)))
    before = gateway.dump()

    changes = gateway.plan(wanted(plugins=(KEYS,)))
    gateway.apply(changes)

    assert [(change.verb, change.kind) for change in changes] == [(Verb.DELETE, "plugins")]
    assert gateway.plan(wanted(plugins=(KEYS,))) == ()
    for _ in range(2):
        gateway.revert(changes)
        assert gateway.dump() == before
        assert gateway.plan(wanted(plugins=(LIMIT, KEYS))) == ()


def test_a_plugin_that_someone_added_by_hand_survives_and_is_named(driven: Driven) -> None:
    make(driven.gateway, wanted(plugins=(LIMIT,)))
    driven.add_plugin("cities", "key-auth", {"key_names": ["by-hand"]})

    for route in (wanted(plugins=(LIMIT,)), wanted("cities-master-22222222"), wanted("cities-master-22222222")):
        steps = driven.gateway.plan(route)
        driven.gateway.apply(steps)

        (by_hand,) = kept(steps)
        assert "key-auth" in by_hand.key
        assert "added by hand" in by_hand.reason
    assert writing(driven.gateway.plan(wanted("cities-master-22222222"))) == ()


def test_a_plugin_by_hand_that_contradicts_the_manifest_is_refused(driven: Driven) -> None:
    make(driven.gateway, wanted())
    driven.add_plugin("cities", "key-auth", {"key_names": ["by-hand"]})

    with pytest.raises(Refused, match=r"'key-auth'.* was added by hand"):
        driven.gateway.plan(wanted(plugins=(KEYS,)))


def test_a_plugin_by_hand_that_is_as_the_manifest_wants_it_is_taken(driven: Driven) -> None:
    make(driven.gateway, wanted())
    driven.add_plugin("cities", "key-auth", {"key_names": ["x-key"]})

    make(driven.gateway, wanted(plugins=(KEYS,)))

    assert writing(driven.gateway.plan(wanted(plugins=(KEYS,)))) == ()


def test_a_refused_plugin_leaves_nothing_behind(driven: Driven) -> None:
    if isinstance(driven.gateway, MemoryGateway):
        pytest.skip("only a gateway with schemas refuses a plugin")

    with pytest.raises(GatewayAnswered, match="plugins nope could not be written"):
        make(driven.gateway, wanted(plugins=(WantedPlugin(name="nope", config={}),)))

    assert driven.gateway.dump().entities == ()
