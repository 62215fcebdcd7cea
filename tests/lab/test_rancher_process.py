"""`python -m pipeline.lab.rancher` as a process: where it listens, whom it lets in, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "pipeline.lab.rancher"]


@contextmanager
def running(*words: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The process and the line that it says when it listens."""
    process = subprocess.Popen(
        [*COMMAND, "--listen", "127.0.0.1:0", *words],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_it_says_where_it_listens_and_ends_well_when_it_is_told_to() -> None:
    with running() as (process, said):
        assert said["version"].startswith("v1.6.")
        assert "not for production" in said["lab"]
        assert status(f"{said['url']}/v2-beta/projects/1a5/stacks") == 200

        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0


def test_with_security_it_asks_for_the_key_of_its_variables_and_shows_it_nowhere() -> None:
    key = {"RANCHER_ACCESS_KEY": "ACCESS", "RANCHER_SECRET_KEY": "hush-hush"}
    with running("--security", **key) as (process, said):
        assert status(f"{said['url']}/v2-beta/projects") == 401
        assert "hush" not in json.dumps(said)
        assert b"hush" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "hush" not in process.stderr.read()


def test_security_without_a_key_is_refused_with_what_to_set() -> None:
    done = subprocess.run([*COMMAND, "--security"], capture_output=True, text=True, timeout=60)

    assert done.returncode == 3
    assert "Set RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY." in done.stderr


def test_a_port_that_is_taken_is_told_in_two_lines() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*COMMAND, "--listen", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert "--listen" in done.stderr
