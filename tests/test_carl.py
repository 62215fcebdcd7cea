"""carl, as the first pipeline's own lines call it, and alone: in both dialects."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from pipeline.edge.clock import SystemClock
from pipeline.gateways.kong.any_kong import AnyKong
from pipeline.lab.gateway.running import Lab, running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.route import FoundRoute, GatewayState, Route
from tests.contracts.test_gateways_recorded import Answer, Replay
from tests.lab.lab_support import echo_upstream

FILE = Path(__file__).parent / "first_pipeline" / "gitlab-ci.yml"
BIN = Path(sys.executable).parent
VARIABLES = {
    "service_name": "cities",
    "CI_COMMIT_REF_SLUG": "master",
    "CI_COMMIT_SHA": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
    "kong_target_host": "api.example.com",
}
STACK = "cities-master-0a1b2c3d"
HOSTILE = ("/a'b", '/a"b', "/$(touch pwned)", "/`touch pwned`", "/a b", "/a\nb", "/a;b", "/../a", "/a%20b", "a", "")


@dataclass(frozen=True)
class Opened:
    """A gateway, and what it has by its driver."""

    lab: Lab
    version: str

    @property
    def url(self) -> str:
        return self.lab.admin_url

    def state(self) -> GatewayState:
        gateway = AnyKong(GatewayAddress(admin=self.url), clock=SystemClock(), environment="local")
        try:
            return gateway.dump()
        finally:
            gateway.close()

    def routes(self) -> tuple[FoundRoute, ...]:
        gateway = AnyKong(GatewayAddress(admin=self.url), clock=SystemClock(), environment="local")
        try:
            return gateway.routes()
        finally:
            gateway.close()

    def register(self, wanted: Route) -> None:
        gateway = AnyKong(GatewayAddress(admin=self.url), clock=SystemClock(), environment="local")
        gateway.apply(gateway.plan(wanted))
        gateway.close()


@contextmanager
def running(folder: Path, version: str) -> Iterator[Opened]:
    with running_gateway(state=folder / "gateway", version=version) as lab:
        yield Opened(lab, version)


@pytest.fixture(params=["0.14", "2.8", "3.4"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with running(tmp_path, request.param) as found:
        yield found


def carl(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} | variables
    return subprocess.run([str(BIN / "carl"), *words], env=given, capture_output=True, text=True, timeout=60)


def update(opened: Opened, *words: str, uri: str = "/ws/cities", upstream: str = f"http://proxy.{STACK}") -> str:
    done = carl("update_api", "--server", opened.url, "--uri", uri, "--upstream_url", upstream, *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class Job:
    """The register stage of the first pipeline's file, run line by line as a GitLab job in bash does."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        content = yaml.safe_load(FILE.read_text())["register_stage"]
        self.lines = [*content["before_script"], *content["script"]]
        (folder / "config").mkdir()
        (folder / "config" / "package.json").write_text('{"uri": "/ws/cities"}')
        for name in ("cert.pem", "key.pem"):
            (folder / name).write_text("a file variable of GitLab; nothing asks for it over http\n")
        self.variables = {
            **VARIABLES,
            "kong_admin": server,
            "kong_cert": str(folder / "cert.pem"),
            "kong_key": str(folder / "key.pem"),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
        }

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        script = "set -eo pipefail\n" + "\n".join(self.lines)
        return subprocess.run(
            ["bash", "-c", script],
            env=self.variables | variables,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture
def job(opened: Opened, tmp_path: Path) -> Job:
    folder = tmp_path / "job"
    folder.mkdir()
    return Job(folder, opened.url)


def test_the_register_stage_of_the_first_pipeline_runs_unchanged(job: Job, opened: Opened) -> None:
    done = job.run()

    assert done.returncode == 0, done.stderr
    (route,) = opened.routes()
    assert (route.paths, route.hosts, route.strip_uri) == (("/ws/cities",), ("api.example.com",), False)
    assert route.upstream == f"http://proxy.{STACK}"
    assert "created: /ws/cities goes to http://proxy.cities-master-0a1b2c3d" in done.stdout


def test_its_artifacts_bring_the_route_and_the_whole_gateway_back(job: Job, opened: Opened, tmp_path: Path) -> None:
    assert job.run().returncode == 0
    before = opened.state()
    single, whole = (job.folder / f"createKongApi.{name}0a1b2c3d.sh" for name in ("cities.", ""))
    assert single.read_text().startswith("carl update_api --server ")

    with running(tmp_path / "other", opened.version) as empty:
        text = single.read_text().replace(opened.url, empty.url)
        by_single = subprocess.run(["bash", "-c", text], env=job.variables, capture_output=True, timeout=60)
        assert by_single.returncode == 0
        assert [route.paths for route in empty.routes()] == [("/ws/cities",)]

    with running(tmp_path / "another", opened.version) as empty:
        given = {"PATH": os.environ["PATH"], "KONG_ADMIN_URL": empty.url}
        by_whole = subprocess.run(["sh", str(whole)], env=given, capture_output=True, timeout=60)
        assert by_whole.returncode == 0
        assert empty.state().entities == before.entities


def test_the_gateway_answers_from_the_stack_after_the_register_stage(
    job: Job, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    with echo_upstream() as upstream:

        def find(host: Any, port: Any, *words: Any, **more: Any) -> Any:
            """The platform's name server: the stack's proxy is the upstream of this test, whatever its port."""
            if host == f"proxy.{STACK}":
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("its.address", port))]
            if host == "its.address":
                host, port = upstream.server_address
            return resolve(host, port, *words, **more)

        monkeypatch.setattr(socket, "getaddrinfo", find)
        assert job.run().returncode == 0
        asked = Request(f"{opened.lab.proxy_url}/ws/cities/1", headers={"Host": "api.example.com"})
        with urlopen(asked) as answer:
            body = json.load(answer)

    assert body["target"] == "/ws/cities/1"


def test_a_register_stage_whose_gateway_is_away_fails_and_writes_no_command_down(job: Job) -> None:
    done = job.run(kong_admin="http://127.0.0.1:9")

    assert done.returncode == 5
    assert done.stderr.startswith("error: http://127.0.0.1:9")
    assert not list(job.folder.glob("createKongApi.cities.*"))


def test_a_second_call_changes_nothing_and_says_so(opened: Opened) -> None:
    first = update(opened)
    before = opened.state()

    second = update(opened)

    assert first.startswith("created: /ws/cities goes to")
    assert second == f"unchanged: /ws/cities goes to http://proxy.{STACK}\n"
    assert opened.state() == before


def test_another_upstream_moves_the_route_and_nothing_else(opened: Opened) -> None:
    update(opened, "--strip_uri", "false", "--host", "api.example.com")

    said = update(opened, upstream="http://proxy.cities-master-22222222:8080")

    assert said.startswith("updated: /ws/cities goes to http://proxy.cities-master-22222222:8080")
    (route,) = opened.routes()
    assert (route.hosts, route.strip_uri) == (("api.example.com",), False)
    assert route.upstream == "http://proxy.cities-master-22222222:8080"


def test_what_is_not_said_is_left_to_the_gateway(opened: Opened) -> None:
    update(opened)

    (route,) = opened.routes()
    assert (route.name, route.hosts, route.strip_uri) == ("ws.cities", (), True)


def test_the_route_that_someone_else_made_for_the_uri_is_the_one_that_moves(opened: Opened) -> None:
    wanted = Route(
        service="cities", environment="local", stack=STACK, uri="/ws/cities", upstream=f"http://proxy.{STACK}"
    )
    opened.register(wanted)

    update(opened, upstream="http://proxy.cities-master-22222222")

    (route,) = opened.routes()
    assert (route.name, route.upstream) == ("cities", "http://proxy.cities-master-22222222")
    assert (route.owner.service, route.owner.stack) == ("cities", "cities-master-22222222")


def test_a_name_that_answers_another_uri_is_refused(opened: Opened) -> None:
    update(opened, uri="/ws.cities")

    done = carl("update_api", "--server", opened.url, "--uri", "/ws/cities", "--upstream_url", "http://h")

    assert done.returncode == 4
    assert "answers /ws.cities, not /ws/cities alone" in done.stderr


@pytest.mark.parametrize("uri", HOSTILE)
def test_a_hostile_uri_is_refused_before_anything_is_asked(uri: str, tmp_path: Path) -> None:
    done = carl("update_api", "--server", "http://127.0.0.1:9", f"--uri={uri}", "--upstream_url", "http://h")

    assert done.returncode == 3
    assert done.stderr.count("\n") == 2
    assert "--uri" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--upstream_url", "http://h/$(id)"),
        ("--upstream_url", "http://h\n.x"),
        ("--upstream_url", "http://user:word@h"),
        ("--upstream_url", "ftp://h"),
        ("--upstream_url", "http://h:99999"),
        ("--upstream_url", "http://h", "--host", "a'b"),
        ("--upstream_url", "http://h", "--host", "a b"),
        ("--upstream_url", "http://h", "--strip_uri", "perhaps"),
        ("--upstream_url", "http://h", "--client_ssl", "true"),
        ("--upstream_url", "http://h", "--server", "kong:8001"),
        ("--upstream_url", "http://h", "--hots", "a"),
        ("--upstream_url",),
        (),
    ],
)
def test_flags_that_cannot_be_meant_end_with_two_lines_and_3(words: tuple[str, ...]) -> None:
    done = carl("update_api", "--server", "http://127.0.0.1:9", "--uri", "/a", *words)

    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 2


def test_hostile_variables_of_the_job_are_not_run_by_the_tool(job: Job, opened: Opened) -> None:
    """The file's own `eval` runs what it is given; a value that survives it quoted reaches carl as one word. (The job
    itself goes on to its dump: the file has `eval … && echo …`, which `set -e` lets pass.)"""
    (job.folder / "config" / "package.json").write_text(json.dumps({"uri": shlex.quote("/ws/$(touch pwned)")}))

    done = job.run()

    assert "error: --uri '/ws/$(touch pwned)' cannot be used" in done.stderr
    assert not (job.folder / "pwned").exists()
    assert not list(job.folder.glob("createKongApi.cities.*"))
    assert opened.routes() == ()


@contextmanager
def admin_over_tls(context: ssl.SSLContext) -> Iterator[str]:
    """An empty Kong, as far as one call goes."""
    server = Replay()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that fails is meant
    server.default = Answer(body={"version": "2.8.5", "data": [], "next": None})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.url.replace("http:", "https:")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_client_certificate_opens_an_admin_api_that_wants_one(tmp_path: Path) -> None:
    for name in ("server", "client"):
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        made += ["-days", "2", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"]
        subprocess.run([*made, "-addext", "subjectAltName=IP:127.0.0.1"], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.load_verify_locations(tmp_path / "client.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    files = ("--client_ssl", "true", "--cert", str(tmp_path / "client.pem"), "--key", str(tmp_path / "client.key"))

    with admin_over_tls(context) as url:
        words = ("--server", url, "--uri", "/a", "--upstream_url", "http://h")
        without = carl("update_api", *words, KONG_CA_CERT=str(tmp_path / "server.pem"))
        untrusted = carl("update_api", *words, *files)
        done = carl("update_api", *words, *files, KONG_CA_CERT=str(tmp_path / "server.pem"))

    assert (without.returncode, untrusted.returncode) == (5, 5)
    assert "KONG_CLIENT_CERT" in without.stderr
    assert "KONG_CA_CERT" in untrusted.stderr
    assert (done.returncode, done.stdout[:8]) == (0, "created:")


def test_bash_and_jq_are_in_the_toolkits_image() -> None:
    text = (Path(__file__).parents[1] / "ci" / "Dockerfile").read_text()

    assert "apt-get install -y --no-install-recommends bash jq" in text
    assert shutil.which("jq")
