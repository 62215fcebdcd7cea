"""From a manifest and compose's builds to recipes: what is built, under which name, with which labels."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import BadInput
from pipeline.model.image import (
    BuiltImage,
    Recipe,
    Reference,
    image_labels,
    labelling,
    parse_reference,
    plan_recipes,
)
from pipeline.model.manifest import ImageSource, Manifest, parse_manifest
from pipeline.model.release import Checkout, Release, make_release

SHA = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


def manifest_of(**pipeline: Any) -> Manifest:
    text = json.dumps({"uri": "/ws/cities", "pipeline": pipeline}).encode()
    return parse_manifest(text, file="services/cities/config/package.json", default_name="cities")


def release_of(manifest: Manifest, **checkout: Any) -> Release:
    return make_release(
        manifest, Checkout(**{"commit": SHA, "branch": "master", "committed_at": 1_700_000_000, **checkout}), "local"
    )


def planned(
    sources: dict[str, ImageSource | None], *, prefix: str = "", manifest: Manifest | None = None
) -> tuple[Recipe, ...]:
    manifest = manifest or manifest_of()
    return plan_recipes(
        manifest,
        release_of(manifest),
        sources,
        folder="/srv/cities",
        prefix=prefix,
        build_args={"PYTHON_IMAGE": "mine"},
    )


def test_one_image_bears_the_service_s_name_and_the_release_s_tag() -> None:
    (recipe,) = planned({"app": ImageSource()}, prefix="registry.example.com/group")

    assert recipe.reference == "registry.example.com/group/cities:master-0a1b2c3d"
    assert (recipe.context, recipe.dockerfile, recipe.compose_service) == ("/srv/cities", "", "app")
    assert recipe.facts == {"version": "0a1b2c3d", "branch": "master", "stack": "cities-master-0a1b2c3d"}
    assert recipe.machine_args == {"PYTHON_IMAGE": "mine"}


def test_of_several_images_each_but_the_service_s_own_bears_its_compose_service_too() -> None:
    found = planned({"cities": ImageSource(), "proxy": ImageSource(), "Work_er": ImageSource()})

    assert [recipe.reference.partition(":")[0] for recipe in found] == ["cities", "cities-proxy", "cities-work_er"]


def test_context_and_dockerfile_are_absolute_and_the_dockerfile_is_relative_to_the_context() -> None:
    (recipe,) = planned(
        {"app": ImageSource(context="../shared", dockerfile="docker/../Dockerfile.app", target="final")}
    )

    assert (recipe.context, recipe.dockerfile, recipe.target) == ("/srv/shared", "/srv/shared/Dockerfile.app", "final")


def test_the_manifest_s_images_win_over_compose_s() -> None:
    manifest = manifest_of(images={"web": {"context": "web", "args": {"A": "1"}}})

    (recipe,) = planned({"app": ImageSource(), "web": None}, manifest=manifest)

    assert (recipe.compose_service, recipe.context, recipe.args) == ("web", "/srv/cities/web", {"A": "1"})
    assert recipe.key == "services/cities/config/package.json: pipeline.images.web"


def test_what_buildkit_alone_can_do_is_in_the_recipe() -> None:
    wanted = {"secrets": ["NPM_TOKEN"], "ssh": ["default"], "platforms": ["linux/amd64", "linux/arm64"]}

    (recipe,) = planned({"web": None}, manifest=manifest_of(images={"web": wanted}))

    assert (recipe.secrets, recipe.ssh) == (("NPM_TOKEN",), ("default",))
    assert recipe.platforms == ("linux/amd64", "linux/arm64")


def test_compose_s_builds_leave_services_with_neither_aside() -> None:
    (recipe,) = planned({"app": ImageSource(), "db": None})

    assert (recipe.compose_service, recipe.key) == ("app", "docker-compose.yml: services.app.build")


def test_a_single_service_with_neither_image_nor_build_is_built_from_the_folder() -> None:
    (recipe,) = planned({"app": None})

    assert (recipe.compose_service, recipe.context) == ("app", "/srv/cities")


def test_two_services_with_neither_are_refused() -> None:
    with pytest.raises(BadInput, match="app, db have neither image nor build"):
        planned({"app": None, "db": None})


def test_a_stack_of_others_images_builds_none() -> None:
    assert planned({}) == ()


def test_labels_say_where_an_image_comes_from() -> None:
    release = release_of(manifest_of(), source="https://ci:secret@gitlab.example.com/group/cities.git")

    assert image_labels(release, "app") == {
        "org.opencontainers.image.revision": SHA,
        "org.opencontainers.image.source": "https://gitlab.example.com/group/cities.git",
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
        "org.opencontainers.image.version": "0a1b2c3d",
        "org.opencontainers.image.ref.name": "master",
        "org.opencontainers.image.title": "cities",
        "pipeline.service": "cities",
        "pipeline.compose-service": "app",
        "pipeline.stack": "cities-master-0a1b2c3d",
        "pipeline.branch": "master",
        "pipeline.commit": SHA,
    }


@pytest.mark.parametrize(
    ("url", "shown"),
    [("git@github.com:a/b.git", "git@github.com:a/b.git"), ("ssh://git@host/a", "ssh://host/a"), ("https://[", None)],
)
def test_a_source_is_shown_without_its_login(url: str, shown: str | None) -> None:
    assert image_labels(release_of(manifest_of(), source=url), "app").get("org.opencontainers.image.source") == shown


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cities", Reference(registry="", path="cities", tag="latest")),
        ("group/cities:1", Reference(registry="", path="group/cities", tag="1")),
        ("localhost/cities:1", Reference(registry="localhost", path="cities", tag="1")),
        ("127.0.0.1:5000/a/b", Reference(registry="127.0.0.1:5000", path="a/b", tag="latest")),
        ("r.example.com/a:1@sha256:0", Reference(registry="r.example.com", path="a", tag="1", digest="sha256:0")),
        ("a@sha256:0", Reference(registry="", path="a", digest="sha256:0")),
    ],
)
def test_a_reference_falls_into_its_parts(text: str, found: Reference) -> None:
    assert parse_reference(text) == found


def test_a_label_s_value_stays_inside_of_its_quotes() -> None:
    found = labelling("sha256:1", {"branch": 'feature/"; rm -rf $HOME; "\\\nFROM evil'})

    assert found == b'FROM sha256:1\nLABEL "branch"="feature/\\"; rm -rf \\$HOME; \\"\\\\ FROM evil"\n'


def test_an_image_is_run_by_its_digest_where_it_has_one() -> None:
    image = BuiltImage(compose_service="app", reference="cities:1", id="sha256:1")

    assert image.runnable == "sha256:1"
    assert (
        BuiltImage(compose_service="app", reference="r/c:1", id="sha256:1", digest="r/c@sha256:2").runnable
        == "r/c@sha256:2"
    )
