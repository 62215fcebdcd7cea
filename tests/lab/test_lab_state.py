"""State: what was answered is there after a restart and after kill -9; one gateway holds a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab_support import Client, ask, echo_upstream, put

from pipeline.errors import Refused
from pipeline.lab.gateway.running import running_gateway


@contextmanager
def process(state: Path) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int], tuple[str, int]]]:
    """A gateway as its own process: it, its Admin and its proxy address."""
    words = ["--admin", "127.0.0.1:0", "--proxy", "127.0.0.1:0", "--state", str(state), "--environment", "practice"]
    command = [sys.executable, "-m", "pipeline.lab.gateway", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        where = json.loads(gateway.stdout.readline())
        try:
            yield gateway, address(where["admin"]), address(where["proxy"])
        finally:
            if gateway.poll() is None:
                gateway.kill()


def address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def test_a_restart_keeps_entities_ids_times_and_routing(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with echo_upstream() as upstream:
        with running_gateway(state=state) as lab:
            service = put(lab.admin, "/services/s", {"host": "127.0.0.1", "port": upstream.server_address[1]})
            route = put(lab.admin, "/services/s/routes/r", {"paths": ["/r"], "tags": ["t"]})

        with running_gateway(state=state) as lab:
            assert ask(lab.admin, "GET", "/services/s").json() == service
            assert ask(lab.admin, "GET", "/routes?tags=t").json()["data"] == [route]
            assert ask(lab.proxy, "GET", "/r/x").json()["target"] == "/x"


def test_of_routes_made_in_the_same_second_the_first_still_wins_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with echo_upstream("A") as first, echo_upstream("B") as second:
        with running_gateway(state=state) as lab:
            put(lab.admin, "/services/a", {"host": "127.0.0.1", "port": first.server_address[1]})
            put(lab.admin, "/services/b", {"host": "127.0.0.1", "port": second.server_address[1]})
            for number in range(4):
                put(lab.admin, f"/services/{'ba'[number % 2]}/routes/r{number}", {"paths": ["/same"]})

        with running_gateway(state=state) as lab:
            assert ask(lab.proxy, "GET", "/same").json()["upstream"] == "B"


def test_kill_9_loses_no_write_that_was_answered(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    answered: list[str] = []
    with process(state) as (gateway, admin, _):

        def write(worker: int) -> None:
            try:
                with Client(admin) as client:
                    for number in range(1000):
                        name = f"s{worker}-{number}"
                        body = json.dumps({"host": "h"}).encode()
                        reply = client.ask("PUT", f"/services/{name}", {"Content-Type": "application/json"}, body)
                        if reply.status == 200:
                            answered.append(name)
            except (OSError, IndexError, ValueError):
                return

        workers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        time.sleep(0.5)
        os.kill(gateway.pid, signal.SIGKILL)
        for worker in workers:
            worker.join()

    with running_gateway(state=state) as lab, Client(lab.admin) as client:
        assert answered
        missing = [name for name in answered if client.ask("GET", f"/services/{name}").status != 200]
    assert missing == []


def test_sigterm_lets_a_request_in_flight_finish_and_exits_0(tmp_path: Path) -> None:
    with echo_upstream() as upstream, process(tmp_path / "state.sqlite3") as (gateway, admin, proxy):
        upstream.slow_seconds = 1.0
        put(admin, "/services/s", {"host": "127.0.0.1", "port": upstream.server_address[1]})
        put(admin, "/services/s/routes/r", {"paths": ["/"]})
        with Client(proxy) as idle, Client(proxy) as busy:
            assert idle.ask("GET", "/x").status == 200
            busy.send("GET", "/slow")
            time.sleep(0.3)

            gateway.send_signal(signal.SIGTERM)

            assert idle.stream.read() == b""
            reply = busy.receive()
            assert (reply.status, reply.json()["target"]) == (200, "/slow")
        assert gateway.wait(15) == 0


def test_the_gateway_says_that_it_is_for_practice(tmp_path: Path) -> None:
    with process(tmp_path / "state.sqlite3") as (gateway, admin, _):
        about = ask(admin, "GET", "/").json()
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(15) == 0
        assert gateway.stderr is not None
        told = gateway.stderr.read()

    assert "practice" in about["lab"]
    assert (about["version"], about["environment"]) == ("2.8.5", "practice")
    assert "practice" in told


def test_a_second_gateway_on_the_same_state_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with running_gateway(state=state), pytest.raises(Refused) as refused, running_gateway(state=state):
        pass

    assert str(state) in refused.value.what


def test_eight_threads_that_put_one_name_make_one_service(tmp_path: Path) -> None:
    ids: set[str] = set()
    with running_gateway(state=tmp_path / "state.sqlite3") as lab:

        def write() -> None:
            for number in range(20):
                ids.add(f"{number} " + put(lab.admin, f"/services/s{number}", {"host": "h"})["id"])

        threads = [threading.Thread(target=write) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(ids) == 20


def test_put_moves_created_at_and_patch_does_not(tmp_path: Path) -> None:
    with running_gateway(state=tmp_path / "state.sqlite3") as lab:
        first = put(lab.admin, "/services/s", {"host": "h", "created_at": 5})
        patched = ask(lab.admin, "PATCH", "/services/s", {"port": 81}).json()
        again = put(lab.admin, "/services/s", {"host": "h"})

    assert (first["created_at"], patched["created_at"]) == (5, 5)
    assert again["created_at"] > 5
    assert again["id"] == first["id"]
