"""An estate of its own for a test: a git repository, an environment on the real engine, a lab gateway on free ports."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import yaml

SERVICES = ("hello", "lonely", "broken")
PATIENT = {"path": "/ws/hello/health", "interval": 0.5, "timeout": 5, "retries": 60}
"""A health check that a machine with much else to do passes as well: for tests in which nothing is to be ill."""
HELLO = Path(__file__).parent / "hello"
ROOT = Path(__file__).parent.parent.parent
_KEPT = ("PATH", "HOME", "LANG", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "PYTHONPATH", "TMPDIR")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


class Environment:
    """A throw-away environment on the engine: its name, the ports of its gateway, and the end of it."""

    def __init__(self) -> None:
        self.name = f"t{uuid.uuid4().hex[:6]}"
        self.admin = f"http://127.0.0.1:{free_port()}"
        self.proxy = f"http://127.0.0.1:{free_port()}"
        self.engine = docker.from_env(use_context=False)
        self.engine.api.trust_env = False

    def containers(self, **labels: str) -> list[Any]:
        wanted = [f"pipeline.environment={self.name}"] + [f"pipeline.{name}={text}" for name, text in labels.items()]
        # One that goes between the listing and its inspection is none that is there.
        return self.engine.containers.list(all=True, filters={"label": wanted}, ignore_removed=True)

    def stacks(self) -> set[str]:
        return {container.labels["pipeline.stack"] for container in self.containers()}

    def clear(self) -> None:
        """Removes what a test left: its stacks, their volumes, and the lease of a run that it killed."""
        self._remove_containers(f"pipeline.environment={self.name}")
        self._remove_containers("pipeline.ledger=lease", f"pipeline.ledger-environment={self.name}")
        for volume in self.engine.volumes.list(filters={"label": f"pipeline.environment={self.name}"}):
            volume.remove(force=True)

    def _remove_containers(self, *labels: str) -> None:
        found = self.engine.containers.list(all=True, filters={"label": list(labels)}, ignore_removed=True)
        for container in found:
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)

    def destroy(self) -> None:
        for label in ("environment", "ledger-environment", "lab-environment"):
            self._remove_containers(f"pipeline.{label}={self.name}")
        for volume in self.engine.volumes.list():
            if f"-{self.name}-" in volume.name or volume.name.endswith(f"-{self.name}"):
                volume.remove(force=True)
        for network in self.engine.networks.list(names=[f"pipeline-{self.name}"]):
            network.remove()
        for image in self.engine.api.images():
            # A registry has a port, and so a colon of its own.
            names = [tag.rsplit(":", 1)[0] for tag in image["RepoTags"] or ()]
            names += [digest.split("@")[0] for digest in image["RepoDigests"] or ()]
            if any(name.removeprefix(f"{name.split('/')[0]}/estate/") in SERVICES for name in names):
                with contextlib.suppress(docker.errors.APIError):
                    self.engine.api.remove_image(image["Id"], force=True)
        self.engine.close()


class Estate:
    """A repository whose commands run as a user types them."""

    def __init__(self, folder: Path, environment: Environment, *, single: bool = False, uri: str = "/ws/hello") -> None:
        self.folder = folder
        self.environment = environment
        self.service = folder if single else folder / "services" / "hello"
        self.variables: dict[str, str] = {}
        self._started: list[subprocess.Popen[str]] = []
        shutil.copytree(HELLO, self.service, dirs_exist_ok=True)
        self.set_uri(uri)
        if not single:
            shutil.copy(ROOT / "tasks.py", folder)
        (folder / "invoke.yaml").write_text(yaml.safe_dump({"pipeline": self._settings()}))
        (folder / ".gitignore").write_text("/build/\n/artifacts/\n__pycache__/\n")
        self.git("init", "-q", "-b", "master")
        self.commit("begin")

    def set_uri(self, uri: str) -> None:
        server, manifest = self.service / "server.py", self.service / "config" / "package.json"
        server.write_text(server.read_text().replace("/ws/hello", uri))
        manifest.write_text(manifest.read_text().replace("/ws/hello", uri))
        self.uri = uri

    def behave(self, words: str) -> None:
        """Changes the service and commits."""
        (self.service / "behaviour").write_text(words)
        self.commit(words)

    def manifest(self, **changes: object) -> None:
        """Changes keys under `pipeline` in the manifest and commits; None takes a key away."""
        path = self.service / "config" / "package.json"
        document = json.loads(path.read_text())
        document["pipeline"] |= changes
        document["pipeline"] = {key: value for key, value in document["pipeline"].items() if value is not None}
        path.write_text(json.dumps(document))
        self.commit("change the manifest")

    def settings(self, **changes: object) -> None:
        """Changes settings of the environment; not of the service, so that nothing is released for it."""
        path = self.folder / "invoke.yaml"
        document = yaml.safe_load(path.read_text())
        document["pipeline"]["environments"][self.environment.name] |= changes
        path.write_text(yaml.safe_dump(document))
        self.commit("change the settings")

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.sha8

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        done = subprocess.run(["git", *who, "-C", str(self.folder), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    @property
    def sha8(self) -> str:
        return self.git("rev-parse", "HEAD")[:8]

    @property
    def stack(self) -> str:
        return f"hello-master-{self.sha8}"

    def command(self, *words: str) -> list[str]:
        verbs = ("deploy", "register", "release", "status", "logs", "lock", "dump", "doctor", "lab.up", "lab.down")
        verbs += ("history", "prune", "rollback", "adopt", "bootstrap")
        # A repository with one service has no tasks.py, and `pipeline` is its `invoke`.
        program = "invoke" if (self.folder / "tasks.py").exists() else "pipeline"
        line = [str(Path(sys.executable).parent / program)]
        for word in words:
            line += [word, "-e", self.environment.name] if word in verbs else [word]
        return line

    def environ(self, **variables: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        # What this machine's user remembers of contexts is none of a test's business.
        kept["XDG_CACHE_HOME"] = str(self.folder.parent / f"{self.folder.name}-cache")
        return kept | self.variables | variables

    def invoke(self, *words: str, cwd: Path | None = None, **variables: str) -> Ran:
        """`invoke build deploy register`, each verb that takes one with this environment."""
        return self.run(self.command(*words), cwd=cwd, **variables)

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        started = subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.environ(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background ignores SIGINT, and its children would.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self._started.append(started)
        return started

    def stop(self) -> None:
        """Ends what a test started and did not wait for: its lease would stand in the way of the next test."""
        for started in self._started:
            if started.poll() is None:
                started.kill()
            with started:
                pass

    def run(self, line: list[str], cwd: Path | None = None, **variables: str) -> Ran:
        done = subprocess.run(
            line, cwd=cwd or self.folder, env=self.environ(**variables), capture_output=True, text=True, timeout=300
        )
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr)

    def ask(self, path: str = "", method: str = "GET") -> tuple[int, Any]:
        """One request through the gateway."""
        return ask(f"{self.environment.proxy}{self.uri}{path}", method)

    def _settings(self) -> dict[str, object]:
        local = ROOT / "invoke.local.yaml"
        machine = yaml.safe_load(local.read_text())["pipeline"] if local.exists() else {}
        gateway = {"admin": self.environment.admin, "proxy": self.environment.proxy}
        part = {"gateway": gateway, "deploy_timeout": 30, "verify_timeout": 4}
        return machine | {"environments": {self.environment.name: part}}


def ask(url: str, method: str = "GET", body: object = None) -> tuple[int, Any]:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=content, headers={"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    return status, json.loads(text) if text else None


def until(found: Any, seconds: float = 60.0) -> Any:
    """The first true value of `found()`."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)
    return value


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
