"""What flows back out of a pipeline in GitLab: the scripts of production, pushed to a branch over HTTP with a token of its
own. And the first pipeline's file, unchanged, in the toolkit's image."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker.errors
import pytest

from tests.edge.git_server import served_repository
from tests.end_to_end.estate import Estate, ask
from tests.end_to_end.gitlab_local import IMAGE, GitLab, Site, site
from tests.end_to_end.test_gitlab_pipelines import passed, project

pytestmark = pytest.mark.engine
TOKEN = "glpat-0123456789abcdef-WXYZ"
FIRST = Path(__file__).parents[1] / "first_pipeline" / "gitlab-ci.yml"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture
def gitlab(here: Site, tmp_path: Path) -> Iterator[GitLab]:
    yield from project(here, Estate(tmp_path / "hello", here.environment, single=True))


def test_what_runs_in_production_goes_back_into_its_branch_once_and_releases_nothing(
    gitlab: GitLab, here: Site, tmp_path: Path
) -> None:
    branch = f"bootstrap/{here.environment.name}"
    with served_repository(tmp_path / "gitlab", TOKEN) as repository:
        given = {"PIPELINE_PRODUCTION": "true", "PIPELINE_PRODUCTION_BRANCH": "master"}
        given |= {"CI_PROJECT_URL": repository.url, "BOOTSTRAP_GIT_TOKEN": TOKEN}
        released = gitlab.pipeline(**given)
        assert released.code == 0, str(released)
        assert passed(released) == ["build", "deploy production", "register production", "bootstrap"]
        first = repository.git("rev-parse", branch)
        again = gitlab.again("bootstrap", **given)
        wrong = gitlab.again("bootstrap", **{**given, "BOOTSTRAP_GIT_TOKEN": "wrong-token-wrong"})

    assert again.code == 0, str(again)
    assert repository.git("rev-parse", branch) == first
    assert repository.git("log", "-1", "--format=%B", branch).endswith("[skip ci]")
    files = repository.git("ls-tree", "-r", "--name-only", branch, f"bootstrap/{here.environment.name}/").split("\n")
    assert f"bootstrap/{here.environment.name}/70-verify.sh" in files
    assert f"{gitlab.estate.stack}" in repository.git(
        "show", f"{branch}:bootstrap/{here.environment.name}/environment.json"
    )
    assert wrong.code != 0
    assert "BOOTSTRAP_GIT_TOKEN" in wrong.err
    for text in (released.out + released.err, again.err, wrong.err):
        assert TOKEN not in text
        assert "wrong-token-wrong" not in text
    variables = {**here.variables(), **given}
    for name, releases in (("master", True), (branch, False)):
        listed = gitlab.run("--list", **{**variables, "CI_COMMIT_BRANCH": name, "CI_COMMIT_REF_NAME": name})
        assert ("deploy production" in listed.out) is releases, listed


def test_the_first_pipelines_file_runs_unchanged_in_the_toolkits_image(gitlab: GitLab, here: Site) -> None:
    """What is changed by an included file is what gitlab-ci-local cannot start: a privileged container beside the job."""
    engine = here.environment.engine
    shutil.copy(FIRST, gitlab.folder / "first.yml")
    (gitlab.folder / "no-dind.yml").write_text("include:\n  - local: first.yml\nservices: []\n")
    gitlab.estate.commit("the first pipeline")
    engine.images.get(IMAGE).tag("myrepository/carl", "latest")
    given = {"kong_admin": here.environment.admin, "kong_target_host": "api.example.com", "service_name": "hello"}
    given |= {"kong_cert": "config/package.json", "kong_key": "config/package.json"}
    try:
        ran = gitlab.run("register_stage", file="no-dind.yml", **{**here.variables(), **gitlab._own("master"), **given})
    finally:
        with contextlib.suppress(docker.errors.APIError):
            engine.images.remove("myrepository/carl:latest")

    assert ran.code == 0, str(ran)
    (route,) = ask(f"{here.environment.admin}/routes")[1]["data"]
    assert (route["paths"], route["hosts"]) == (["/ws/hello"], ["api.example.com"])
    (service,) = ask(f"{here.environment.admin}/services")[1]["data"]
    assert service["host"] == f"proxy.hello-master-{gitlab.estate.sha8}"
    assert "created: /ws/hello goes to http://proxy.hello-master-" in ran.out + ran.err
    # Its artifacts' paths cut a variable (`:0:8`), which a shell does and a runner does not: none is collected.
