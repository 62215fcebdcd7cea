"""The builder where an engine's disk is full: a second engine, really running, whose data has a few megabytes."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker import APIClient
from engine_support import docker_workshop, is_there, recipe_of

from pipeline.edge.engine import open_engine
from pipeline.errors import Failed
from pipeline.model.address import EngineAddress

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk and start an engine on it"),
]


@contextmanager
def engine_on_a_disk_of(size: str, folder: Path) -> Iterator[tuple[APIClient, EngineAddress]]:
    """An engine with a network namespace and a disk of its own; both are gone afterwards."""
    disk, log = folder / "disk", (folder / "log").open("wb")
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
    host = f"unix://{folder}/docker.sock"
    own = ("--containerd-namespace", folder.name, "--containerd-plugins-namespace", f"{folder.name}-plugins")
    places = ("--data-root", str(disk), "--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid"))
    command = ["unshare", "--net", "dockerd", *places, *own, "-H", host, "--bridge=none", "--iptables=false"]
    try:
        with log, subprocess.Popen(command, stdout=log, stderr=log) as server:
            try:
                yield _client_of(server, EngineAddress(host=host), folder / "log"), EngineAddress(host=host)
            finally:
                server.terminate()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _client_of(server: subprocess.Popen[bytes], address: EngineAddress, log: Path) -> APIClient:
    """Once it listens: docker-py leaks a socket on a refused connection."""
    end = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_UNIX) as one:
            try:
                one.connect(address.host.removeprefix("unix://"))
            except OSError:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
                continue
        return open_engine(address)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (folder / "random").write_bytes(os.urandom(30_000_000))
    return folder


@pytest.mark.parametrize(("size", "doing"), [("24m", "the context arrives"), ("48m", "a step writes")])
def test_a_disk_that_fills_up_is_told_and_leaves_no_tag_and_the_next_build_works(
    context: Path, tmp_path: Path, size: str, doing: str
) -> None:
    with engine_on_a_disk_of(size, tmp_path) as (client, address):
        shop, recipe = docker_workshop(client, address=address), recipe_of(context, "full:one")

        with pytest.raises(Failed, match="no space left on device") as failed:
            shop.build(recipe, lambda _: None)

        assert (f"{context}/Dockerfile:2: step 2 of 2" in failed.value.what) == (doing == "a step writes")
        assert not is_there(client, "full:one")
        (context / "random").write_bytes(b"small")
        assert shop.build(recipe, lambda _: None).id.startswith("sha256:")
        client.close()
