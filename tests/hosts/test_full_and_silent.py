"""What a machine's disk and the wire can do to a run: full (a small tmpfs there), silent, slow. Real SSH throughout."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.edge.ssh import Access
from pipeline.edge.ssh_folder import read_folder
from pipeline.errors import Failed, Unreachable
from pipeline.flows.bootstrap_apply import Order, Telling, apply, plan
from pipeline.hosts.ssh import SshHost
from pipeline.model.steps_verification import Verification
from tests.hosts.folders import write_folder, write_sums
from tests.hosts.machines import Machine, eventually, running_machines, wire_to
from tests.hosts.sshd import log_in_with

if TYPE_CHECKING:
    from docker import APIClient

pytestmark = pytest.mark.engine

BASE = "/var/lib/invoke-pipeline/bootstrap/stage"


@pytest.fixture(scope="module")
def machine(module_engine: APIClient, user_key: Path) -> Iterator[Machine]:
    """4 MiB for all that is copied there."""
    with running_machines(module_engine, user_key, 1, Tmpfs={"/var/lib/invoke-pipeline": "size=4m"}) as (one,):
        yield one


@pytest.fixture
def bare(machine: Machine, user_key: Path) -> Machine:
    log_in_with(user_key)
    machine.run("rm -rf /var/lib/invoke-pipeline/* /tmp/*")
    return machine


def build(path: Path, name: str, run: str = "1", **patience: float) -> dict[str, Verification]:
    """With any disk taken: on a real machine the plan refuses one that is too small."""
    access = Access(name=name, **patience)  # type: ignore[arg-type]
    order = Order(folder=read_folder(path), values={}, run=run, least_free=0)
    host = SshHost(access, environment="stage", source=path)
    telling = Telling(tell=lambda _host, _text: None, complain=lambda _host, _error: None)
    try:
        return apply(order, plan(order, [host], telling), [host], telling)
    finally:
        host.close()


def test_a_disk_that_is_full_when_the_folder_is_copied_is_named_and_no_half_is_left(
    bare: Machine, tmp_path: Path
) -> None:
    path = write_folder(tmp_path, {"10-engine.sh": "true\n"})
    (path / "image.tar").write_bytes(os.urandom(6 << 20))
    write_sums(path)

    with pytest.raises(Failed, match=r"a: the disk is full: /var/lib/invoke-pipeline has no room left for the folder"):
        build(path, bare.meet("a"))

    assert bare.run(f"ls {BASE}") == "lock\nsteps\n"


def test_a_disk_that_a_step_fills_is_named_and_the_next_run_goes_on_when_there_is_room(
    bare: Machine, tmp_path: Path
) -> None:
    fill = "[ -e /tmp/room ] || dd if=/dev/zero of=/var/lib/invoke-pipeline/filler bs=65536 2>&1\n"
    path = write_folder(tmp_path, {"10-engine.sh": "true\n", "30-images.sh": fill})
    host = bare.meet("a")

    with pytest.raises(
        Failed, match=r"a: the disk is full: /var/lib/invoke-pipeline has no room left after 30-images.sh"
    ):
        build(path, host)
    bare.run("rm /var/lib/invoke-pipeline/filler; touch /tmp/room")

    assert build(path, host, "2")["a"].differences == ()


def test_a_step_that_ends_well_on_a_full_disk_is_not_taken_for_finished(bare: Machine, tmp_path: Path) -> None:
    fill = "dd if=/dev/zero of=/var/lib/invoke-pipeline/filler bs=4096 2>/dev/null || true\n"
    path = write_folder(tmp_path, {"10-engine.sh": fill})

    with pytest.raises(Failed, match="the disk is full"):
        build(path, bare.meet("a"))

    assert "10-engine.sh\n" not in bare.run(f"find {BASE}/steps -size +0").replace(".new", "")


def test_a_wire_that_goes_silent_is_5_after_the_patience_that_was_set(bare: Machine, tmp_path: Path) -> None:
    path = write_folder(tmp_path, {"10-engine.sh": "touch /tmp/begun; sleep 987\n"})
    with wire_to(bare.port) as wire:
        host = bare.meet("a", port=wire.port)

        def silence() -> None:
            eventually(lambda: "begun" in bare.run("ls /tmp"))
            wire.silent = True

        threading.Thread(target=silence).start()
        started = time.monotonic()
        with pytest.raises(Unreachable, match=r"a: the connection was lost while 10-engine.sh ran"):
            build(path, host, alive=0.3, silent=3.0)

    assert time.monotonic() - started < 60
    assert eventually(lambda: bare.run("ps ax -o args | grep '[s]leep 987'") == "")


def test_a_quiet_step_that_takes_longer_than_the_patience_is_no_lost_connection(bare: Machine, tmp_path: Path) -> None:
    path = write_folder(tmp_path, {"10-engine.sh": "sleep 5\n"})

    assert build(path, bare.meet("a"), alive=0.3, silent=2.0)["a"].differences == ()


def test_a_server_that_never_greets_is_5_in_time(user_key: Path, tmp_path: Path) -> None:
    log_in_with(user_key)
    path = write_folder(tmp_path, {"10-engine.sh": "true\n"})
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        started = time.monotonic()
        with pytest.raises(Unreachable, match="is not reached"):
            build(path, f"root@127.0.0.1:{deaf.getsockname()[1]}", connect=2)

    assert time.monotonic() - started < 15
