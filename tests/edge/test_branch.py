"""A folder is committed to a branch of its own: the checkout and its index stay, nobody's push is lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.edge.branch import Branch
from pipeline.errors import Failed
from pipeline.model.secret import Secret
from tests.edge.git_server import served_repository

FOLDER = "bootstrap/stage"


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    done = subprocess.run(["git", *who, "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone with one commit, of a bare origin."""
    origin, clone = tmp_path / "origin.git", tmp_path / "clone"
    git(tmp_path, "init", "-q", "--bare", "-b", "master", str(origin))
    git(tmp_path, "clone", "-q", str(origin), str(clone))
    (clone / "README").write_text("x")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "begin")
    git(clone, "push", "-q", "origin", "HEAD:master")
    return clone


def branch(checkout: Path) -> Branch:
    return Branch(root=checkout, name=FOLDER)


def committed(checkout: Path, files: dict[str, bytes]) -> str:
    one = branch(checkout)
    made = one.commit(one.tip(), FOLDER, files, "Say it\n\n[skip ci]\n")
    assert one.push(made)
    return made


def test_a_first_commit_makes_the_branch_on_what_is_checked_out(checkout: Path) -> None:
    made = committed(checkout, {"a.sh": b"#!/bin/sh\n", "stacks/x/y.yml": b"\x00\xff'\n"})

    origin = checkout.parent / "origin.git"
    assert git(origin, "rev-parse", FOLDER) == made
    assert git(origin, "ls-tree", "-r", "--name-only", FOLDER).split() == [
        "README",
        f"{FOLDER}/a.sh",
        f"{FOLDER}/stacks/x/y.yml",
    ]
    assert git(origin, "ls-tree", FOLDER, f"{FOLDER}/a.sh").startswith("100755")
    assert git(origin, "log", "-1", "--format=%B", FOLDER).endswith("[skip ci]")
    assert branch(checkout).files(made, FOLDER) == {"a.sh": b"#!/bin/sh\n", "stacks/x/y.yml": b"\x00\xff'\n"}


def test_the_folder_holds_the_new_files_only_and_the_rest_stays(checkout: Path) -> None:
    committed(checkout, {"a": b"1", "b": b"2"})

    made = committed(checkout, {"b": b"3"})

    assert branch(checkout).files(made, FOLDER) == {"b": b"3"}
    assert git(checkout.parent / "origin.git", "show", f"{FOLDER}:README") == "x"


def test_checkout_index_and_branches_stay_as_they_are(checkout: Path) -> None:
    (checkout / "README").write_text("changed")
    (checkout / "new").write_text("staged")
    git(checkout, "add", "new")
    before = git(checkout, "status", "--porcelain"), git(checkout, "for-each-ref"), git(checkout, "rev-parse", "HEAD")

    one = branch(checkout)
    one.commit(one.tip(), FOLDER, {"a": b"1"}, "x")

    assert (
        git(checkout, "status", "--porcelain"),
        git(checkout, "for-each-ref"),
        git(checkout, "rev-parse", "HEAD"),
    ) == before


def test_a_push_that_somebody_overtook_changes_nothing_and_says_so(checkout: Path) -> None:
    one = branch(checkout)
    late = one.commit(one.tip(), FOLDER, {"a": b"late"}, "late")
    committed(checkout, {"a": b"first"})

    assert not one.push(late)
    assert one.files(one.tip(), FOLDER) == {"a": b"first"}


def test_without_an_origin_the_branch_is_this_repositorys(checkout: Path) -> None:
    git(checkout, "remote", "remove", "origin")

    made = committed(checkout, {"a": b"1"})

    assert git(checkout, "rev-parse", f"refs/heads/{FOLDER}") == made


def test_a_refused_push_is_told_without_the_token(checkout: Path) -> None:
    token = Secret("t0kent0ken")
    one = Branch(root=checkout, name=FOLDER, url="http://127.0.0.1:1/x.git", token=token)

    with pytest.raises(Failed) as failed:
        one.tip()

    assert "t0kent0ken" not in str(failed.value)
    assert "BOOTSTRAP_GIT_TOKEN" in failed.value.hint
    assert "BOOTSTRAP_GIT_TOKEN" not in os.environ


def test_a_token_of_any_characters_opens_the_repository_and_its_own_error_names_no_value(
    checkout: Path, tmp_path: Path
) -> None:
    token = 'it\'s "quoted" \\n $HOME `id` %s'
    with served_repository(tmp_path / "gitlab", token) as repository:
        there = Branch(root=checkout, name=FOLDER, url=f"{repository.url}.git", token=Secret(token))
        made = there.commit(there.tip(), FOLDER, {"a": b"1"}, "Say it\n")
        assert there.push(made)
        assert repository.git("rev-parse", FOLDER) == made
        with pytest.raises(Failed) as failed:
            Branch(root=checkout, name=FOLDER, url=f"{repository.url}.git", token=Secret("wrong-one")).tip()

    assert "wrong-one" not in failed.value.what
