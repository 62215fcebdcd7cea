"""A real engine of its own: dockerd in a network namespace, lent to a machine through its socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def can_run() -> bool:
    return os.geteuid() == 0 and bool(shutil.which("dockerd")) and bool(shutil.which("unshare"))


@contextmanager
def running_engine(folder: Path) -> Iterator[Path]:
    """Gives its socket. Its bridge and its rules of iptables are in a namespace that goes with it."""
    made = folder / "docker.sock"
    words = [
        *("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"),
        *("dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "pid"), "--host", f"unix://{made}"),
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as engine:
        try:
            _wait_for(made, engine, folder / "log")
            yield made
        finally:
            engine.terminate()
            engine.wait(timeout=60)


def docker(made: Path, *words: str, data: bytes | None = None) -> str:
    environ = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{made}"}
    ran = subprocess.run(["docker", *words], env=environ, input=data, capture_output=True, check=True)
    return ran.stdout.decode()


def _wait_for(made: Path, engine: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and engine.poll() is None:
        if made.exists():
            ran = subprocess.run(["docker", "-H", f"unix://{made}", "version"], capture_output=True, check=False)
            if ran.returncode == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"dockerd does not answer: {log.read_text()[-2000:]}")
