"""The engine of a CI job, as `docker:dind` is one: a second real dockerd, with TLS on a TCP port, in a network of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

THROUGH = Path(__file__).parent / "through.py"


@dataclass(frozen=True, kw_only=True)
class JobEngine:
    """Where it answers, and the folder with the certificates that open it (DOCKER_CERT_PATH)."""

    host: str
    certificates: Path
    namespace: str

    def docker(self, *words: str, stdin: object = None) -> str:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.certificates),
            "DOCKER_HOST": self.host,
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(self.certificates),
        }
        done = subprocess.run(["docker", *words], env=environ, capture_output=True, text=True, check=True, stdin=stdin)  # type: ignore[call-overload]
        return str(done.stdout)

    def load(self, image: str) -> None:
        """Takes an image over from the engine of this machine."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            self.docker("load", "--quiet", stdin=saved.stdout)


@contextlib.contextmanager
def job_engine(folder: Path) -> Iterator[JobEngine]:
    """Needs root and `ip`. All that it starts and makes is gone afterwards."""
    name = f"job{uuid.uuid4().hex[:6]}"
    block = 4 * (os.getpid() % 16_000)
    outside, inside = (f"10.213.{(block + n) >> 8}.{(block + n) & 255}" for n in (1, 2))
    with _network(name, outside, inside):
        certificates = _certificates(folder / "certs", inside)
        engine = JobEngine(host=f"tcp://{inside}:2376", certificates=certificates / "client", namespace=name)
        with _dockerd(folder, engine, certificates / "server", inside):
            yield engine


@contextlib.contextmanager
def through(listen: str, connect: str, *, namespace: str = "") -> Iterator[None]:
    """What connects to `listen` (in the namespace) reaches `connect` (in ours): `host:port`, or a socket's path."""
    words = [sys.executable, str(THROUGH), listen, connect, namespace]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def _network(name: str, outside: str, inside: str) -> Iterator[None]:
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", f"v{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "addr", "add", f"{outside}/30", "dev", f"v{name}")
        _run("ip", "link", "set", f"v{name}", "up")
        _inside(name, "ip", "link", "set", "lo", "up")
        _inside(name, "ip", "addr", "add", f"{inside}/30", "dev", "eth0")
        _inside(name, "ip", "link", "set", "eth0", "up")
        _inside(name, "ip", "route", "add", "default", "via", outside)
        yield
    finally:
        _run("ip", "netns", "del", name)


@contextlib.contextmanager
def _dockerd(folder: Path, engine: JobEngine, certificates: Path, address: str) -> Iterator[None]:
    """With a /run of its own, as in a container: what it runs finds its socket at the usual place, and not this
    machine's. Its state is short: containerd's sockets lie in it, and a socket's path has at most 107 bytes."""
    own = folder / "run"
    own.mkdir()
    words = ["nsenter", f"--net=/run/netns/{engine.namespace}", "unshare", "--mount", "--propagation", "private"]
    words += ["sh", "-c", 'mount --bind "$0" /run; exec "$@"', str(own), "dockerd", "--data-root", str(folder / "data")]
    words += ["--exec-root", "/run/job", "--pidfile", str(folder / "pid"), "-H", "unix:///run/docker.sock"]
    words += ["-H", f"tcp://{address}:2376", "--tlsverify"]
    words += [f"--tls{key}={certificates / file}" for key, file in _FILES.items()]
    with (folder / "log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            _until_it_answers(engine, process, folder / "log")
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
            shutil.rmtree(own, ignore_errors=True)
            shutil.rmtree(folder / "data", ignore_errors=True)


_FILES = {"cacert": "ca.pem", "cert": "cert.pem", "key": "key.pem"}


def _until_it_answers(engine: JobEngine, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(subprocess.CalledProcessError):
            engine.docker("version")
            return
        time.sleep(0.2)
    raise AssertionError(f"the job's engine does not answer:\n{log.read_text()[-2000:]}")


def _certificates(folder: Path, address: str) -> Path:
    """A CA, a server's and a client's, laid out as docker:dind lays them out under /certs."""
    (folder / "ca").mkdir(parents=True)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca, key = folder / "ca" / "cert.pem", folder / "ca" / "key.pem"
    _run("openssl", "req", "-x509", *new, "-days", "2", "-subj", "/CN=ca", "-keyout", str(key), "-out", str(ca))
    for name, names in (("server", f"subjectAltName=IP:{address}"), ("client", "extendedKeyUsage=clientAuth")):
        own = folder / name
        own.mkdir()
        words = ["openssl", "req", "-x509", *new, "-days", "2", "-subj", f"/CN={name}", "-addext", names]
        words += ["-addext", "basicConstraints=critical,CA:FALSE"]
        _run(*words, "-CA", str(ca), "-CAkey", str(key), "-keyout", str(own / "key.pem"), "-out", str(own / "cert.pem"))
        shutil.copy(ca, own / "ca.pem")
    return folder


def _inside(name: str, *words: str) -> None:
    _run("nsenter", f"--net=/run/netns/{name}", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
