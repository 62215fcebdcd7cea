"""The few lines of shell in the pipeline, as each shell that a runner may have runs them; its programs stand in."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.edge.library import pipeline_pieces
from pipeline.model.ci_inputs import INPUTS
from pipeline.model.ci_template import PIECES, Form, Shape, render
from pipeline.model.ci_yaml import expand, parse_ci

SHELLS = [name for name in ("sh", "bash", "dash") if shutil.which(name)]


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    text = render(Shape.SERVICE, Form.FILE, INPUTS, pipeline_pieces(PIECES))
    return dict(expand(parse_ci(text, file="x"), lambda name: "").running)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """`invoke` and `dockerd-entrypoint.sh`, each saying which words it was given, one a line."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("invoke", "dockerd-entrypoint.sh", "update-ca-certificates"):
        (folder / name).write_text(
            f'#!/bin/sh\nprintf "{name}"\nfor word in "$@"; do printf " <%s>" "$word"; done\necho\n'
        )
        (folder / name).chmod(0o755)
    return folder


def run(shell: str, script: str, programs: Path, **variables: str) -> list[str]:
    environ = {one.variable: one.default for one in INPUTS}
    environ |= {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "DOCKER_CONFIG": str(programs.parent / "config"),
        **variables,
    }
    done = subprocess.run([shell, "-e", "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_service_is_named_in_an_estate_and_left_out_in_its_own_repository(
    shell: str, jobs: dict[str, Any], programs: Path
) -> None:
    (build,), (register,) = jobs["build"]["script"], jobs["register stage"]["script"]
    stage = {"PIPELINE_ENVIRONMENT": "stage"}

    assert run(shell, build, programs) == ["invoke <ci.wait> <build>"]
    assert run(shell, build, programs, PIPELINE_SERVICE="cities") == ["invoke <ci.wait> <build> <--service> <cities>"]
    assert run(shell, register, programs, **stage) == ["invoke <deploy> <-e> <stage> <register>"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_ca_is_trusted_beside_the_systems_own_and_is_gone_after_the_job(
    shell: str, jobs: dict[str, Any], programs: Path
) -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----"
    (before,), (after,) = jobs["build"]["before_script"], jobs["build"]["after_script"]

    without = run(shell, f'{before}\necho "${{SSL_CERT_FILE-none}}"', programs, SSL_CERT_FILE="none")
    with_it = run(shell, f'{before}\ncat "$SSL_CERT_FILE"', programs, PIPELINE_CA_CERTIFICATE=certificate)
    run(shell, after, programs)

    assert without == ["none"]
    assert with_it[-3:] == certificate.splitlines()
    assert len(with_it) > 3
    assert not (programs.parent / "config.ca").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_engine_pulls_through_a_mirror_where_there_is_one(shell: str, jobs: dict[str, Any], programs: Path) -> None:
    (service,) = jobs["build"]["services"]
    _, _, script = service["entrypoint"]
    mirror = "https://mirror.example.com"

    assert run(shell, script, programs) == ["dockerd-entrypoint.sh"]
    assert run(shell, script, programs, PIPELINE_REGISTRY_MIRROR=mirror) == [
        f"dockerd-entrypoint.sh <--registry-mirror={mirror}>"
    ]


def test_the_images_invoke_takes_a_repositorys_own_tasks_and_else_the_toolkits(tmp_path: Path) -> None:
    """ci/invoke, with stand-ins for what it starts."""
    text = (Path(__file__).parents[2] / "ci" / "invoke").read_text()
    for name in ("invoke-in-a-repository", "pipeline"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    script = tmp_path / "invoke"
    script.write_text(text.replace("/opt/pipeline/bin", str(tmp_path)))
    script.chmod(0o755)
    estate, service = tmp_path / "estate", tmp_path / "a b" / "service"
    for folder in (estate / "services", service):
        folder.mkdir(parents=True)
    (estate / "tasks.py").write_text("")

    def invoked(folder: Path) -> str:
        return subprocess.run([str(script), "--list"], cwd=folder, capture_output=True, text=True, check=True).stdout

    assert invoked(estate) == invoked(estate / "services") == "invoke-in-a-repository --list\n"
    assert invoked(service) == "pipeline --list\n"
