"""Compose files: every key is supported or refused by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.model.compose import SUPPORTED, ComposeFile, parse_builds, parse_compose, parse_scales
from pipeline.model.interpolate import secret_mark
from pipeline.model.manifest import ImageSource
from pipeline.model.stack import NO_HEALTH, HealthCheck, Mount, Port, StackService

FILE = "services/cities/docker-compose.yml"
VARIABLES = {"SET": "value", "EMPTY": "", "PORT": "8080", "READ_ONLY": "true"}


def lookup(name: str, optional: bool) -> str | None:
    if name == "SECRET":
        return secret_mark(name)
    if name == "UNSET_SECRET":
        return None if optional else secret_mark(name)
    return VARIABLES.get(name)


def parse(text: str) -> ComposeFile:
    return parse_compose(text.encode(), file=FILE, lookup=lookup)


def service(lines: str, volumes: str = "") -> StackService:
    """A file with one service that has these lines."""
    body = "\n".join(f"    {line}" for line in lines.strip("\n").split("\n"))
    return parse(f"version: '2'\nservices:\n  app:\n    image: app:1\n{body}\n{volumes}").services[0]


def refusal(lines: str) -> BadInput:
    with pytest.raises(BadInput) as refused:
        service(lines)
    assert refused.value.what.startswith(FILE)
    assert refused.value.hint
    return refused.value


@pytest.mark.parametrize(
    ("lines", "field", "wanted"),
    [
        ("command: run 'two words' \"$SET\"", "command", ("run", "two words", "value")),
        ("command: [run, two words]", "command", ("run", "two words")),
        ("command: []", "command", ()),
        ("entrypoint: sh -c", "entrypoint", ("sh", "-c")),
        (
            "environment: {A: x, B: '', C: 5, D: true, E: 1.10, F: no, G: 010, H: 2024-01-01}",
            "environment",
            {"A": "x", "B": "", "C": "5", "D": "true", "E": "1.10", "F": "no", "G": "010", "H": "2024-01-01"},
        ),
        (
            "environment: [A=x, B=, C=a=b, 'D=${EMPTY:-$SET}']",
            "environment",
            {"A": "x", "B": "", "C": "a=b", "D": "value"},
        ),
        ("environment: [SET, EMPTY, NOWHERE]", "environment", {"SET": "value", "EMPTY": ""}),
        ("environment: {SET: , NOWHERE: , EMPTY: ~}", "environment", {"SET": "value", "EMPTY": ""}),
        ("environment: {MY-NAME: x, OTHER-NAME: }", "environment", {"MY-NAME": "x"}),
        ("environment: ['${SET}=x']", "environment", {"value": "x"}),
        ("environment: {A: '$$SET'}", "environment", {"A": "$SET"}),
        ("ports: [80]", "ports", (Port(container=80),)),
        ("ports: ['8080:80']", "ports", (Port(container=80, host=8080),)),
        ("ports: [22:22]", "ports", (Port(container=22, host=22),)),
        ("ports: ['${PORT}:80/udp']", "ports", (Port(container=80, host=8080, protocol="udp"),)),
        ("ports: ['127.0.0.1:8080:80']", "ports", (Port(container=80, host=8080, address="127.0.0.1"),)),
        ("ports: ['127.0.0.1::80']", "ports", (Port(container=80, address="127.0.0.1"),)),
        ("volumes: [/data]", "mounts", (Mount(target="/data"),)),
        ("volumes: ['/etc/x:/etc/x:ro']", "mounts", (Mount(source="/etc/x", target="/etc/x", read_only=True),)),
        ("labels: {a: b, c: 5}", "labels", {"a": "b", "c": "5"}),
        ("labels: [a=b, c]", "labels", {"a": "b", "c": ""}),
        ("labels: {pipeline.keep: true}", "labels", {"pipeline.keep": "true"}),
        ("restart: no", "restart", "no"),
        ("restart: on-failure:5", "restart", "on-failure:5"),
        ("user: 1000:1000", "user", "1000:1000"),
        ("user: 1000", "user", "1000"),
        ("working_dir: /srv", "working_dir", "/srv"),
        ("hostname: web", "hostname", "web"),
        ("stop_signal: SIGINT", "stop_signal", "SIGINT"),
        ("stop_grace_period: 1m30s", "stop_seconds", 90.0),
        ("stop_grace_period: 500ms", "stop_seconds", 0.5),
        ("stop_grace_period: 0", "stop_seconds", 0.0),
        ("privileged: true", "privileged", True),
        ("read_only: ${READ_ONLY}", "read_only", True),
        ("init: false", "init", False),
        ("tty: true", "tty", True),
        ("cap_add: [NET_ADMIN]", "cap_add", ("NET_ADMIN",)),
        ("cap_drop: [ALL]", "cap_drop", ("ALL",)),
        ("security_opt: [no-new-privileges]", "security_opt", ("no-new-privileges",)),
        ("devices: ['/dev/null:/dev/x:r']", "devices", ("/dev/null:/dev/x:r",)),
        ("tmpfs: /run", "tmpfs", ("/run",)),
        ("dns: [10.0.0.1]", "dns", ("10.0.0.1",)),
        ("extra_hosts: ['db:10.0.0.1']", "extra_hosts", ("db:10.0.0.1",)),
        ("extra_hosts: {db: 10.0.0.1}", "extra_hosts", ("db:10.0.0.1",)),
        ("sysctls: {net.core.somaxconn: 1024}", "sysctls", {"net.core.somaxconn": "1024"}),
        ("mem_limit: 64m", "mem_limit", 64 * 1024**2),
        ("mem_reservation: 1.5g", "mem_reservation", 1536 * 1024**2),
        ("shm_size: 1000", "shm_size", 1000),
        ("cpu_shares: 512", "cpu_shares", 512),
        ("cpuset: 0-3", "cpuset", "0-3"),
        ("logging: {driver: json-file, options: {max-size: 1m}}", "log_options", {"max-size": "1m"}),
        ("healthcheck: {test: curl x, interval: 1m}", "health", HealthCheck(test=("CMD-SHELL", "curl x"), interval=60)),
        ("healthcheck: {test: [CMD, 'true'], retries: 5}", "health", HealthCheck(test=("CMD", "true"), retries=5)),
        ("healthcheck: {disable: true}", "health", NO_HEALTH),
        ("healthcheck: {test: [NONE]}", "health", NO_HEALTH),
        ("expose: [80]", "ports", ()),
        ("x-anything: {at: all}", "ports", ()),
    ],
)
def test_a_key_is_read_in_each_of_its_spellings(lines: str, field: str, wanted: object) -> None:
    assert getattr(service(lines), field) == wanted


@pytest.mark.parametrize(
    "key",
    [
        "networks",
        "network_mode",
        "container_name",
        "links",
        "env_file",
        "volumes_from",
        "deploy",
        "ulimits",
        "scale",
        "external_links",
        "pid",
        "cpus",
        "secrets",
        "configs",
        "Ports",
        "domainname",
        "stdin_open",
        "extends",
    ],
)
def test_a_key_that_is_not_supported_is_named_with_file_and_service(key: str) -> None:
    found = refusal(f"{key}: []")

    assert found.what == f"{FILE}: services.app.{key} is not supported here"
    assert "Supported: build, cap_add" in found.hint


def test_the_documentation_names_every_supported_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "compose.md").read_text()

    assert [key for key in SUPPORTED if f"`{key}`" not in text] == []


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("ports: ['80-90']", "services.app.ports has '80-90'"),
        ("ports: ['127.0.0.1:80']", "services.app.ports has '127.0.0.1:80'"),
        ("ports: ['8080:80:90']", "services.app.ports has '8080:80:90'"),
        ("ports: ['0']", "services.app.ports has '0'"),
        ("ports: ['80:65536']", "has '80:65536'"),
        ("ports: [{target: 80}]", "should be a text"),
        ("ports: ['80/sctp']", "has '80/sctp'"),
        ("volumes: [./conf:/etc/conf]", "has './conf:/etc/conf'"),
        ("volumes: ['~/x:/x']", "has '~/x:/x'"),
        ("volumes: ['data:relative']", "has 'data:relative'"),
        ("volumes: ['/a:/b:z']", "has '/a:/b:z'"),
        ("volumes: ['data:/data']", "'data' is not under the top-level volumes"),
        ("restart: sometimes", "services.app.restart is 'sometimes'"),
        ("restart: false", "should be a text, not False"),
        ("privileged: 'yes'", "should be true or false"),
        ("privileged: 1", "should be true or false"),
        ("cpu_shares: ²", "should be a whole number"),
        ("cpu_shares: -1", "should be a whole number"),
        ("cpu_shares: true", "should be a whole number"),
        ("mem_limit: lots", "should be a size"),
        ("mem_limit: -1", "should be a size"),
        ("stop_grace_period: 10", "should be a duration"),
        ("stop_grace_period: s", "should be a duration"),
        ("stop_grace_period: ''", "should be a duration"),
        ("stop_grace_period: 1.2.3s", "should be a duration"),
        ("command: 'an \"open quote'", "No closing quotation"),
        ("command: {a: b}", "should be a list"),
        ("command:", "should be a list, not None"),
        ("user: [a]", "should be a text"),
        ("environment: text", "should be a mapping"),
        ("environment: {A: [1]}", "should be a text"),
        ("environment: [=x]", "has the name ''"),
        ("environment: {'A=B': x}", "has the name 'A=B'"),
        ('environment: {A: "\\0"}', "has a NUL"),
        ('environment: {"A\\0": x}', "has the name"),
        ('command: "a\\0SECRET\\0"', "has a NUL"),
        ("labels: {pipeline.stack: x}", "has 'pipeline.stack'"),
        ("healthcheck: {interval: 1s}", "has no test"),
        ("healthcheck: {test: [curl, x]}", "starts with 'curl'"),
        ("healthcheck: {test: x, disable: maybe}", "should be true or false"),
        ("healthcheck: {test: x, start: 1s}", "services.app.start is not supported"),
        ("healthcheck: none", "should be a mapping"),
        ("logging: {drver: x}", "services.app.logging.drver is not supported"),
        ("depends_on: [db]", "there is no service 'db'"),
        ("depends_on: [app]", "goes in a circle: app → app"),
        ("depends_on: {db: {condition: service_healthy}}", "the condition 'service_healthy' for db"),
        ("user: ${MISSING:?which one}", "services.app.user: ${MISSING} is required: which one"),
        ("user: a$", "starts no variable"),
        ("5: x", "should be a mapping of names"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(lines: str, words: str) -> None:
    assert words in refusal(lines).what


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file should be a mapping"),
        ("[]", "the file should be a mapping"),
        ("services: {}", "no services"),
        ("version: '2'", "services should be a mapping"),
        ("services: {app: }", "services.app should be a mapping"),
        ("version: '3.8'\nservices: {app: {image: a}}", "version '3.8' is not supported"),
        ("networks: {}\nservices: {app: {image: a}}", "networks is not supported"),
        ("services: {a b: {image: a}}", "'a b' cannot be a service's name"),
        ("services: {a.b: {image: a}}", "'a.b' cannot be a service's name"),
        ("services: {app: {image: a, image: b}}", "the key 'image' stands twice"),
        ("services: {app: {image: a}}\nservices: {}", "the key 'services' stands twice"),
        ("services: {app: {image: a}}\nvolumes: {data: {driver: nfs}}", "volumes.data has {'driver': 'nfs'}"),
        ("a: b: c", "is not YAML"),
        ("\tservices:", "is not YAML"),
        ("a: &a [*a]", "is not YAML"),
        ("a: !!python/object/apply:os.system [reboot]", "is not YAML"),
        ("--- {}\n--- {}", "is not YAML"),
        ("services: {app: {image: a}}\nversion: '\x07'", "is not YAML"),
        (
            "services: {a: {image: a, depends_on: [b]}, b: {image: b, depends_on: [c]}, c: {image: c, depends_on: [a]}}",
            "goes in a circle: a → b → c → a",
        ),
    ],
)
def test_a_file_that_is_no_compose_file_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text)

    assert refused.value.what.startswith(FILE)
    assert words in refused.value.what


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadInput, match="is not YAML"):
        parse_compose(b"services: \xff\xfe", file=FILE, lookup=lookup)
    with pytest.raises(BadInput, match=r"services.app.environment has bytes that are no UTF-8"):
        parse_compose(
            b"services: {app: {image: a, environment: [X]}}", file=FILE, lookup=lambda name, optional: "\udcff"
        )


def test_anchors_and_merges_are_followed_and_an_own_key_wins_over_a_merged_one() -> None:
    found = parse(
        """
        x-common: &common
          restart: always
          environment: &env {A: "1", B: "2"}
        services:
          app:
            <<: *common
            image: app
            restart: "no"
            environment: {<<: *env, B: "3"}
          worker: {<<: *common, image: worker}
        """
    )

    app, worker = found.services
    assert (app.restart, app.environment) == ("no", {"A": "1", "B": "3"})
    assert (worker.restart, worker.environment) == ("always", {"A": "1", "B": "2"})


def test_dependencies_come_first_and_the_rest_stays_in_the_files_order() -> None:
    found = parse(
        "services: {proxy: {image: p, depends_on: [app]}, cron: {image: c}, app: {image: a, depends_on: {db: }},"
        " db: {image: d}}".replace("{db: }", "{db: {condition: service_started}}")
    )

    assert [one.name for one in found.services] == ["db", "app", "proxy", "cron"]


def test_named_volumes_are_declared_and_sorted() -> None:
    found = parse("services: {app: {image: a, volumes: ['data:/data:ro']}}\nvolumes: {media: {}, data: }")

    assert found.volumes == ("data", "media")
    assert found.services[0].mounts == (Mount(source="data", target="/data", read_only=True),)


SECRET_PLACES = [
    "command: run $SECRET",
    "entrypoint: ['${SECRET}']",
    "labels: {a: 'x${SECRET}'}",
    "user: $SECRET",
    "ports: ['$SECRET']",
    "healthcheck: {test: curl $SECRET}",
    "logging: {options: {token: $SECRET}}",
    "build: {args: {TOKEN: $SECRET}}",
    "x-note: ${MISSING:-$SECRET}",
]


@pytest.mark.parametrize("lines", SECRET_PLACES)
def test_a_secret_stands_under_environment_and_nowhere_else(lines: str) -> None:
    found = refusal(lines)

    assert "holds the secret SECRET" in found.what
    assert "\0" not in found.what


def test_a_secret_is_no_build_arg() -> None:
    with pytest.raises(BadInput, match=r"services.app.build holds the secret SECRET"):
        parse_builds(b"services: {app: {build: {context: ., args: {A: $SECRET}}}}", file=FILE, lookup=lookup)


def test_a_secret_in_the_environment_stays_a_mark_and_an_unset_one_takes_its_default() -> None:
    text = "environment: {A: 'x$SECRET', B: '${UNSET_SECRET:-none}', C: $UNSET_SECRET, SECRET: }"

    found = service(text).environment

    mark = secret_mark("SECRET")
    assert found == {"A": f"x{mark}", "B": "none", "C": secret_mark("UNSET_SECRET"), "SECRET": mark}


def test_the_variables_of_environments_are_told_and_no_others() -> None:
    found = parse("services: {app: {image: $SET, environment: {A: '${EMPTY:-$PORT}${SET:-$SECRET}'}}}")

    assert found.variables == {"EMPTY", "PORT", "SET", "SECRET"}


def test_builds_are_read_without_looking_at_the_rest() -> None:
    text = b"""
    services:
      short: {build: ./web}
      long: {build: {context: app, dockerfile: Other, target: final, args: [A=$SET]}, networks: [unsupported]}
      bare: {environment: {A: "${MISSING:?only when it runs}"}}
      other: {image: nginx}
    """

    assert parse_builds(text, file=FILE, lookup=lookup) == {
        "short": ImageSource(context="./web"),
        "long": ImageSource(context="app", dockerfile="Other", target="final", args={"A": "value"}),
        "bare": None,
    }
    with pytest.raises(BadInput, match=r"services.app.build.cache_from is not supported"):
        parse_builds(b"services: {app: {build: {cache_from: []}}}", file=FILE, lookup=lookup)


def test_scales_are_read_from_ranchers_file_whose_other_keys_are_ranchers() -> None:
    text = b"version: '2'\nservices: {app: {scale: 2, health_check: {port: 80}}, proxy: {start_on_create: true}}"

    assert parse_scales(text, file="rancher-compose.yml") == {"app": 2}
    assert parse_scales(b"version: '2'", file="rancher-compose.yml") == {}
    with pytest.raises(BadInput, match=r"rancher-compose.yml: services.app.scale should be a whole number"):
        parse_scales(b"services: {app: {scale: many}}", file="rancher-compose.yml")
