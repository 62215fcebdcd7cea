"""rancher-compose.yml and what of a compose file Rancher takes; what it would ignore is an error with its place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline.errors import BadInput
from pipeline.model.compose import parse_compose
from pipeline.model.definition import define
from pipeline.model.manifest import Manifest, parse_manifest
from pipeline.model.rancher_compose import Files, for_rancher, parse_rancher
from pipeline.model.stack import Definition, RancherHealth, RancherPart

FILES = Files(compose="cities/docker-compose.yml", rancher="cities/rancher-compose.yml")


def lookup(name: str, _: bool) -> str | None:
    return {"PORT": "8080"}.get(name)


def parse(text: str) -> Any:
    return parse_rancher(text.encode(), file=FILES.rancher, lookup=lookup)


def manifest(**part: object) -> Manifest:
    part = {"upstream": {"service": "app", "port": 8000}} | part
    text = msgspec.json.encode({"uri": "/ws/cities", "pipeline": part})
    return parse_manifest(text, file="config/package.json", default_name="cities")


def on_rancher(
    compose: str, rancher: str = "{}", *, scales: dict[str, int] | None = None, **part: object
) -> dict[str, Any]:
    of = manifest(**part)
    file = parse_compose(f"services: {compose}".encode(), file=FILES.compose, lookup=lookup)
    definition: Definition = define(of, file, scales or {}, {}, {})
    made = for_rancher(of, definition, parse(rancher), FILES)
    return {service.name: service for service in made.services}


def refusal(compose: str, rancher: str = "{}", **part: Any) -> str:
    with pytest.raises(BadInput) as refused:
        on_rancher(compose, rancher, **part)
    assert refused.value.hint
    return refused.value.what


def test_health_and_upgrade_strategy_and_the_rest_are_read() -> None:
    text = """
version: '2'
services:
  app:
    scale: 2
    start_on_create: true
    retain_ip: false
    drain_timeout_ms: 500
    milli_cpu_reservation: 100
    metadata: {team: a, limits: {rate: 5}}
    health_check: {port: "${PORT}", request_line: GET "/" "HTTP/1.0", interval: 2000, unhealthy_threshold: 5,
                   strategy: recreateOnQuorum, recreate_on_quorum_strategy_config: {quorum: 2}}
    upgrade_strategy: {batch_size: 2, interval_millis: 500, start_first: false}
"""
    assert parse(text) == {
        "app": RancherPart(
            health=RancherHealth(
                port=8080,
                request_line='GET "/" "HTTP/1.0"',
                interval=2000,
                unhealthy_threshold=5,
                strategy="recreateOnQuorum",
                quorum=2,
            ),
            batch_size=2,
            interval_millis=500,
            start_first=False,
            metadata={"team": "a", "limits": {"rate": 5}},
            drain_timeout_ms=500,
            milli_cpu_reservation=100,
        )
    }


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{lb_config: {}}", "services.app.lb_config is not supported here"),
        ("{scale_policy: {min: 1}}", "services.app.scale_policy is not supported here"),
        ("{start_on_create: false}", "services.app.start_on_create is false"),
        ("{health_check: {interval: 5}}", "services.app.health_check has no port"),
        ("{health_check: {port: 80, path: /}}", "services.app.health_check.path is not supported here"),
        ("{health_check: {port: 80, strategy: restart}}", "has the strategy 'restart'"),
        ("{health_check: {port: 80, strategy: recreateOnQuorum}}", "has the strategy 'recreateOnQuorum'"),
        ("{upgrade_strategy: {interval_millis: 99}}", "has batch_size 1, interval_millis 99"),
        ("{upgrade_strategy: {batch_size: 0}}", "has batch_size 0"),
        ("{upgrade_strategy: {batchSize: 1}}", "services.app.upgrade_strategy.batchSize is not supported here"),
        ("[]", "services.app should be a mapping"),
        ("{metadata: text}", "services.app.metadata should be a mapping"),
        (f"{{metadata: {{a: {'x' * (1 << 20)}}}}}", "services.app.metadata is longer than 1 MiB"),
    ],
)
def test_what_the_server_would_ignore_or_refuse_is_told_with_file_service_and_key(body: str, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(f"services: {{app: {body}}}")

    assert refused.value.what.startswith(FILES.rancher)
    assert told in refused.value.what
    assert refused.value.hint


def test_a_key_of_the_file_itself_that_is_not_known_is_told() -> None:
    with pytest.raises(BadInput, match="catalog is not supported here"):
        parse("catalog: {}")


def test_the_manifests_health_is_asked_over_the_network() -> None:
    services = on_rancher("{app: {image: a}, b: {image: b}}", health={"path": "/health", "interval": 1, "retries": 90})

    health = services["app"].rancher.health
    assert (health.port, health.request_line) == (8000, 'GET "/health" "HTTP/1.0"')
    assert (health.interval, health.initializing_timeout) == (1000, 90_000)
    assert services["app"].health is None
    assert services["b"].rancher.health is None


def test_ranchers_own_health_check_wins_over_the_manifests() -> None:
    services = on_rancher("{app: {image: a}}", "services: {app: {health_check: {port: 1}}}", health={"path": "/health"})

    assert services["app"].rancher.health == RancherHealth(port=1)


def test_a_health_check_by_command_needs_one_that_rancher_can_ask() -> None:
    compose = "{app: {image: a, healthcheck: {test: [CMD, 'true']}}}"

    assert (
        refusal(compose)
        == f"{FILES.compose}: services.app.healthcheck has no effect on Rancher, which asks over the network"
    )
    assert on_rancher(compose, "services: {app: {health_check: {port: 80}}}")["app"].rancher.health.port == 80


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{image: a, restart: "no"}', "services.app.restart is 'no', and Rancher keeps every container up"),
        ("{image: a, restart: on-failure}", "services.app.restart is 'on-failure'"),
        ('{image: a, labels: {io.rancher.scheduler.global: "true"}}', "makes a container on every host"),
        ("{image: a, labels: {io.rancher.sidekicks: none}}", "labels.io.rancher.sidekicks names 'none'"),
        ("{image: a, labels: {io.rancher.sidekicks: app}}", "labels.io.rancher.sidekicks names 'app'"),
    ],
)
def test_what_a_compose_file_says_and_rancher_would_not_do_is_told(body: str, told: str) -> None:
    assert told in refusal(f"{{app: {body}}}")


@pytest.mark.parametrize("name", ["a_b", "a--b"])
def test_a_name_that_the_server_refuses_is_told_before_it_is_sent(name: str) -> None:
    assert refusal(f"{{app: {{image: a}}, {name}: {{image: b}}}}").startswith(
        f"{FILES.compose}: services.{name}: Rancher takes no service of this name"
    )


def test_a_sidekick_goes_with_the_containers_of_its_primary() -> None:
    compose = "{app: {image: a, labels: {io.rancher.sidekicks: 'b, c'}}, b: {image: b}, c: {image: c}}"

    services = on_rancher(compose, scales={"app": 3})

    assert [(services[name].scale, services[name].rancher.sidekick_of) for name in "bc"] == [(3, "app"), (3, "app")]
    assert "it is a sidekick of app" in refusal(compose, scales={"app": 3, "b": 2})


def test_sidekicks_have_one_primary_and_no_sidekicks() -> None:
    label = "labels: {io.rancher.sidekicks: %s}"
    two = f"{{app: {{image: a, {label % 'c'}}}, b: {{image: b, {label % 'c'}}}, c: {{image: c}}}}"
    nested = f"{{app: {{image: a, {label % 'b'}}}, b: {{image: b, {label % 'c'}}}, c: {{image: c}}}}"

    assert "a sidekick of app" in refusal(two)
    assert "is a sidekick itself" in refusal(nested)


@pytest.mark.parametrize(
    ("compose", "rancher", "first"),
    [
        ("{image: a}", "{}", True),
        ("{image: a}", "services: {app: {upgrade_strategy: {start_first: false}}}", False),
        ("{image: a, ports: ['80:80']}", "{}", False),
        ("{image: a}", "services: {app: {retain_ip: true}}", False),
    ],
)
def test_the_new_one_is_started_first_where_there_is_room_beside_the_old(
    compose: str, rancher: str, first: bool
) -> None:
    assert on_rancher(f"{{app: {compose}}}", rancher)["app"].rancher.start_first is first
