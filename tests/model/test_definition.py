"""From manifest, compose file and images to what runs; digest and sameness."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from pipeline.errors import BadInput
from pipeline.model.compose import ComposeFile, parse_compose
from pipeline.model.definition import define, facts_unknown, make_stack, secrets_of
from pipeline.model.image import BuiltImage
from pipeline.model.interpolate import secret_mark
from pipeline.model.manifest import Manifest, parse_manifest
from pipeline.model.release import Checkout, Release, make_release
from pipeline.model.stack import Definition, HealthCheck, Stack

VALUE = "hunter2-hunter2"
COMPOSE = """
services:
  proxy: {image: nginx:1, depends_on: [app]}
  app: {build: ., environment: {MODE: "${MODE:-plain}", version: mine}, volumes: ["data:/data"]}
volumes: {data: }
"""


def manifest(**part: object) -> Manifest:
    text = msgspec.json.encode({"uri": "/ws/cities", "pipeline": part})
    return parse_manifest(text, file="config/package.json", default_name="cities")


def compose(
    text: str = COMPOSE, *, secrets: tuple[str, ...] = (), unset: bool = False, **variables: str
) -> ComposeFile:
    def lookup(name: str, optional: bool) -> str | None:
        if name in secrets:
            return None if unset and optional else secret_mark(name)
        return variables.get(name)

    return parse_compose(text.encode(), file="docker-compose.yml", lookup=lookup)


def release(commit: str = "0a1b2c3d" * 5, branch: str = "master", *, dirty: bool = False) -> Release:
    checkout = Checkout(commit=commit, branch=branch, dirty=dirty, subject="a subject", author="an author")
    return make_release(manifest(), checkout, "local")


def defined(
    of: Manifest | None = None,
    file: ComposeFile | None = None,
    *,
    scales: Mapping[str, int] | None = None,
    image: str = "sha256:1",
    facts: Mapping[str, str] | None = None,
) -> Definition:
    images = {"app": image}
    return define(of or manifest(), file or compose(), scales or {}, images, facts or release().facts)


def test_built_images_and_the_releases_facts_win_over_the_file() -> None:
    app, proxy = defined().services

    assert (app.name, app.image, proxy.image) == ("app", "sha256:1", "nginx:1")
    assert app.environment == {"MODE": "plain"} | dict(release().facts)
    assert proxy.environment == dict(release().facts)


def test_the_manifests_health_is_probed_on_the_upstream_service_alone() -> None:
    health = {"path": "/ws/cities/health", "interval": 1, "timeout": 3, "retries": 30}

    app, proxy = defined(manifest(health=health)).services

    assert app.health is None
    assert proxy.health is not None
    assert proxy.health.test[0] == "CMD-SHELL"
    assert "http://127.0.0.1:80/ws/cities/health" in proxy.health.test[1]
    assert (proxy.health.interval, proxy.health.timeout, proxy.health.retries) == (1, 3, 30)


def test_without_it_the_files_own_healthcheck_stays() -> None:
    file = compose("services: {proxy: {image: a, healthcheck: {test: x}}}")

    assert define(manifest(), file, {}, {}, {}).services[0].health == HealthCheck(test=("CMD-SHELL", "x"))


@pytest.mark.parametrize(
    ("part", "text", "words"),
    [
        ({"upstream": {"service": "web"}}, COMPOSE, "pipeline.upstream.service: 'web' is not in docker-compose.yml"),
        ({}, "services: {proxy: {image: a}}", "pipeline.images: 'app' is not in docker-compose.yml"),
        ({}, "services: {proxy: {user: x}, app: {build: .}}", "services.proxy has neither image nor build"),
    ],
)
def test_what_does_not_fit_together_is_refused(part: dict[str, object], text: str, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        defined(manifest(**part), compose(text))

    assert words in refused.value.what


def test_a_scale_of_what_is_not_there_or_cannot_be_is_refused() -> None:
    with pytest.raises(BadInput, match=r"rancher-compose.yml: services.cron is not in docker-compose.yml"):
        defined(scales={"cron": 1})
    with pytest.raises(BadInput, match=r"rancher-compose.yml: services.proxy.scale is 0"):
        defined(scales={"proxy": 0})
    with pytest.raises(BadInput, match=r"services.proxy.ports: 2 containers cannot share the port 8080"):
        define(manifest(), compose("services: {proxy: {image: a, ports: ['8080:80']}}"), {"proxy": 2}, {}, {})
    assert [one.scale for one in defined(scales={"app": 3}).services] == [3, 1]


def test_a_declared_secret_that_no_service_names_goes_to_all_of_them() -> None:
    definition = defined(manifest(secrets=["TOKEN"]), compose(secrets=("TOKEN",)))

    assert [one.environment["TOKEN"] for one in definition.services] == [secret_mark("TOKEN")] * 2
    assert secrets_of(definition) == ("TOKEN",)


def test_a_declared_secret_that_a_service_names_goes_to_that_one_only() -> None:
    text = COMPOSE.replace("${MODE:-plain}", "x$TOKEN")

    definition = defined(manifest(secrets=["TOKEN"]), compose(text, secrets=("TOKEN",)))

    assert ["TOKEN" in one.environment for one in definition.services] == [False, False]
    assert definition.services[0].environment["MODE"] == f"x{secret_mark('TOKEN')}"


def test_a_secret_with_a_default_is_optional() -> None:
    text = COMPOSE.replace("${MODE:-plain}", "${TOKEN:-none}")

    definition = defined(manifest(secrets=["TOKEN"]), compose(text, secrets=("TOKEN",), unset=True))

    assert secrets_of(definition) == ()
    assert definition.services[0].environment["MODE"] == "none"


def test_a_definition_is_written_down_with_names_of_secrets_only() -> None:
    text = COMPOSE.replace("${MODE:-plain}", "a$$b$TOKEN")

    written = defined(manifest(secrets=["TOKEN"]), compose(text, secrets=("TOKEN",))).text()

    assert "a$$b${TOKEN}" in written
    assert "u0000" not in written
    assert msgspec.json.decode(written, type=Definition).upstream_service == "proxy"


def test_a_text_that_only_looks_like_a_secret_has_another_digest() -> None:
    literal = defined(file=compose(COMPOSE.replace("${MODE:-plain}", "$${TOKEN}")))
    secret = defined(file=compose(COMPOSE.replace("${MODE:-plain}", "${TOKEN}"), secrets=("TOKEN",)))
    escaped = defined(file=compose(COMPOSE.replace('"${MODE:-plain}"', "'\\u0000TOKEN\\u0000'")))

    assert len({one.digest() for one in (literal, secret, escaped)}) == 3


def test_equal_definitions_have_equal_texts_whatever_the_order_of_the_file() -> None:
    one = compose("services: {proxy: {image: a, environment: {A: x, B: y}, labels: {c: d, e: f}}}")
    other = compose("services: {proxy: {labels: {e: f, c: d}, environment: [B=y, A=x], image: a}}")

    assert define(manifest(), one, {}, {}, {}).text() == define(manifest(), other, {}, {}, {}).text()


def test_sameness_is_the_same_for_every_commit_and_branch_and_the_digest_is_not() -> None:
    text = COMPOSE.replace("${MODE:-plain}", "$version/$branch/$stack")
    releases = [release(), release("f" * 40), release(branch="other"), release(dirty=True)]

    digests = {defined(file=compose(text, **one.facts), facts=one.facts).digest() for one in releases}
    sameness = {defined(file=compose(text, **facts_unknown()), facts=facts_unknown()).digest() for _ in releases}

    assert len(digests) == 4
    assert len(sameness) == 1


CHANGES = {
    "image": {"image": "sha256:2"},
    "scale": {"scales": {"app": 2}},
    "health": {"of": manifest(health={"path": "/h"})},
    "health timing": {"of": manifest(health={"path": "/h", "retries": 3})},
    "upstream port": {"of": manifest(upstream={"port": 8080})},
    "secret": {"of": manifest(secrets=["TOKEN"])},
    "environment": {"file": compose(MODE="other")},
    "environment name": {"file": compose(COMPOSE.replace("MODE:", "OTHER:"))},
    "other image": {"file": compose(COMPOSE.replace("nginx:1", "nginx:2"))},
    "volume": {"file": compose(COMPOSE.replace("/data", "/var"))},
    **{
        line: {"file": compose(COMPOSE.replace("{image: nginx:1,", f"{{image: nginx:1, {line},"))}
        for line in (
            "command: x",
            "command: []",
            "entrypoint: x",
            "labels: {a: b}",
            "restart: always",
            "user: nobody",
            "ports: [80]",
            "mem_limit: 1g",
            "stop_grace_period: 0",
            "healthcheck: {disable: true}",
            "read_only: true",
            "tmpfs: /run",
        )
    },
}


def test_every_change_of_what_runs_changes_sameness() -> None:
    digests = {name: defined(**change, facts=facts_unknown()).digest() for name, change in CHANGES.items()}  # type: ignore[arg-type]

    assert defined(facts=facts_unknown()).digest() not in digests.values()
    assert len(set(digests.values())) == len(CHANGES)


def stack_with_secret() -> Stack:
    text = COMPOSE.replace("${MODE:-plain}", "$TOKEN")
    definition = defined(manifest(secrets=["TOKEN"]), compose(text, secrets=("TOKEN",), TOKEN=VALUE))
    image = BuiltImage(compose_service="app", reference="cities:x", id="sha256:1", fingerprint="f" * 64)
    return make_stack(release(), definition, sameness="s", images=(image,), actor="me")


def test_a_stack_says_whose_it_is_and_what_it_is_made_from() -> None:
    stack = stack_with_secret()

    assert stack.name == "cities-master-0a1b2c3d"
    assert stack.labels == {
        "pipeline.service": "cities",
        "pipeline.environment": "local",
        "pipeline.stack": "cities-master-0a1b2c3d",
        "pipeline.branch": "master",
        "pipeline.commit": "0a1b2c3d" * 5,
        "pipeline.version": "0a1b2c3d",
        "pipeline.subject": "a subject",
        "pipeline.author": "an author",
        "pipeline.actor": "me",
        "pipeline.definition": stack.definition.digest(),
        "pipeline.sameness": "s",
        "pipeline.fingerprint.app": "f" * 64,
    }


def test_a_secrets_value_is_nowhere_in_a_stack() -> None:
    stack = stack_with_secret()

    assert VALUE not in repr(stack) + stack.definition.text() + repr(stack.labels) + repr(stack.definition)
