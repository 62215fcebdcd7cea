"""The docker command's words and environment for a build, and what is refused before it."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.builders.buildkit_job import (
    BuildKitJob,
    Driver,
    attested,
    build_environment,
    build_words,
    check_job,
    needs_whole,
)
from pipeline.edge.docker_command import DockerCommand
from pipeline.errors import BadInput
from pipeline.model.address import EngineAddress
from pipeline.model.secret import Secret

BUILTIN = DockerCommand(path="/usr/bin/docker", version="20.10.24", kind="builtin")
BUILDX = DockerCommand(path="/usr/bin/docker", version="28.2.2", kind="buildx", buildx="0.30.1")
OLD_BUILDX = DockerCommand(path="/usr/bin/docker", version="23.0.0", kind="buildx", buildx="0.9.1")
WHOLE = Driver(name="docker-container", whole=True)
PLAIN = Driver(name="docker", whole=False)
BOTH = ("linux/amd64", "linux/arm64")
KEY = "package.json: pipeline.images.web"


def job(**fields: Any) -> BuildKitJob:
    return BuildKitJob(**{"engine": EngineAddress(), "key": KEY, **fields})


def words(command: DockerCommand, *, builder: str = "", **fields: Any) -> list[str]:
    return build_words(job(**fields), command, builder=builder, folder="/tmp/f", source="-")


def test_a_client_with_buildkit_built_in_is_told_everything_but_values() -> None:
    found = words(
        BUILTIN,
        dockerfile="docker/app.Dockerfile",
        target="final",
        args={"B": "2", "A": "$(one)"},
        labels={"x": "a b\n'\"$(c)"},
        secrets={"TOKEN": Secret("hunter2"), "KEY": Secret("hunter3")},
        ssh=("default", "git"),
        cache_from=("r.example.com/a:1", "r.example.com/a:2"),
        cache_to="inline",
        platforms=("linux/amd64",),
        no_cache=True,
    )

    assert found == [
        "/usr/bin/docker", "build", "--progress=plain", "--file", "docker/app.Dockerfile", "--iidfile", "/tmp/f/id",
        "--build-arg", "A", "--build-arg", "B", "--build-arg", "BUILDKIT_INLINE_CACHE=1",
        "--label", "x=a b\n'\"$(c)",
        "--cache-from", "r.example.com/a:1", "--cache-from", "r.example.com/a:2",
        "--secret", "id=KEY,env=PIPELINE_BUILD_SECRET_0", "--secret", "id=TOKEN,env=PIPELINE_BUILD_SECRET_1",
        "--ssh", "default", "--ssh", "git",
        "--platform", "linux/amd64", "--target", "final", "--no-cache", "--", "-",
    ]  # fmt: skip


def test_buildx_loads_a_plain_image_into_the_engine() -> None:
    assert words(BUILDX, builder="default") == [
        "/usr/bin/docker", "buildx", "build", "--progress=plain", "--file", "Dockerfile", "--iidfile", "/tmp/f/id",
        "--metadata-file", "/tmp/f/metadata", "--builder", "default", "--load", "--provenance=false", "--sbom=false",
        "--", "-",
    ]  # fmt: skip


def test_buildx_pushes_several_platforms_with_their_cache_and_attestations() -> None:
    found = words(
        BUILDX,
        platforms=BOTH,
        push=True,
        reference="r.example.com/a:1",
        cache_to="registry",
        cache_reference="r.example.com/a:cache",
        attest=("provenance", "sbom"),
    )

    assert found[8:] == [
        "--metadata-file", "/tmp/f/metadata", "--push", "--tag", "r.example.com/a:1",
        "--cache-to", "type=registry,mode=max,ref=r.example.com/a:cache", "--provenance=mode=min", "--sbom=true",
        "--platform", "linux/amd64,linux/arm64", "--", "-",
    ]  # fmt: skip


def test_an_old_buildx_is_not_asked_for_what_it_does_not_know() -> None:
    assert not [word for word in words(OLD_BUILDX, attest=("sbom",)) if "provenance" in word or "sbom" in word]


def test_a_dockerfile_whose_name_begins_with_a_dash_is_no_flag() -> None:
    assert "./-f" in words(BUILTIN, dockerfile="-f")


def test_values_of_args_and_secrets_are_in_the_environment_alone() -> None:
    wanted = job(args={"A": "", "B": "x\ny"}, secrets={"PATH": Secret("hunter2")})

    environ = build_environment(wanted, {"PATH": "/bin", "A": "other", "BUILDKIT_PROGRESS": "tty"})

    assert environ == {
        "PATH": "/bin",
        "A": "",
        "B": "x\ny",
        "PIPELINE_BUILD_SECRET_0": "hunter2",
        "DOCKER_BUILDKIT": "1",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        "DOCKER_CLI_HINTS": "false",
        "NO_COLOR": "1",
    }


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_BUILDKIT", "BUILDX_BUILDER", "HTTP_PROXY", "https_proxy",
     "NO_PROXY", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "NO_COLOR", "SOURCE_DATE_EPOCH", "LD_PRELOAD"],
)  # fmt: skip
def test_an_arg_whose_name_steers_the_command_does_not_reach_its_environment(name: str) -> None:
    wanted = job(args={name: "elsewhere"})
    before = build_environment(job(), {"PATH": "/bin", "HOME": "/root"})

    assert build_environment(wanted, {"PATH": "/bin", "HOME": "/root"}) == before
    assert f"{name}=elsewhere" in build_words(wanted, BUILTIN, builder="", folder="/f", source="-")


@pytest.mark.parametrize(
    ("args", "what"),
    [
        ({"HTTP_PROXY": "http://me:hunter2@proxy:3128"}, "HTTP_PROXY holds a login"),
        ({"DOCKER_AUTH_CONFIG": "{}"}, "DOCKER_AUTH_CONFIG holds a login"),
        ({"A": "x\0y"}, "'A' cannot be given"),
        ({"A=B": "x"}, "'A=B' cannot be given"),
        ({"": "x"}, "'' cannot be given"),
    ],
)
def test_an_arg_that_cannot_be_given_safely_is_refused_without_its_value(args: dict[str, str], what: str) -> None:
    with pytest.raises(BadInput, match=what) as refused:
        words(BUILTIN, args=args)

    assert KEY in refused.value.what
    assert "hunter2" not in refused.value.what + refused.value.hint


@pytest.mark.parametrize(
    ("fields", "command", "driver", "what", "hint"),
    [
        ({"platforms": BOTH}, BUILDX, WHOLE, "linux/amd64, linux/arm64: an image of several platforms exists only in a registry", "or name one platform"),
        ({"platforms": BOTH, "push": True}, BUILTIN, None, "20.10.24 at /usr/bin/docker cannot build linux/amd64, linux/arm64", "buildx plugin"),
        ({"platforms": BOTH, "push": True}, BUILDX, PLAIN, "has the driver docker, which cannot build linux/amd64", "docker buildx create --use"),
        ({"cache_to": "registry"}, BUILTIN, None, "cannot keep its cache in a registry", "buildx plugin"),
        ({"cache_to": "registry"}, BUILDX, PLAIN, "cannot keep its cache in a registry", "docker buildx create --use"),
        ({"push": True}, BUILTIN, None, "cannot push", "buildx plugin"),
        ({"push": True, "reference": ""}, BUILDX, WHOLE, "a push wants a reference", "CI_REGISTRY_IMAGE"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_with_what_to_do(
    fields: dict[str, Any], command: DockerCommand, driver: Driver | None, what: str, hint: str
) -> None:
    with pytest.raises(BadInput) as refused:
        check_job(job(**{"reference": "r.example.com/a:1", **fields}), command, driver)

    assert what in refused.value.what
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("fields", "command", "driver"),
    [
        ({"platforms": ("linux/arm64",)}, BUILTIN, None),
        ({"cache_to": "inline"}, BUILTIN, None),
        ({"cache_to": "inline"}, BUILDX, None),
        ({"platforms": BOTH, "push": True, "reference": "r/a:1"}, BUILDX, WHOLE),
        ({"cache_to": "registry"}, BUILDX, WHOLE),
    ],
)
def test_what_can_be_had_is_not_refused(fields: dict[str, Any], command: DockerCommand, driver: Driver | None) -> None:
    check_job(job(**fields), command, driver)


def test_the_engine_itself_builds_what_it_can() -> None:
    assert not needs_whole(job(cache_to="inline", platforms=("linux/arm64",)))
    assert needs_whole(job(cache_to="registry"))
    assert needs_whole(job(platforms=BOTH))
    assert needs_whole(job(push=True))


@pytest.mark.parametrize(
    ("fields", "command", "given", "lack"),
    [
        ({}, BUILDX, (), "not asked for"),
        ({"attest": ("sbom",)}, BUILTIN, (), "has no buildx plugin"),
        ({"attest": ("sbom",), "push": True}, OLD_BUILDX, (), "buildx 0.9.1 is older than 0.10"),
        ({"attest": ("sbom",)}, BUILDX, (), "the builder pushes none"),
        ({"attest": ("sbom",), "push": True}, BUILDX, ("sbom",), ""),
    ],
)
def test_attestations_are_promised_only_where_they_are_made(
    fields: dict[str, Any], command: DockerCommand, given: tuple[str, ...], lack: str
) -> None:
    found, why = attested(job(**fields), command)

    assert found == given
    assert lack in why
    assert bool(why) == (not given)
