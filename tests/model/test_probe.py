"""The health probe in real shells, with each of its tools, against a real server."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from pipeline.model.manifest import Health
from pipeline.model.probe import probe_command

SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"], "bash": ["bash"], "bash as sh": ["bash", "--posix"]}
TOOLS = ("curl", "wget", "busybox wget", "python3")


class Server(http.server.BaseHTTPRequestHandler):
    """`/<status>` answers so; `/slow` never does; `/away` leads to a place where nobody listens."""

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].strip("/")
        if name == "slow":
            time.sleep(3)
            return
        status = 302 if name in ("away", "sick-away") else int(name)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:9/" if name == "away" else "/500")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *words: object) -> None:
        """Nothing: the test's output is its own."""


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A probe that stopped waiting is no error."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with Quiet(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(params=TOOLS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder to look for commands in that has one of the tools and nothing else."""
    tool = request.param
    found = str(Path(sys.executable).resolve()) if tool == "python3" else shutil.which(tool.split()[0])
    if found is None:
        pytest.fail(f"{tool} is missing: scripts/tools installs it")
    (tmp_path / tool.split()[-1]).symlink_to(found)
    if tool == "busybox wget":
        (tmp_path / "timeout").symlink_to(found)
    return str(tmp_path)


def probe(path: str, port: int, where: str, shell: str = "dash", timeout: float = 5) -> tuple[int, str]:
    command = probe_command(Health(path=where, timeout=timeout), port)
    words = [shutil.which(SHELLS[shell][0]) or "", *SHELLS[shell][1:], "-c", command]
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(words, env={"PATH": path} | proxies, capture_output=True, text=True, timeout=20)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_200_is_healthy_and_a_503_is_not_in_every_shell(path: str, port: int, shell: str) -> None:
    assert probe(path, port, "/200", shell) == (0, "")
    code, reason = probe(path, port, "/503", shell)
    assert code == 1
    assert "503" in reason


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.UNAUTHORIZED])
def test_any_other_status_is_unhealthy_and_is_told(path: str, port: int, status: HTTPStatus) -> None:
    code, reason = probe(path, port, f"/{status.value}")

    assert code == 1
    assert str(status.value) in reason


@pytest.mark.parametrize("where", ["/204", "/301", "/304", "/away", "/sick-away"])
def test_a_redirect_is_healthy_wherever_it_leads(path: str, port: int, where: str) -> None:
    assert probe(path, port, where) == (0, "")


def test_nobody_listening_is_unhealthy_with_a_reason(path: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code, reason = probe(path, taken.getsockname()[1], "/200")

    assert code == 1
    assert "refused" in reason.lower() or "failed to connect" in reason.lower()


def test_no_answer_in_time_is_unhealthy_with_a_reason(path: str, port: int) -> None:
    started = time.monotonic()

    code, reason = probe(path, port, "/slow", timeout=1)

    assert code == 1
    assert "timed out" in reason.lower() or "timeout" in reason.lower()
    assert time.monotonic() - started < 2.9


@pytest.mark.parametrize("where", ["/200?a=b&c=$HOME", "/200?x=[1-9]{a,b}", "/200?it's=`reboot`;\"", "/200?*"])
def test_a_path_is_taken_as_it_is(path: str, port: int, where: str) -> None:
    assert probe(path, port, where) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_an_image_without_any_of_the_tools_says_so(tmp_path: Path, port: int, shell: str) -> None:
    words = [shutil.which(SHELLS[shell][0]) or "", *SHELLS[shell][1:]]
    if words[0].endswith("busybox"):
        pytest.skip("busybox's own shell always has busybox's wget")

    assert probe(str(tmp_path), port, "/200", shell) == (
        1,
        "the image has no curl, wget or python3 to probe with\n",
    )
