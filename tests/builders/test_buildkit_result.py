"""What a build gives back, from a command in docker's place that writes what buildx was seen to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.builders.buildkit import BuildKit, BuildKitResult
from pipeline.builders.buildkit_job import BuildKitJob
from pipeline.edge.docker_command import DockerCommand
from pipeline.errors import BadInput, Failed
from pipeline.model.address import EngineAddress
from pipeline.model.dockerfile import parse_dockerfile

CONFIG, MANIFEST = "sha256:" + "c" * 64, "sha256:" + "d" * 64


def built(
    folder: Path, *, known: str = "", driver: str = "docker-container", store: str = "", **job: Any
) -> BuildKitResult:
    """`known` is the id by which the engine has the image, `driver` the current builder's, `store` the engine's."""
    metadata = {
        "containerimage.digest": MANIFEST,
        "containerimage.config.digest": CONFIG,
        "buildx.build.provenance": {"invocation": {"parameters": {"args": {"build-arg:A": "hunter2", "target": "x"}}}},
    }
    path = folder / "docker"
    path.write_text(f"""#!/bin/sh
case "$1 $2" in
'buildx inspect') printf 'Name:   far\\nDriver: {driver}\\n' ;;
'info --format') echo '[["driver-type","{store}"]]' ;;
'image inspect') test "$5" = '{known}' && echo "$5" ;;
'buildx build')
  cat > /dev/null
  while [ "$1" ]; do case $1 in --iidfile) printf %s {CONFIG} > "$2" ;; --metadata-file) echo '{json.dumps(metadata)}' > "$2" ;; esac; shift; done ;;
esac
""")
    path.chmod(0o755)
    command = DockerCommand(path=str(path), version="28.2.2", kind="buildx", buildx="0.30.1")
    wanted = BuildKitJob(**{"engine": EngineAddress(), "key": "web", **job})
    dockerfile = parse_dockerfile(b"FROM a\n", file="Dockerfile")
    return BuildKit(command, {"PATH": "/usr/bin:/bin"}).build(wanted, [b""], dockerfile, lambda _: None)


@pytest.mark.parametrize("known", [CONFIG, MANIFEST])
def test_an_image_is_told_by_the_id_that_the_engine_knows(tmp_path: Path, known: str) -> None:
    result = built(tmp_path, known=known)

    assert (result.id, result.digest) == (known, "")


def test_an_image_that_the_engine_does_not_have_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="built an image that the engine does not have"):
        built(tmp_path, known="another")


def test_a_pushed_image_has_its_digest_and_its_provenance_without_values(tmp_path: Path) -> None:
    result = built(
        tmp_path,
        push=True,
        reference="r.example.com/a:1",
        platforms=("linux/amd64", "linux/arm64"),
        attest=("provenance",),
    )

    assert (result.id, result.digest, result.attestations, result.unattested) == ("", MANIFEST, ("provenance",), "")
    assert result.provenance == {"invocation": {"parameters": {"args": {"target": "x"}}}}


def test_the_docker_driver_does_it_with_the_containerd_image_store_alone(tmp_path: Path) -> None:
    push = {"push": True, "reference": "r.example.com/a:1"}

    assert built(tmp_path, driver="docker", store="io.containerd.snapshotter.v1", **push).digest == MANIFEST
    with pytest.raises(BadInput, match="has the driver docker, which cannot push"):
        built(tmp_path, driver="docker", **push)


def test_a_builder_that_is_not_told_is_a_failure_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="does not tell its builder") as failed:
        built(tmp_path, driver="", cache_to="registry")

    assert "docker buildx ls" in failed.value.hint
