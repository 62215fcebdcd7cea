"""A gateway that was wiped is the same again after its restore script, by real curl and three shells."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.edge.clock import SystemClock
from pipeline.edge.library import shell_library
from pipeline.errors import GatewayAnswered
from pipeline.flows.dump import Origin, dump, restore_files
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.lab.gateway.running import running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.deck import deck_file
from pipeline.model.restore_script import ScriptHeader, restore_script
from pipeline.model.route import GatewayState, Route

SHELLS = {"bash": ("bash", "--posix"), "busybox": ("busybox", "sh"), "dash": ("dash",)}
HOSTILE = (
    "'; touch /tmp/pwned; '",
    '"quoted" \\ back',
    "$(id)`id`",
    "a\nb\tc",
    "-v --help",
    "@/etc/passwd",
    "%s %n",
    "Düsseldorf 日本 🚀",
    "${{ env }}",
    "x" * 4096,
)
hostile = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
name = st.text(alphabet="abc.-_~é日", min_size=1, max_size=12).map(lambda text: f"s{text}")
service = st.fixed_dictionaries(
    {"host": st.sampled_from(["proxy.cities-x", "10.0.0.1"]), "port": st.integers(0, 65535)},
    optional={
        "path": st.sampled_from(["/", "/a%20b", "/it's", "/$(x)"]),
        "retries": st.none() | st.integers(0, 9),
        "protocol": st.sampled_from(["http", "https"]),
        "tags": st.lists(hostile, max_size=3),
        "enabled": st.booleans(),
        "read_timeout": st.integers(1, 2**31 - 2),
    },
)
route = st.fixed_dictionaries(
    {"paths": st.lists(hostile.map(lambda text: "/" + text), min_size=1, max_size=3)},
    optional={
        "headers": st.dictionaries(
            st.sampled_from(["x-a", "X-B"]), st.lists(hostile, min_size=1, max_size=2), max_size=2
        ),
        "hosts": st.lists(st.sampled_from(["a.example.com", "*.b.com"]), max_size=2),
        "methods": st.none() | st.just(["GET", "PUT"]),
        "strip_path": st.booleans(),
        "regex_priority": st.integers(-5, 5),
        "tags": st.lists(hostile, max_size=3),
    },
)


@dataclass(frozen=True)
class Open:
    """A lab gateway, its driver and a folder for scripts."""

    url: str
    gateway: KongGateway
    folder: Path

    def put(self, *words: str, fields: dict[str, object]) -> None:
        """What the gateway refuses (a tag with a slash) is left out: it could not be in a dump."""
        with contextlib.suppress(GatewayAnswered):
            self.gateway._admin.write("PUT", words, fields)

    def wipe(self) -> None:
        for kind in ("routes", "services"):
            for entity in dump(self.gateway).of(kind):
                self.gateway._admin.write("DELETE", (kind, entity.id))

    def run(self, shell: str, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        file = self.folder / "restore.sh"
        file.write_text(script)
        words = [shutil.which(SHELLS[shell][0]) or shell, *SHELLS[shell][1:], str(file)]
        given_variables = {"PATH": os.environ["PATH"], "KONG_ADMIN_URL": self.url, "http_proxy": "http://127.0.0.1:9"}
        return subprocess.run(words, env=given_variables | variables, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    folder = tmp_path_factory.mktemp("restore")
    with running_gateway(state=folder / "gateway") as lab:
        gateway = KongGateway(GatewayAddress(admin=lab.admin_url), clock=SystemClock())
        yield Open(lab.admin_url, gateway, folder)
        gateway.close()


def script(state: GatewayState, environment: str = "stage") -> str:
    header = ScriptHeader(
        subject="the whole gateway", file="restore.sh", tool_version="1", environment=environment, commit="0a1b2c3d"
    )
    return restore_script(state, header, library=shell_library())


@pytest.mark.parametrize("shell", sorted(SHELLS))
@settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(
    services=st.dictionaries(name, service, min_size=1, max_size=4),
    routes=st.lists(st.tuples(st.integers(0, 4), name, route), max_size=4),
)
def test_a_wiped_gateway_is_the_same_again_and_stays_so(
    opened: Open,
    shell: str,
    services: dict[str, dict[str, object]],
    routes: list[tuple[int, str, dict[str, object]]],
) -> None:
    opened.wipe()
    names = sorted(services)
    for index, (key, fields) in enumerate(services.items()):
        opened.put("services", key, fields={**fields, "created_at": 1_700_000_000 - index})
    for index, (place, key, fields) in enumerate(routes):
        parent = ("services", names[place]) if place < len(names) else ()
        opened.put(*parent, "routes", f"r{key}", fields={**fields, "created_at": 1_600_000_000 - index})
    before = dump(opened.gateway)
    text = script(before)
    opened.wipe()

    first = opened.run(shell, text)
    after = dump(opened.gateway)
    second = opened.run(shell, text)

    assert (first.returncode, first.stderr) == (0, "")
    assert after == before
    assert (second.returncode, dump(opened.gateway)) == (0, before)
    assert script(after) == text
    assert yaml.safe_load(deck_file(before)) is not None


def test_the_artifact_of_a_service_brings_its_route_back_and_no_other(opened: Open) -> None:
    opened.wipe()
    for service_name in ("cities", "towns"):
        wanted = Route(
            service=service_name,
            environment="stage",
            stack=f"{service_name}-x",
            uri=f"/ws/{service_name}",
            upstream=f"http://proxy.{service_name}-x",
        )
        opened.gateway.apply(opened.gateway.plan(wanted))
    before = dump(opened.gateway)
    origin = Origin(tool_version="1", environment="stage", commit="0a1b2c3d", version="0a1b2c3d")
    single, whole, _ = restore_files(before, "cities", origin, library=shell_library())
    opened.wipe()

    assert opened.run("dash", single.text).returncode == 0
    assert [found.name for found in opened.gateway.routes()] == ["cities"]
    assert opened.run("dash", whole.text).returncode == 0
    assert dump(opened.gateway) == before


def test_a_script_stops_at_the_entity_that_the_gateway_refuses(opened: Open) -> None:
    opened.wipe()
    opened.put("services", "a", fields={"host": "h"})
    opened.put("services", "b", fields={"host": "h"})
    text = script(dump(opened.gateway))
    opened.wipe()
    opened.put("services", "b", fields={"host": "another"})

    done = opened.run("dash", text)

    assert done.returncode == 1
    assert "services b could not be restored" in done.stderr
    assert "UNIQUE violation" in done.stderr
    assert "1 entities are restored" in done.stderr


def test_a_script_refuses_another_environments_gateway_unless_forced(opened: Open) -> None:
    opened.wipe()
    opened.put("services", "a", fields={"host": "h", "tags": ["pipeline", "env.production", "service.a"]})
    before = dump(opened.gateway)

    refused = opened.run("dash", script(before))
    forced = opened.run("dash", script(before), FORCE="1")

    assert (refused.returncode, forced.returncode) == (4, 0)
    assert "carries the environment production, this file is for stage" in refused.stderr


def test_a_gateway_that_is_not_there_is_told(opened: Open) -> None:
    done = opened.run("dash", script(dump(opened.gateway)), KONG_ADMIN_URL="http://127.0.0.1:9")

    assert done.returncode == 5
    assert "curl: (7) Failed to connect to 127.0.0.1 port 9" in done.stderr
    assert "http://127.0.0.1:9/ gave no answer to GET" in done.stderr
