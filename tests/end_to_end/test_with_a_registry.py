"""With a registry: images are pushed, deployed by digest, pulled where they are missing; from job to job, too."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.builders.engine_support import running_registry
from tests.end_to_end.estate import Estate, Ran

pytestmark = pytest.mark.engine


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


def in_a_job(estate: Estate, registry: str, *words: str, iid: str = "1") -> Ran:
    """A GitLab job of its own: nothing but the variables and the artifacts come along."""
    return estate.invoke(
        *words,
        GITLAB_CI="true",
        CI_COMMIT_SHA=estate.git("rev-parse", "HEAD"),
        CI_COMMIT_REF_NAME="master",
        CI_COMMIT_REF_SLUG="master",
        CI_PIPELINE_IID=iid,
        CI_PIPELINE_URL=f"https://gitlab.example.com/group/hello/-/pipelines/{iid}",
        CI_REGISTRY=registry,
        CI_REGISTRY_IMAGE=f"{registry}/estate",
        GITLAB_USER_LOGIN="somebody",
        # The platform of these jobs is the engine of this machine, said out loud as an environment in CI must.
        PLATFORM_DOCKER_HOST=os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock",
    )


def forget_images(estate: Estate, registry: str) -> None:
    engine = estate.environment.engine
    for image in engine.images.list(name=f"{registry}/estate/hello"):
        engine.images.remove(image.id, force=True)


def test_three_jobs_build_deploy_and_register_by_digest(estate: Estate, registry: str) -> None:
    built = in_a_job(estate, registry, "build")
    artifact = json.loads((estate.folder / "build" / "hello" / "artifact.json").read_text())
    digest = artifact["images"][0]["digest"]
    forget_images(estate, registry)

    deployed, registered = in_a_job(estate, registry, "deploy"), in_a_job(estate, registry, "register")

    assert (built.code, deployed.code, registered.code) == (0, 0, 0), (built, deployed, registered)
    assert digest.startswith(f"{registry}/estate/hello@sha256:")
    (container,) = estate.environment.containers()
    assert container.attrs["Config"]["Image"] == digest
    assert estate.ask(method="OPTIONS")[1]["stack"] == estate.stack


def test_without_the_artifact_the_registry_is_asked_for_the_tag(estate: Estate, registry: str) -> None:
    in_a_job(estate, registry, "build")
    shutil.rmtree(estate.folder / "build")
    forget_images(estate, registry)

    ran = in_a_job(estate, registry, "deploy")

    assert ran.code == 0, ran
    assert "@sha256:" in estate.environment.containers()[0].attrs["Config"]["Image"]


def test_the_artifact_of_another_commit_is_refused(estate: Estate, registry: str) -> None:
    in_a_job(estate, registry, "build")
    estate.behave("another commit")

    ran = in_a_job(estate, registry, "deploy")

    assert ran.code == 4, ran
    assert "artifact.json was made from" in ran.err


def test_an_older_pipeline_does_not_replace_a_newer_one_unless_forced(estate: Estate, registry: str) -> None:
    older = estate.sha8
    estate.behave("newer")
    newer = in_a_job(estate, registry, "build", "deploy", "register", iid="7")
    estate.git("checkout", "-q", "-B", "master", older)

    refused = in_a_job(estate, registry, "build", "deploy", "register", iid="6")
    forced = in_a_job(estate, registry, "build", "deploy", "--force", "register", "--force", iid="6")

    assert newer.code == 0, newer
    assert refused.code == 4, refused
    assert "pipeline 6 is older than pipeline 7" in refused.err
    assert forced.code == 0, forced
    assert estate.ask(method="OPTIONS")[1]["stack"] == estate.stack
