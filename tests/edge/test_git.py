"""What git, or CI in its place, says of a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.edge.git import read_worktree
from pipeline.errors import BadInput
from pipeline.model.manifest import Manifest, Pipeline
from pipeline.model.release import make_release

CI = {"CI_COMMIT_SHA": "0a1b2c3d" * 5, "CI_COMMIT_REF_NAME": "feature/x"}
HOSTILE = 'feature/";rm-rf$HOME;"'


def git(folder: Path, *words: str) -> str:
    own = ("-c", "user.name=An Author", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *own, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit on master with two services."""
    folder = tmp_path / "repository"
    for name in ("cities", "towns"):
        (folder / "services" / name).mkdir(parents=True)
        (folder / "services" / name / "Dockerfile").write_text("FROM scratch\n")
    git(tmp_path, "init", "-q", "-b", "master", str(folder))
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "a subject: Düsseldorf")
    return folder


def test_git_says_commit_branch_author_and_time(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://token:hunter2@git.example/group/cities.git")

    found = read_worktree(repository, {})

    assert found.checkout.commit == git(repository, "rev-parse", "HEAD")
    assert (found.checkout.branch, found.checkout.slug) == ("master", "")
    assert (found.checkout.author, found.checkout.subject) == ("An Author", "a subject: Düsseldorf")
    assert found.checkout.committed_at == int(git(repository, "show", "-s", "--format=%ct"))
    assert found.checkout.source == "https://git.example/group/cities.git"
    assert found.changed == ()


def test_cis_variables_win_over_git(repository: Path) -> None:
    variables = CI | {"CI_COMMIT_REF_SLUG": "feature-x-2", "CI_PROJECT_URL": "https://gitlab.example/group/cities"}

    found = read_worktree(repository, variables).checkout

    assert (found.commit, found.branch, found.slug) == (CI["CI_COMMIT_SHA"], "feature/x", "feature-x-2")
    assert found.source == "https://gitlab.example/group/cities"
    assert (found.committed_at, found.subject) == (0, "")


@pytest.mark.parametrize("hostile", ["--output=pwned", "HEAD", "; touch pwned", "$(touch pwned)"])
def test_a_commit_that_is_none_never_reaches_git(repository: Path, hostile: str) -> None:
    found = read_worktree(repository, CI | {"CI_COMMIT_SHA": hostile})

    assert (found.checkout.commit, found.checkout.subject) == (hostile, "")
    assert not (repository / "pwned").exists()


def test_a_hostile_branch_is_a_text_like_any_other(repository: Path) -> None:
    git(repository, "checkout", "-qb", HOSTILE)

    checkout = read_worktree(repository, {}).checkout

    manifest = Manifest(name="cities", uri="/x", pipeline=Pipeline(), file="package.json")
    assert checkout.branch == HOSTILE
    assert make_release(manifest, checkout, "local").stack == f"cities-feature---rm-rf-home-{checkout.commit[:8]}"


def test_changes_are_told_service_by_service_and_our_own_outputs_are_none(repository: Path) -> None:
    (repository / "services" / "cities" / "Dockerfile").write_text("FROM other\n")
    (repository / "services" / "cities" / "new ü\n.txt").write_text("untracked")
    for ours in ("build/cities/artifact.json", "artifacts/createKongApi.cities.0a1b2c3d.sh", "artifacts/kong.0a.yaml"):
        (repository / ours).parent.mkdir(parents=True, exist_ok=True)
        (repository / ours).write_text("ours")

    found = read_worktree(repository, {})

    assert set(found.changed) == {"services/cities/Dockerfile", "services/cities/new ü\n.txt"}
    assert [found.of(f"services/{name}").dirty for name in ("cities", "towns", "cit")] == [True, False, False]
    assert found.of(".").dirty


def test_what_is_staged_deleted_or_renamed_is_a_change_and_what_is_ignored_is_none(repository: Path) -> None:
    (repository / ".gitignore").write_text("*.log\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "ignore")
    (repository / "services" / "cities" / "x.log").write_text("ignored")
    assert read_worktree(repository, {}).changed == ()

    git(repository, "mv", "services/cities/Dockerfile", "services/towns/Other")

    assert set(read_worktree(repository, {}).changed) == {"services/cities/Dockerfile", "services/towns/Other"}


def test_a_root_below_the_repositorys_top_has_paths_from_itself(repository: Path) -> None:
    (repository / "services" / "cities" / "new").write_text("x")
    (repository / "services" / "towns" / "new").write_text("x")

    found = read_worktree(repository / "services" / "cities", {})

    assert found.changed == ("new",)
    assert found.of(".").dirty


def test_a_detached_head_says_which_variable_helps(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")

    with pytest.raises(BadInput, match="a detached HEAD") as refused:
        read_worktree(repository, {})

    assert "CI_COMMIT_REF_NAME" in refused.value.hint
    assert read_worktree(repository, {"CI_COMMIT_REF_NAME": "master"}).checkout.branch == "master"


def test_an_unborn_branch_has_no_commit_yet(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "master")

    with pytest.raises(BadInput, match="has no commit yet") as refused:
        read_worktree(tmp_path, {})

    assert "git commit" in refused.value.hint


def test_a_folder_without_git_works_with_cis_variables_only(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not in a git repository") as refused:
        read_worktree(tmp_path, {})
    assert "git init" in refused.value.hint

    found = read_worktree(tmp_path, CI)

    assert (found.checkout.commit, found.changed) == (CI["CI_COMMIT_SHA"], ())


def test_a_machine_without_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BadInput, match="git is not installed"):
        read_worktree(tmp_path, {})
    assert read_worktree(tmp_path, CI).checkout.branch == "feature/x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_repository_of_somebody_else_is_told_from_none(repository: Path) -> None:
    """GitLab's runners check out as another user than the job's: silence would take a dirty worktree for a clean one."""
    subprocess.run(["chown", "-R", "65534", str(repository)], check=True)

    for variables in ({}, CI):
        with pytest.raises(BadInput, match=r"git refuses to read .* dubious ownership") as refused:
            read_worktree(repository / "services", variables)
        assert "safe.directory" in refused.value.hint


def test_a_broken_repository_is_told_from_none(repository: Path) -> None:
    shutil.rmtree(repository / ".git" / "objects")

    with pytest.raises(BadInput, match="git refuses to read"):
        read_worktree(repository, {})


def test_a_git_hooks_variables_do_not_send_us_to_another_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))

    assert read_worktree(repository, {}).checkout.subject.startswith("a subject")


def test_the_branches_that_exist_are_those_here_and_those_of_the_remote(tmp_path: Path) -> None:
    from pipeline.edge.git import read_branches

    def git(folder: Path, *words: str) -> None:
        who = ["-c", "user.name=T", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True)

    remote, here = tmp_path / "remote", tmp_path / "here"
    remote.mkdir()
    git(remote, "init", "-q", "-b", "master")
    git(remote, "commit", "-q", "--allow-empty", "-m", "one")
    git(remote, "branch", "feature/x")
    git(tmp_path, "clone", "-q", str(remote), "here")
    git(here, "branch", "mine")

    assert read_branches(here) == {"master", "feature/x", "mine"}
    assert read_branches(remote) == {"master", "feature/x"}
    assert read_branches(tmp_path / "nothing") is None
    git(here, "remote", "set-url", "origin", str(tmp_path / "gone"))
    assert read_branches(here) is None
