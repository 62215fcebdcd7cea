"""What git says of a checkout. CI's variables win over it, so that a job in a detached HEAD knows its branch."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import BadInput, Failed
from pipeline.model.artifact import OWN_OUTPUTS
from pipeline.model.release import Checkout

_SECONDS = 60.0
_REMOTE_SECONDS = 15.0
# Nobody sits there to type a password.
_UNASKED = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}
_COMMIT = re.compile(r"[0-9a-f]{8,64}")
# A git hook sets these for its own repository, which need not be the one that we look at.
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worktree:
    """A checkout and the paths in it, from the root, that differ from the commit (our own outputs aside)."""

    checkout: Checkout
    changed: tuple[str, ...]

    def of(self, folder: str) -> Checkout:
        """The checkout as it is for a service in `folder` (relative to the root, `.` for all of it)."""
        return replace(self.checkout, dirty=bool(self.changed_in(folder)))

    def changed_in(self, folder: str) -> tuple[str, ...]:
        """What of `changed` is in the folder."""
        prefix = "" if folder == "." else f"{folder}/"
        return tuple(path for path in self.changed if path.startswith(prefix))


def read_worktree(root: Path, variables: Mapping[str, str]) -> Worktree:
    """The commit, the branch and the uncommitted changes, read once for all services of the repository.

    Raises BadInput when there is no git, no commit or no branch and no CI variable says it either, and when there is a
    repository that git refuses to read: what it would have said of changes cannot be guessed.
    """
    commit, branch = variables.get("CI_COMMIT_SHA", ""), variables.get("CI_COMMIT_REF_NAME", "")
    there = _is_repository(root, needed=not (commit and branch))
    commit = commit or _commit(root)
    branch = branch or _branch(root)
    # A commit that a shallow clone left out, or one that is none, is not asked about.
    known = _git(root, "show", "-s", "--format=%ct%x00%an%x00%s", commit, "--") if _COMMIT.fullmatch(commit) else None
    when, author, subject = known.split("\0", 2) if known else ("0", "", "")
    origin = variables.get("CI_PROJECT_URL") or _git(root, "remote", "get-url", "origin") or ""
    checkout = Checkout(
        commit=commit,
        branch=branch,
        slug=variables.get("CI_COMMIT_REF_SLUG", ""),
        committed_at=int(when),
        author=author,
        subject=subject,
        source=_without_credentials(origin),
    )
    return Worktree(checkout=checkout, changed=_changed(root) if there else ())


def read_branches(root: Path) -> frozenset[str] | None:
    """The branches that exist: of the remote `origin` and here. None when that cannot be told: no repository, or a
    remote that does not answer without asking for a password."""
    local = _git(root, "for-each-ref", "--format=%(refname)", "refs/heads")
    if local is None:
        return None
    found = set(local.splitlines())
    if _git(root, "remote", "get-url", "origin") is not None:
        listed = _git(root, "ls-remote", "--heads", "origin", seconds=_REMOTE_SECONDS)
        if listed is None:
            return None
        found |= {line.partition("\t")[2] for line in listed.splitlines()}
    return frozenset(name.removeprefix("refs/heads/") for name in found if name)


def changed_since(folder: str, commit: str) -> tuple[str, ...] | None:
    """The paths in `folder`, relative to it, that are not as they were in the commit, uncommitted and untracked ones
    too; None when git does not know the commit (a shallow clone) or the folder."""
    if not _COMMIT.fullmatch(commit) or not os.path.isdir(folder):
        return None
    path = Path(folder)
    try:
        differing = _run(path, "diff", "--name-only", "-z", "--no-renames", "--relative", commit, "--", ".")
        untracked = _run(path, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
    except FileNotFoundError:
        return None
    if differing.returncode or untracked.returncode:
        return None
    return tuple(sorted(set(os.fsdecode(differing.stdout + untracked.stdout).split("\0")) - {""}))


def _is_repository(root: Path, *, needed: bool) -> bool:
    """Whether git reads `root` as (part of) a repository. `needed`: nothing else says commit and branch."""
    try:
        done = _run(root, "rev-parse", "--git-dir")
    except FileNotFoundError as error:
        if not needed:
            return False
        raise BadInput(
            "git is not installed, and nothing else says which commit this is",
            hint="Install git, or set CI_COMMIT_SHA and CI_COMMIT_REF_NAME.",
        ) from error
    if done.returncode == 0:
        return True
    if any((folder / ".git").exists() for folder in (root.absolute(), *root.absolute().parents)):
        words = " ".join(done.stderr.decode(errors="replace").split())
        raise BadInput(
            f"git refuses to read {root}: {words}",
            hint=f"If it is owned by another user: git config --global --add safe.directory {root.absolute()}",
        )
    if needed:
        raise BadInput(
            f"{root} is not in a git repository",
            hint="Run `git init` and commit, or set CI_COMMIT_SHA and CI_COMMIT_REF_NAME.",
        )
    return False


def _changed(root: Path) -> tuple[str, ...]:
    """Paths that are modified or untracked, relative to `root`, which may lie below the repository's top."""
    ours = (f":(exclude){pattern}" for pattern in OWN_OUTPUTS)
    done = _run(root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", ".", *ours)
    if done.returncode:
        raise Failed(
            f"git could not tell what has changed in {root}: {' '.join(done.stderr.decode(errors='replace').split())}",
            hint="`git status` there tells more.",
        )
    listed = os.fsdecode(done.stdout)
    prefix = _git(root, "rev-parse", "--show-prefix") if listed else ""
    return tuple(entry[3:].removeprefix(prefix or "") for entry in listed.split("\0") if entry)


def _commit(root: Path) -> str:
    commit = _git(root, "rev-parse", "--verify", "HEAD^{commit}")
    if not commit:
        raise BadInput(f"{root} has no commit yet", hint="A release is a commit: `git add -A && git commit` first.")
    return commit


def _branch(root: Path) -> str:
    branch = _git(root, "symbolic-ref", "--short", "--quiet", "HEAD")
    if not branch:
        raise BadInput(
            f"{root} is on no branch (a detached HEAD)",
            hint="Check a branch out, or say which one is meant: CI_COMMIT_REF_NAME=master.",
        )
    return branch


def _git(root: Path, *words: str, seconds: float = 0.0) -> str | None:
    """git's answer without its line end, or None when it says no, is not there, or (with `seconds`) takes longer."""
    try:
        done = _run(root, *words, seconds=seconds or _SECONDS)
    except FileNotFoundError:
        return None
    except Failed:
        if seconds:
            return None
        raise
    return done.stdout.decode(errors="replace").rstrip("\n") if done.returncode == 0 else None


def _run(root: Path, *words: str, seconds: float = _SECONDS) -> subprocess.CompletedProcess[bytes]:
    variables = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK} | _UNASKED
    own = ("-C", str(root), "--no-optional-locks", "-c", "log.showSignature=false")
    try:
        return subprocess.run(["git", *own, *words], capture_output=True, timeout=seconds, check=False, env=variables)
    except subprocess.TimeoutExpired as error:
        raise Failed(
            f"git {words[0]} in {root} did not end within {seconds:g} s", hint="Try `git status` there by hand."
        ) from error


def _without_credentials(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)
