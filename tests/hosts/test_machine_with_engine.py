"""A folder that runs real containers: the machine is a bare Debian 12 container, reached over real SSH; its engine is a
real dockerd in a network namespace, whose socket and command are lent to it."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hosts.applying import applied
from tests.hosts.engine import can_run, docker, running_engine
from tests.hosts.folders import write_folder, write_sums
from tests.hosts.machines import Machine, running_machines
from tests.hosts.sshd import log_in_with

if TYPE_CHECKING:
    from docker import APIClient

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not can_run(), reason="a second engine needs root, dockerd and unshare"),
]

VERIFY = """
found=$(docker ps --quiet --filter label=pipeline.environment=stage | wc -l)
if [ "$found" = 2 ]; then
    printf '{"schema_version":1,"environment":"stage","differences":[],"found":{"containers":2}}\\n'
else
    printf '{"schema_version":1,"environment":"stage","differences":["%s of 2 containers run"]}\\n' "$found"
    exit 1
fi
"""
RUN = "docker run --detach --network none --label pipeline.environment=stage"
STACKS = f"""set -eu
for name in one two; do
    docker inspect "$name" >/dev/null 2>&1 || {RUN} --name "$name" tiny /busybox sleep 600
done
"""
SCRIPTS = {
    "10-engine.sh": "docker version --format '{{.Server.Os}}'\n",
    "30-images.sh": "docker load --quiet --input images/tiny.tar\n",
    "50-stacks.sh": STACKS,
    "70-verify.sh": VERIFY,
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with running_engine(tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture(scope="module")
def machine(module_engine: APIClient, engine: Path, user_key: Path) -> Iterator[Machine]:
    lent = [f"{engine}:/var/run/docker.sock", f"{shutil.which('docker')}:/usr/local/bin/docker:ro"]
    with running_machines(module_engine, user_key, 1, Binds=lent) as (one,):
        yield one


@pytest.fixture
def bare(machine: Machine, engine: Path, user_key: Path) -> Machine:
    log_in_with(user_key)
    machine.run("rm -rf /var/lib/invoke-pipeline")
    for name in docker(engine, "ps", "--all", "--quiet").split():
        docker(engine, "rm", "--force", name)
    return machine


@pytest.fixture
def folder(tmp_path: Path, engine: Path) -> Path:
    """With the image as an archive, as `--with-images` carries it."""
    path = write_folder(tmp_path / "stage", SCRIPTS)
    _import_busybox(engine)
    (path / "images").mkdir()
    docker(engine, "save", "--output", str(path / "images" / "tiny.tar"), "tiny")
    docker(engine, "rmi", "--force", "tiny")
    write_sums(path)
    return path


def _import_busybox(engine: Path) -> None:
    busybox = str(Path(shutil.which("busybox") or "/bin/busybox").resolve())
    linked = subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False).stdout.split()
    libraries = [word for word in linked if word.startswith("/")]
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        tar.add(busybox, arcname="busybox")
        for library in libraries:
            tar.add(Path(library).resolve(), arcname=library)
    docker(engine, "import", "-", "tiny", data=sink.getvalue())


def test_a_bare_machine_runs_the_containers_and_a_second_run_makes_none(
    bare: Machine, folder: Path, engine: Path
) -> None:
    host = bare.meet("a")

    first = applied(folder, [host])
    made = docker(engine, "ps", "--quiet", "--no-trunc")
    second = applied(folder, [host], again=True)

    assert (first.code, second.code) == (0, 0), (first, second)
    assert first.ran("a") == ["10-engine.sh", "30-images.sh", "50-stacks.sh"]
    assert "(2 containers)" in first.out
    assert docker(engine, "ps", "--quiet", "--no-trunc") == made


def test_a_machine_that_holds_half_of_it_is_completed(bare: Machine, folder: Path, engine: Path) -> None:
    host = bare.meet("a")
    _import_busybox(engine)
    docker(engine, *RUN.split()[1:], "--name", "one", "tiny", "/busybox", "sleep", "600")
    kept = docker(engine, "inspect", "--format", "{{.Id}}", "one")

    done = applied(folder, [host])

    assert (done.code, docker(engine, "inspect", "--format", "{{.Id}}", "one")) == (0, kept), done


def test_what_was_removed_by_hand_is_named_and_comes_back_with_again(bare: Machine, folder: Path, engine: Path) -> None:
    host = bare.meet("a")
    applied(folder, [host])
    docker(engine, "rm", "--force", "two")

    differs, again = applied(folder, [host]), applied(folder, [host], again=True)

    assert (differs.code, again.code) == (1, 0)
    assert "a: differs: 1 of 2 containers run" in differs.err
    assert "or with --again" in differs.err


@pytest.mark.parametrize("label", ["", "pipeline.environment=production"])
def test_containers_of_others_make_it_a_refusal_before_anything_is_changed(
    bare: Machine, folder: Path, engine: Path, label: str
) -> None:
    _import_busybox(engine)
    more = ["--label", label] if label else []
    docker(engine, "run", "--detach", "--network", "none", "--name", "shop", *more, "tiny", "/busybox", "sleep", "600")

    done = applied(folder, [bare.meet("a")])

    assert done.code == 4
    assert (
        "error: a is not taken: 1 containers there are not of stage: shop (tiny)\nnext:  Take a bare machine"
        in done.err
    )
    assert bare.run("ls /var/lib/invoke-pipeline 2>/dev/null") == ""
