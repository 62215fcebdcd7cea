"""The docker command: which of those on this machine can build with BuildKit, and the environment that it runs in.

Facts: docker/cli has BuildKit's client built in from 18.09 (secrets from the environment: from 20.10) until 23, where
the buildx plugin is the only one. An engine has BuildKit from API 1.39 on; what answers in Docker's place may not.
"""

from __future__ import annotations

import functools
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.edge.process import Answer, answer_of
from pipeline.model.address import EngineAddress

PROBE_SECONDS = 10.0
_OLDEST_BUILTIN = (20, 10)
_FIRST_WITHOUT = (23, 0)
_OLDEST_BUILDX = (0, 8)
_OLDEST_API = (1, 39)
_SHOWN = 200
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerCommand:
    """A docker command that builds with BuildKit: by its plugin, whose version is `buildx`, or by itself."""

    path: str
    version: str
    kind: Literal["builtin", "buildx"]
    buildx: str = ""

    def __str__(self) -> str:
        return f"docker {self.version} at {self.path}" + (f" with buildx {self.buildx}" if self.buildx else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoBuildKit:
    """Why none of the docker commands can, one reason for each."""

    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.reasons)


def find_buildkit(
    engine: EngineAddress, environ: Mapping[str, str], *, setting: str = "", seconds: float = PROBE_SECONDS
) -> DockerCommand | NoBuildKit:
    """The first docker command on PATH that can build with BuildKit on this engine; with a `setting`, a path, only that
    one is tried. Asked once per process: a second call gives the same. `seconds` is each question's. Raises nothing."""
    with _lock:
        return _found(engine, tuple(sorted(environ.items())), setting, seconds)


def docker_environment(environ: Mapping[str, str], engine: EngineAddress) -> dict[str, str]:
    """What a docker command runs in so that it talks to this engine, without colours and tips. An address
    without a host leaves it to the command's own variables and context."""
    found = {name: value for name, value in environ.items() if not name.startswith("BUILDKIT_")}
    found |= {"DOCKER_CLI_HINTS": "false", "NO_COLOR": "1"}
    if not engine.host:
        return found
    for name in ("DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        found.pop(name, None)
    found["DOCKER_HOST"] = engine.host
    if engine.cert_path:
        found["DOCKER_CERT_PATH"] = engine.cert_path
    # Any value at all switches one on, an empty one too in some versions.
    if engine.tls_verify:
        found["DOCKER_TLS_VERIFY"] = "1"
    elif engine.cert_path:
        found["DOCKER_TLS"] = "1"
    return found


def command_context(environ: Mapping[str, str]) -> str:
    """The name of the context that a docker command in this environment uses; buildx calls the engine's builder so."""
    if environ.get("DOCKER_HOST"):
        return "default"
    return environ.get("DOCKER_CONTEXT") or str(_config(_config_folder(environ)).get("currentContext") or "default")


def overlay_config(environ: Mapping[str, str], given: str, folder: str) -> dict[str, str]:
    """Makes `folder` a configuration of the docker command with the config.json of the folder `given` and everything
    else (plugins, contexts, builders) of the user's own, as links. Gives the variables that go with it."""
    own = _config_folder(environ)
    os.mkdir(folder, 0o700)
    names = {one.name for one in os.scandir(own)} if os.path.isdir(own) else set()
    for name in names - {"config.json"}:
        os.symlink(os.path.join(own, name), os.path.join(folder, name))
    os.symlink(os.path.join(os.path.abspath(given), "config.json"), os.path.join(folder, "config.json"))
    found = {"DOCKER_CONFIG": folder}
    if not environ.get("DOCKER_HOST") and (context := command_context(environ)) != "default":
        found["DOCKER_CONTEXT"] = context
    return found


def version_of(text: str) -> tuple[int, ...]:
    """The first number with dots in a text, for comparing: `v0.30.1-x` is (0, 30, 1); () where there is none."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


@functools.cache
def _found(
    engine: EngineAddress, environ: tuple[tuple[str, str], ...], setting: str, seconds: float
) -> DockerCommand | NoBuildKit:
    reasons = []
    for path in [setting] if setting else _on_path(dict(environ).get("PATH", "")):
        found = _Probe(path, docker_environment(dict(environ), engine), engine, seconds).ask()
        if isinstance(found, DockerCommand):
            return found
        reasons.append(found)
    return NoBuildKit(reasons=tuple(reasons) or ("there is no docker command on PATH",))


def _on_path(variable: str) -> Iterator[str]:
    """Every docker once, though folders may be links to each other. A folder that is relative is left out: it would be
    another one wherever the command is run."""
    seen = set()
    for folder in variable.split(os.pathsep):
        path = os.path.join(folder, "docker")
        real = os.path.realpath(path)
        if os.path.isabs(folder) and real not in seen and os.path.isfile(path) and os.access(path, os.X_OK):
            seen.add(real)
            yield path


@dataclass(frozen=True, slots=True)
class _Probe:
    """The questions to one docker command."""

    path: str
    environ: Mapping[str, str]
    engine: EngineAddress
    seconds: float

    def ask(self) -> DockerCommand | str:
        """The command, or why not."""
        answer = self._run("version", "--format", "{{json .}}")
        client, server = _versions(answer)
        version = str(client.get("Version", ""))
        if answer.code is None:
            return f"docker at {self.path} {answer.err}"
        if not version_of(version):
            return f"docker at {self.path} does not say its version: {_first_line(answer)!r}"
        name = f"docker {version} at {self.path}"
        if not server:
            return f"{name} does not reach {self.engine}: {_first_line(Answer(code=1, out=answer.err))!r}"
        if lack := _lack(server):
            return f"{name} reaches an engine without BuildKit: {lack}"
        return self._client(name, version)

    def _client(self, name: str, version: str) -> DockerCommand | str:
        buildx = self._run("buildx", "version")
        found = version_of(buildx.out) if buildx.code == 0 and "buildx" in buildx.out else ()
        if found >= _OLDEST_BUILDX:
            text = ".".join(map(str, found))
            return DockerCommand(path=self.path, version=version, kind="buildx", buildx=text)
        if _OLDEST_BUILTIN <= version_of(version) < _FIRST_WITHOUT:
            return DockerCommand(path=self.path, version=version, kind="builtin")
        if version_of(version) < _OLDEST_BUILTIN:
            return f"{name} is older than 20.10: its BuildKit takes no secrets from the environment"
        if found:
            return f"{name} has buildx {'.'.join(map(str, found))}, which is older than 0.8"
        return f"{name} has no buildx plugin" + (f": buildx {buildx.err}" if buildx.code is None else "")

    def _run(self, *words: str) -> Answer:
        return answer_of([self.path, *words], self.environ, seconds=self.seconds)


def _versions(answer: Answer) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The client's and the engine's part of `docker version`, empty where there is none."""
    try:
        told = json.loads(answer.out)
    except ValueError:
        return {}, {}
    parts = [told.get(name) for name in ("Client", "Server")] if isinstance(told, dict) else []
    client, server = [part if isinstance(part, dict) else {} for part in parts] or [{}, {}]
    return client, server


def _lack(server: Mapping[str, Any]) -> str:
    """Why this engine has no BuildKit; empty when it has. Docker's own calls its component Engine; others that speak
    its API (podman) call theirs otherwise."""
    components = [str(one.get("Name")) for one in server.get("Components") or () if isinstance(one, dict)]
    version = server.get("Version", "")
    if "Engine" not in components:
        return f"it is {', '.join(components) or 'no Docker'} {version}".strip()
    if version_of(str(server.get("ApiVersion", ""))) < _OLDEST_API:
        return f"{version} has API {server.get('ApiVersion')}, and BuildKit comes with 1.39"
    if server.get("Os") != "linux":
        return f"{version} runs on {server.get('Os')}"
    return ""


def _config_folder(environ: Mapping[str, str]) -> str:
    return os.path.abspath(environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME", ""), ".docker"))


def _config(folder: str) -> Mapping[str, Any]:
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _first_line(answer: Answer) -> str:
    lines = (line.strip() for line in (answer.out + "\n" + answer.err).splitlines())
    return next((line[:_SHOWN] for line in lines if line), "")
