"""Which builder makes an image, why, and that what it cannot do is refused and never done in another way."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from engine_support import HERE, docker_workshop, held, recipe_of, remove_images

from pipeline.builders.base import Built
from pipeline.builders.docker_choice import BuilderSettings
from pipeline.edge.docker_command import NoBuildKit, find_buildkit
from pipeline.errors import BadInput
from pipeline.model.secret import Secret

pytestmark = pytest.mark.engine


class Site:
    """A folder to build from, with the machine's docker commands or without."""

    def __init__(self, client: APIClient, base: str, folder: Path) -> None:
        self.client = client
        self.base = base
        self.folder = folder
        self.repository = f"{base.partition(':')[0]}-{uuid.uuid4().hex[:8]}"
        self.log: list[str] = []
        self.environ: dict[str, str] = dict(os.environ)

    def write(self, dockerfile: str, **files: str) -> None:
        (self.folder / "Dockerfile").write_text(dockerfile.replace("BASE", self.base))
        for name, content in files.items():
            (self.folder / name).write_text(content)

    def make(self, builder: Any = "auto", *, values: dict[str, Secret] | None = None, **fields: Any) -> Built:
        """`values` are those of build secrets."""
        recipe = recipe_of(self.folder, f"{self.repository}:one", **fields)
        shop = docker_workshop(self.client, settings=BuilderSettings(builder=builder, environ=self.environ))
        return shop.make(recipe, self.log.append, secrets=values or {})


@pytest.fixture
def site(client: APIClient, base: str, tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "service"
    folder.mkdir()
    found = Site(client, base, folder)
    yield found
    remove_images(client, found.repository)


@pytest.fixture
def buildkit() -> str:
    found = find_buildkit(HERE, os.environ)
    if isinstance(found, NoBuildKit):
        pytest.skip(f"no docker command here can build with BuildKit: {found}")
    return str(found)


def test_what_needs_nothing_special_is_built_by_the_engine_alone(site: Site) -> None:
    site.write("FROM BASE\nRUN echo fine\n")
    site.environ = {"PATH": "/nowhere"}

    built = site.make()

    assert built.builder == "the engine's classic builder"
    assert built.attestations.startswith("none: ")


def test_a_mount_is_built_by_buildkit_and_the_log_says_by_which_and_why(site: Site, buildkit: str) -> None:
    marker = uuid.uuid4().hex
    site.write(f"FROM BASE\nRUN --mount=type=tmpfs,target=/t echo {marker}\nCOPY code /code\n", code="x")

    built = site.make(labels={"pipeline.stack": "s"})

    assert f"BuildKit, by {buildkit}: RUN --mount, {site.folder}/Dockerfile:2" in site.log
    assert built.builder == f"BuildKit, by {buildkit}"
    assert any(line.endswith(marker) for line in site.log)
    own = site.client.inspect_image(built.image.id)["Config"]["Labels"]  # type: ignore[no-untyped-call]
    assert own["pipeline.fingerprint"] == built.image.fingerprint
    assert own["pipeline.stack"] == "s"
    assert (built.steps, built.cached) == (2, 0)
    assert (site.make().steps, site.make().cached) == (2, 2)


@pytest.mark.usefixtures("buildkit")
def test_a_build_secret_reaches_its_step_and_no_label_of_sources(site: Site) -> None:
    value = uuid.uuid4().hex
    site.write(
        "FROM BASE\nRUN --mount=type=secret,id=TOKEN cat /run/secrets/TOKEN > /dev/null && test -s /run/secrets/TOKEN\n"
    )

    built = site.make(secrets=("TOKEN",), values={"TOKEN": Secret(value)})

    inspected = json.dumps(site.client.inspect_image(built.image.id))  # type: ignore[no-untyped-call]
    assert value not in inspected
    assert value not in "\n".join(site.log)
    assert any("secrets: TOKEN" in line for line in site.log)


@pytest.mark.usefixtures("buildkit")
def test_an_ignored_dockerfile_and_our_own_outputs_do_not_arrive_with_buildkit_either(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\n", code="x")
    (site.folder / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    (site.folder / "build" / "cities").mkdir(parents=True)
    (site.folder / "build" / "cities" / "artifact.json").write_text("{}")

    built = site.make("buildkit")

    assert "code" in held(site.client, built.image.id, "/srv")
    assert not {"Dockerfile", ".dockerignore", "build/cities/artifact.json"} & set(
        held(site.client, built.image.id, "/srv")
    )


@pytest.mark.usefixtures("buildkit")
def test_an_exception_with_a_wildcard_lets_the_same_arrive_by_both_builders(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\n", code="x")
    (site.folder / "ignored").mkdir()
    (site.folder / "ignored" / "kept").write_text("x")
    (site.folder / ".dockerignore").write_text("*\n!**/kept\n!code\n!Dockerfile\n")

    classic, buildkit = site.make(), site.make("buildkit")

    assert held(site.client, classic.image.id, "/srv").keys() == held(site.client, buildkit.image.id, "/srv").keys()
    assert buildkit.image.fingerprint == classic.image.fingerprint


def test_what_needs_buildkit_is_refused_where_no_docker_command_can(site: Site) -> None:
    site.write("FROM BASE\nRUN --mount=type=cache,target=/c echo x\n")
    site.environ = {"PATH": "/nowhere"}

    with pytest.raises(BadInput, match=r"RUN --mount, .*Dockerfile:2 needs BuildKit, and no docker command here can"):
        site.make()

    assert site.log == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"secrets": ("TOKEN",)}, "secrets: TOKEN"),
        ({"ssh": ("default",)}, "ssh: default"),
        ({"platforms": ("linux/amd64",)}, "platforms: linux/amd64"),
    ],
)
def test_what_only_buildkit_can_is_refused_by_the_classic_builder_and_never_leaked(
    site: Site, fields: dict[str, Any], words: str
) -> None:
    site.write("FROM BASE\nARG TOKEN\nRUN env\n")

    with pytest.raises(BadInput, match=f"{words} is BuildKit's, and invoke.yaml says builder: classic"):
        site.make("classic", values={"TOKEN": Secret("hunter2")}, **fields)

    assert site.log == []


@pytest.mark.usefixtures("buildkit")
def test_several_platforms_without_a_registry_are_refused(site: Site) -> None:
    site.write("FROM BASE\n")

    with pytest.raises(BadInput, match="an image of several platforms exists only in a registry"):
        site.make(platforms=("linux/amd64", "linux/arm64"))
