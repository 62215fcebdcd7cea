"""What every builder promises, on memory and on a real engine with a real registry."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.builders.memory import MemoryBuilder
from pipeline.errors import BadInput, Failed
from pipeline.model.image import STACK_LABEL, BuiltImage, Recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "builders"))  # the tests' folders are no packages

from engine_support import (
    Workshop,
    busybox_image,
    docker_workshop,
    engine,
    login,
    recipe_of,
    remove_images,
    running_registry,
)


@dataclass
class Bench:
    """A builder with its images, a folder to build from, and the repository that its images are named after."""

    shop: Workshop
    folder: Path
    repository: str
    log: list[str] = field(default_factory=list)

    def recipe(self, tag: str = "one", **fields: Any) -> Recipe:
        labels = {"pipeline.service": "cities", "pipeline.compose-service": "app", STACK_LABEL: f"cities-{tag}"}
        return recipe_of(self.folder, f"{self.repository}:{tag}", **{"labels": labels, **fields})

    def build(self, recipe: Recipe) -> BuiltImage:
        return self.shop.build(recipe, self.log.append)

    def push(self, image: BuiltImage, recipe: Recipe | None = None) -> BuiltImage:
        return self.shop.images.push(image, recipe or self.recipe(), self.log.append)


@pytest.fixture(params=["memory", pytest.param("docker", marks=pytest.mark.engine)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "code").write_text("one")
    if request.param == "memory":
        (folder / "Dockerfile").write_text("FROM base\nARG version\nCOPY . /srv\n")
        builder = MemoryBuilder()
        yield Bench(shop=Workshop(builder, builder), folder=folder, repository="registry.example.com/group/cities")
        return
    with engine() as client, busybox_image(client) as base, running_registry(tmp_path) as registry:
        (folder / "Dockerfile").write_text(f"FROM {base}\nARG version\nCOPY . /srv\n")
        try:
            yield Bench(
                shop=docker_workshop(client, login(registry)),
                folder=folder,
                repository=f"{registry}/group/cities",
            )
        finally:
            remove_images(client, registry)


def test_the_same_inputs_give_the_same_fingerprint(bench: Bench) -> None:
    first = bench.shop.fingerprint(bench.recipe())

    again = bench.shop.fingerprint(bench.recipe(tag="two", facts={"version": "2"}))

    assert first == again
    assert len(first) == 64


def test_a_changed_file_changes_the_fingerprint(bench: Bench) -> None:
    before = bench.shop.fingerprint(bench.recipe())
    (bench.folder / "code").write_text("two")

    assert bench.shop.fingerprint(bench.recipe()) != before


def test_a_built_image_carries_its_fingerprint_and_the_stack_that_it_was_built_for(bench: Bench) -> None:
    recipe = bench.recipe()

    image = bench.build(recipe)

    assert image.reference == recipe.reference
    assert image.compose_service == "app"
    assert image.id.startswith("sha256:")
    assert image.fingerprint == bench.shop.fingerprint(recipe)
    assert image.built_for == "cities-one"
    assert image.digest == ""


def test_the_log_has_a_line_for_each_step(bench: Bench) -> None:
    bench.build(bench.recipe())

    assert [line for line in bench.log if line.startswith("Step")][1:] == [
        "Step 2/3 : ARG version",
        "Step 3/3 : COPY . /srv",
    ]


def test_a_second_build_gives_the_same_image(bench: Bench) -> None:
    assert bench.build(bench.recipe()) == bench.build(bench.recipe())


def test_an_image_is_found_by_its_fingerprint(bench: Bench) -> None:
    recipe = bench.recipe()
    fingerprint = bench.shop.fingerprint(recipe)
    assert bench.shop.find(recipe, fingerprint) is None

    image = bench.build(recipe)

    assert bench.shop.find(recipe, fingerprint) == image
    assert bench.shop.find(bench.recipe(tag="two"), fingerprint) == image
    assert bench.shop.find(recipe, "0" * 64) is None


def test_an_image_of_another_compose_service_or_repository_is_not_found(bench: Bench) -> None:
    recipe = bench.recipe()
    image = bench.build(recipe)

    assert bench.shop.find(bench.recipe(compose_service="proxy"), image.fingerprint) is None
    assert bench.shop.find(replace(recipe, reference=f"{bench.repository}-app:one"), image.fingerprint) is None


def test_a_tag_makes_a_second_name_and_the_reference_of_a_recipe_is_found_first(bench: Bench) -> None:
    image = bench.build(bench.recipe())

    tagged = bench.shop.images.tag(image, bench.recipe(tag="two"))

    assert tagged == msgspec.structs.replace(image, reference=f"{bench.repository}:two")
    assert bench.shop.images.tag(tagged, bench.recipe(tag="two")) == tagged
    for tag in ("one", "two"):
        found = bench.shop.find(bench.recipe(tag=tag), image.fingerprint)
        assert found is not None
        assert found.reference == f"{bench.repository}:{tag}"


def test_a_failing_step_names_its_line_and_leaves_the_tag_as_it_was(bench: Bench) -> None:
    image = bench.build(bench.recipe())
    dockerfile = bench.folder / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "\n# it breaks\nRUN false\n")

    with pytest.raises(Failed, match=r"Dockerfile:6: step 4 of 4 failed: 'RUN false'"):
        bench.build(bench.recipe())

    assert bench.shop.images.lookup(image.reference) == image


def test_a_missing_dockerfile_is_bad_input_with_the_key_that_wanted_it(bench: Bench) -> None:
    (bench.folder / "Dockerfile").unlink()

    with pytest.raises(BadInput, match=r"^docker-compose.yml: services.app.build: there is no Dockerfile at "):
        bench.shop.fingerprint(bench.recipe())


def test_a_folder_that_is_not_there_is_bad_input(bench: Bench) -> None:
    shutil.rmtree(bench.folder)

    with pytest.raises(BadInput, match=r"the build context .* is not a folder"):
        bench.build(bench.recipe())


def test_a_pushed_image_has_a_digest_and_is_run_by_it(bench: Bench) -> None:
    image = bench.build(bench.recipe())

    pushed = bench.push(image)

    assert pushed.digest.startswith(f"{bench.repository}@sha256:")
    assert pushed.runnable == pushed.digest
    assert bench.shop.images.lookup(image.reference) == pushed


def test_a_second_push_sends_nothing(bench: Bench) -> None:
    pushed = bench.push(bench.build(bench.recipe()))
    bench.log.clear()

    again = bench.push(pushed)

    assert again == pushed
    assert bench.log == []


def test_a_tag_of_a_pushed_image_is_pushed_under_the_same_digest(bench: Bench) -> None:
    pushed = bench.push(bench.build(bench.recipe()))
    bench.log.clear()

    second = bench.push(bench.shop.images.tag(pushed, bench.recipe(tag="two")), bench.recipe(tag="two"))

    assert second.digest == pushed.digest
    assert bench.log != []


def test_an_unknown_reference_is_nowhere(bench: Bench) -> None:
    assert bench.shop.images.lookup(f"{bench.repository}:none") is None


def test_a_name_without_a_registry_cannot_be_pushed(bench: Bench) -> None:
    image = BuiltImage(compose_service="app", reference="cities:one", id="sha256:1")

    with pytest.raises(BadInput, match="cities:one names no registry"):
        bench.push(image)
