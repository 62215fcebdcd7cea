"""What git says of a checkout. CI's variables win over it, so that a job in a detached HEAD knows its branch."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import BadInput
from pipeline.model.release import Checkout

_OUTPUTS = (":(exclude)build/*/artifact.json", ":(exclude)artifacts/createKongApi.*", ":(exclude)artifacts/kong.*")
_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Worktree:
    """A checkout and the paths in it, from the root, that differ from the commit (our own outputs aside)."""

    checkout: Checkout
    changed: tuple[str, ...]

    def of(self, folder: str) -> Checkout:
        """The checkout as it is for a service in `folder` (relative to the root, `.` for all of it)."""
        prefix = "" if folder == "." else f"{folder}/"
        return replace(self.checkout, dirty=any(path.startswith(prefix) for path in self.changed))


def read_worktree(root: Path, variables: Mapping[str, str]) -> Worktree:
    """The commit, the branch and the uncommitted changes, read once for all services of the repository.

    Raises BadInput when there is no git, no commit or no branch and no CI variable says it either.
    """
    commit = variables.get("CI_COMMIT_SHA") or _commit(root)
    branch = variables.get("CI_COMMIT_REF_NAME") or _branch(root)
    known = _git(root, "show", "-s", "--format=%ct%x00%an%x00%s", commit, "--")
    when, author, subject = known.split("\0", 2) if known else ("0", "", "")
    checkout = Checkout(
        commit=commit,
        branch=branch,
        slug=variables.get("CI_COMMIT_REF_SLUG", ""),
        committed_at=int(when),
        author=author,
        subject=subject,
        source=variables.get("CI_PROJECT_URL") or _without_credentials(_git(root, "remote", "get-url", "origin") or ""),
    )
    return Worktree(checkout=checkout, changed=_changed(root))


def _changed(root: Path) -> tuple[str, ...]:
    """Paths that are modified or untracked, relative to `root`, which may lie below the repository's top."""
    listed = _git(root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", ".", *_OUTPUTS)
    prefix = _git(root, "rev-parse", "--show-prefix") if listed else ""
    return tuple(entry[3:].removeprefix(prefix or "") for entry in (listed or "").split("\0") if entry)


def _commit(root: Path) -> str:
    commit = _git(root, "rev-parse", "--verify", "HEAD^{commit}")
    if commit:
        return commit
    if _git(root, "rev-parse", "--git-dir") is None:
        raise BadInput(
            f"{root} is not in a git repository",
            hint="Run `git init` and commit, or set CI_COMMIT_SHA and CI_COMMIT_REF_NAME.",
        )
    raise BadInput(f"{root} has no commit yet", hint="A release is a commit: `git add -A && git commit` first.")


def _branch(root: Path) -> str:
    branch = _git(root, "symbolic-ref", "--short", "--quiet", "HEAD")
    if not branch:
        raise BadInput(
            f"{root} is on no branch (a detached HEAD)",
            hint="Check a branch out, or say which one is meant: CI_COMMIT_REF_NAME=master.",
        )
    return branch


def _git(root: Path, *words: str) -> str | None:
    """git's answer without its line end, or None when it says no or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "--no-optional-locks", *words],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.decode(errors="replace").rstrip("\n") if done.returncode == 0 else None


def _without_credentials(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)
