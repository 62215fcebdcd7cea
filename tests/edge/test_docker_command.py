"""Which docker command can do BuildKit, on commands that say what known ones say: a reason for each that cannot."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.edge.docker_command import (
    DockerCommand,
    NoBuildKit,
    command_context,
    docker_environment,
    find_buildkit,
    overlay_config,
    version_of,
)
from pipeline.model.address import EngineAddress

LOCAL = EngineAddress()
ENGINE = {"Version": "20.10.24", "ApiVersion": "1.41", "Os": "linux", "Components": [{"Name": "Engine"}]}
NO_PLUGIN = "echo \"docker: 'buildx' is not a docker command.\" >&2; exit 1"
PLUGIN = "echo github.com/docker/buildx v0.30.1 3b9c1d"


def docker(folder: Path, client: str, *, server: Any = ENGINE, buildx: str = NO_PLUGIN) -> Path:
    """A command that answers as a docker of that version does; gives its path."""
    told = json.dumps({"Client": {"Version": client}, "Server": server})
    trouble = "" if server else "echo Cannot connect to the Docker daemon. >&2; exit 1"
    return script(folder, f"case $1 in version) echo '{told}'\n{trouble} ;; buildx) {buildx} ;; esac")


def script(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "docker"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def found(
    *folders: Path, setting: str = "", engine: EngineAddress = LOCAL, seconds: float = 10
) -> DockerCommand | NoBuildKit:
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]]) if setting else os.pathsep.join(map(str, folders))
    return find_buildkit(engine, {"PATH": path}, setting=setting, seconds=seconds)


def reasons(*folders: Path, **options: Any) -> str:
    answer = found(*folders, **options)
    assert isinstance(answer, NoBuildKit)
    return str(answer)


def test_the_first_one_that_can_is_taken(tmp_path: Path) -> None:
    docker(tmp_path / "new", "28.2.2")
    old = docker(tmp_path / "old", "20.10.24+dfsg1")

    answer = found(tmp_path / "new", tmp_path / "old")

    assert answer == DockerCommand(path=str(old), version="20.10.24+dfsg1", kind="builtin")
    assert str(answer) == f"docker 20.10.24+dfsg1 at {old}"


def test_a_plugin_wins_over_what_is_built_in(tmp_path: Path) -> None:
    path = docker(tmp_path, "20.10.24", buildx=PLUGIN)

    assert found(tmp_path) == DockerCommand(path=str(path), version="20.10.24", kind="buildx", buildx="0.30.1")
    assert str(found(tmp_path)) == f"docker 20.10.24 at {path} with buildx 0.30.1"


@pytest.mark.parametrize(
    ("client", "options", "reason"),
    [
        ("28.2.2", {}, "docker 28.2.2 at PATH has no buildx plugin"),
        ("19.03.15", {}, "docker 19.03.15 at PATH is older than 20.10: its BuildKit takes no secrets from the environment"),
        ("23.0.0", {"buildx": "echo github.com/docker/buildx v0.5.1 11"}, "docker 23.0.0 at PATH has buildx 0.5.1, which is older than 0.8"),
        ("28.2.2", {"buildx": "echo hello"}, "docker 28.2.2 at PATH has no buildx plugin"),
        ("28.2.2", {"server": None}, "docker 28.2.2 at PATH does not reach the local engine: 'Cannot connect to the Docker daemon.'"),
        (
            "20.10.24",
            {"server": {"Version": "4.3.1", "ApiVersion": "1.41", "Os": "linux", "Components": [{"Name": "Podman Engine"}]}},
            "docker 20.10.24 at PATH reaches an engine without BuildKit: it is Podman Engine 4.3.1",
        ),
        ("20.10.24", {"server": ENGINE | {"ApiVersion": "1.38"}}, "docker 20.10.24 at PATH reaches an engine without BuildKit: 20.10.24 has API 1.38, and BuildKit comes with 1.39"),
        ("20.10.24", {"server": ENGINE | {"Os": "windows"}}, "docker 20.10.24 at PATH reaches an engine without BuildKit: 20.10.24 runs on windows"),
    ],
)  # fmt: skip
def test_one_that_cannot_says_why(tmp_path: Path, client: str, options: dict[str, Any], reason: str) -> None:
    path = docker(tmp_path, client, **options)

    assert reasons(tmp_path) == reason.replace("PATH", str(path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo podman version 4.3.1", "docker at PATH does not say its version: 'podman version 4.3.1'"),
        ("echo '[1, 2]'", "docker at PATH does not say its version: '[1, 2]'"),
        ("echo '{\"Client\": 5, \"Server\": []}'", "docker at PATH does not say its version: '{\"Client\": 5, \"Server\": []}'"),
        ("exit 1", "docker at PATH does not say its version: ''"),
        ("/usr/bin/head -c 3000 /dev/urandom; exit 1", "docker at PATH does not say its version: "),
    ],
)  # fmt: skip
def test_nonsense_is_a_reason_and_no_exception(tmp_path: Path, text: str, reason: str) -> None:
    path = script(tmp_path, text)

    answer = reasons(tmp_path)

    assert answer.startswith(reason.replace("PATH", str(path)))
    assert len(answer) < 1000


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    path = script(tmp_path, "/bin/sleep 60")

    assert reasons(tmp_path, seconds=0.3) == f"docker at {path} does not answer within 0.3 s"


def test_every_one_has_its_reason(tmp_path: Path) -> None:
    new, broken = docker(tmp_path / "new", "28.2.2"), script(tmp_path / "broken", "exit 127")

    assert reasons(tmp_path / "new", tmp_path / "broken").split("; ") == [
        f"docker 28.2.2 at {new} has no buildx plugin",
        f"docker at {broken} does not say its version: ''",
    ]


def test_no_docker_at_all_is_said(tmp_path: Path) -> None:
    assert reasons(tmp_path) == "there is no docker command on PATH"


def test_a_docker_that_two_folders_name_is_asked_once(tmp_path: Path) -> None:
    docker(tmp_path / "bin", "28.2.2")
    (tmp_path / "link").symlink_to(tmp_path / "bin")

    assert reasons(tmp_path / "bin", tmp_path / "link").count("no buildx plugin") == 1


def test_a_relative_folder_of_the_path_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(tmp_path / "bin", "20.10.24")
    monkeypatch.chdir(tmp_path)

    assert reasons(Path("bin"), Path()) == "there is no docker command on PATH"


def test_a_setting_names_the_only_one(tmp_path: Path) -> None:
    docker(tmp_path / "on-path", "20.10.24")
    named = docker(tmp_path / "named", "28.2.2")

    assert reasons(tmp_path / "on-path", setting=str(named)) == f"docker 28.2.2 at {named} has no buildx plugin"
    assert reasons(setting="/nowhere/docker") == "docker at /nowhere/docker cannot be run: No such file or directory"


def test_a_command_is_asked_once_per_process(tmp_path: Path) -> None:
    docker(tmp_path, "20.10.24")
    first = found(tmp_path)
    (tmp_path / "docker").unlink()

    assert found(tmp_path) is first


def test_the_environment_leads_to_the_engine_that_is_named() -> None:
    own = {"PATH": "/bin", "DOCKER_CONTEXT": "far", "DOCKER_TLS_VERIFY": "", "BUILDKIT_PROGRESS": "tty"}

    tls = docker_environment(own, EngineAddress(host="tcp://e:2376", tls_verify=True, cert_path="/certs"))
    unverified = docker_environment(own, EngineAddress(host="tcp://e:2376", cert_path="/certs"))
    local = docker_environment(own, LOCAL)

    both = {"PATH": "/bin", "DOCKER_CLI_HINTS": "false", "NO_COLOR": "1"}
    named = both | {"DOCKER_HOST": "tcp://e:2376", "DOCKER_CERT_PATH": "/certs"}
    assert tls == named | {"DOCKER_TLS_VERIFY": "1"}
    assert unverified == named | {"DOCKER_TLS": "1"}
    assert local == both | {"DOCKER_CONTEXT": "far", "DOCKER_TLS_VERIFY": ""}


def test_a_configuration_of_the_run_s_own_keeps_plugins_and_context(tmp_path: Path) -> None:
    own, given, folder = tmp_path / "own", tmp_path / "given", tmp_path / "made"
    (own / "cli-plugins").mkdir(parents=True)
    (own / "config.json").write_text('{"currentContext": "far", "auths": {"old": {}}}')
    given.mkdir()
    (given / "config.json").write_text('{"auths": {"new": {}}}')

    variables = overlay_config({"DOCKER_CONFIG": str(own)}, str(given), str(folder))

    assert variables == {"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "far"}
    assert (folder / "cli-plugins").resolve() == own / "cli-plugins"
    assert (folder / "config.json").read_text() == '{"auths": {"new": {}}}'


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "far"),
        ({"DOCKER_CONTEXT": "near"}, "near"),
        ({"DOCKER_CONTEXT": "near", "DOCKER_HOST": "tcp://e:1"}, "default"),
        ({"DOCKER_CONFIG": "/nowhere"}, "default"),
    ],
)
def test_the_context_is_the_one_that_the_command_takes(tmp_path: Path, environ: dict[str, str], name: str) -> None:
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')

    assert command_context({"DOCKER_CONFIG": str(tmp_path), **environ}) == name


def test_versions_compare_by_their_numbers() -> None:
    assert version_of("v0.30.1-desktop.1") == (0, 30, 1)
    assert version_of("20.10.24+dfsg1") > (20, 9)
    assert version_of("nonsense 7") == ()
