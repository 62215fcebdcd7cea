"""10-engine.sh on a bare Debian 12: its own apt and dpkg install packages from a repository that this test made. What is in
the package docker.io is real but for starting: a stand-in for systemctl lets a real engine's socket appear."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.edge.library import shell_libraries
from pipeline.model.shell_call import call
from tests.hosts.engine import can_run, running_engine
from tests.hosts.machines import Machine, running_machines

if TYPE_CHECKING:
    from docker import APIClient

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not can_run(), reason="a second engine needs root, dockerd and unshare"),
    pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="packages are made with dpkg-deb"),
]
CONFIGURATION = '{"live-restore":true}'
START = """#!/bin/sh
[ "$1 $2" = 'restart docker' ] || exit 1
[ ! -e /refuses ] || exit 1
printf 'restarted\\n' >>/var/log/systemctl.log
ln -sf /engine/docker.sock /var/run/docker.sock
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with running_engine(tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `apt-get` finds: the packages by name, with their sums."""
    folder = tmp_path_factory.mktemp("repository")
    docker = {"usr/bin/docker": Path(shutil.which("docker") or "").read_bytes()}
    docker |= {"usr/sbin/dockerd": b"#!/bin/sh\n", "usr/bin/systemctl": START.encode()}
    contents: dict[str, dict[str, bytes]] = {"docker.io": docker, "iptables": {}, "ca-certificates": {}, "curl": {}}
    entries = [_package(folder, name, files) for name, files in contents.items()]
    (folder / "Packages").write_text("\n".join(entries))
    return folder


def _package(folder: Path, name: str, files: dict[str, bytes]) -> str:
    root = folder / "made" / name
    (root / "DEBIAN").mkdir(parents=True)
    fields = (
        f"Package: {name}\nVersion: 0.1\nArchitecture: all\nMaintainer: a test <test@example.com>\nDescription: x\n"
    )
    (root / "DEBIAN" / "control").write_text(fields)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        (root / path).chmod(0o755)
    made = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", root, made], check=True, capture_output=True)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    return f"{fields}Filename: ./{made.name}\nSize: {made.stat().st_size}\nSHA256: {digest}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a generated folder has for that step."""
    found = tmp_path / "folder"
    found.mkdir()
    for name, text in shell_libraries(("lib.sh", "bootstrap.sh")).items():
        (found / name).write_text(text)
    lines = ["#!/bin/sh", "set -eu", "cd /folder", ". ./lib.sh", ". ./bootstrap.sh"]
    lines += [call("bootstrap_begin", "stage"), call("bootstrap_engine", "json-file", "true", CONFIGURATION)]
    (found / "10-engine.sh").write_text("\n".join(lines) + "\n")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(found.iterdir())]
    (found / "SHA256SUMS").write_text("".join(sums))
    return found


@pytest.fixture
def machine(
    module_engine: APIClient, engine: Path, repository: Path, folder: Path, user_key: Path
) -> Iterator[Machine]:
    lent = [f"{engine.parent}:/engine", f"{repository}:/repository", f"{folder}:/folder:ro"]
    with running_machines(module_engine, user_key, 1, Binds=lent) as (one,):
        one.run("rm -rf /etc/apt/sources.list* && echo 'deb [trusted=yes] file:/repository ./' >/etc/apt/sources.list")
        yield one


def run(machine: Machine, before: str = "", user: str = "root") -> tuple[int, str]:
    said = machine.run(f"{before} su -s /bin/sh -c 'sh /folder/10-engine.sh' {user} 2>&1; code=$?; echo; echo $code")
    text, _, code = said.rstrip().rpartition("\n")
    return int(code), text


def test_an_engine_is_installed_configured_and_started_and_a_second_run_leaves_it(machine: Machine) -> None:
    assert "not found" in machine.run("docker info")

    code, said = run(machine)

    assert code == 0, said
    assert "installing docker.io" in said
    assert "install ok installed" in machine.run("dpkg -s docker.io iptables ca-certificates curl | grep Status")
    assert json.loads(machine.run("cat /etc/docker/daemon.json")) == json.loads(CONFIGURATION)
    assert machine.run("docker info --format '{{.OSType}}'").strip() == "linux"
    again, told = run(machine)
    assert again == 0, told
    assert "installing" not in told
    assert machine.run("cat /var/log/systemctl.log") == "restarted\n"


def test_a_configuration_that_is_there_and_another_one_is_left_and_named(machine: Machine) -> None:
    machine.run("""mkdir -p /etc/docker; echo '{"debug":true}' >/etc/docker/daemon.json""")

    code, said = run(machine)

    assert code == 4, said
    assert "/etc/docker/daemon.json is there and not as in this file" in said
    assert machine.run("cat /etc/docker/daemon.json") == '{"debug":true}\n'


def test_packages_that_are_not_to_be_had_end_it_with_apts_own_words(machine: Machine) -> None:
    machine.run("echo 'deb [trusted=yes] file:/nowhere ./' >/etc/apt/sources.list")

    code, said = run(machine)

    assert code == 1, said
    assert "/nowhere" in said
    assert "docker.io could not be installed" in said


def test_an_engine_that_cannot_be_started_says_where_to_look(machine: Machine) -> None:
    code, said = run(machine, before="touch /refuses;")

    assert code == 1, said
    assert "the engine could not be started" in said
    assert "journalctl -u docker" in said
    assert run(machine, before="rm /refuses;")[0] == 0


def test_whoever_is_not_root_is_told_so_before_anything_is_changed(machine: Machine) -> None:
    code, said = run(machine, user="guest")

    assert code == 4, said
    assert "installing one needs root" in said
    assert "not found" in machine.run("docker info")
