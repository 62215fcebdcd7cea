"""--commit: the difference on the branch bootstrap/<environment>, pushed; nothing when nothing changed."""

from __future__ import annotations

from urllib.parse import urlsplit

from pipeline.command import PENDING
from pipeline.edge.branch import Branch
from pipeline.edge.folder import digest_only
from pipeline.errors import Failed
from pipeline.flows import bootstrap as flow
from pipeline.model.bootstrap_drift import drift, sums_of
from pipeline.model.bootstrap_folder import folder_name
from pipeline.model.secret import Secret
from pipeline.verbs.bootstrap import write_down
from pipeline.wiring import Session

_TRIES = 3
_SUBJECT = 72
_NO_PIPELINE = "[skip ci]"
"""In a commit's message: GitLab starts no pipeline for it."""


def run(session: Session, wish: flow.Wish, *, check: bool) -> int:
    name = session.require_environment()
    found = write_down(session, wish, digest_only)
    files = {path: text.encode() for path, text in found.files.items()}
    folder = f"bootstrap/{folder_name(name)}"
    branch = _branch(session, folder)
    for _ in range(_TRIES):
        parent = branch.tip()
        there = branch.files(parent, folder)
        lines = drift(found.files, there.get, sums_of(there), where=folder)
        if there == files or check:
            session.console.result("\n".join(lines) or f"{branch.name} is as what runs")
            return PENDING if lines else 0
        made = branch.commit(parent, folder, files, _message(name, lines))
        if branch.push(made):
            session.console.result(f"{branch.name}: {made[:8]}: {_subject(name, lines)}")
            return 0
    raise Failed(
        f"somebody else pushed to {branch.name} {_TRIES} times meanwhile",
        hint="Is another job doing the same? Run it again.",
    )


def _branch(session: Session, name: str) -> Branch:
    """In a CI job the checkout's origin has a login of the job that may not push: the project's own URL is taken."""
    variables = session.variables
    token = Secret(variables.get("BOOTSTRAP_GIT_TOKEN", ""))
    session.console.mask((token,))
    project = variables.get("CI_PROJECT_URL", "")
    usable = bool(token) and urlsplit(project).scheme in ("http", "https")
    return Branch(root=session.root, name=name, url=f"{project}.git" if usable else "", token=token)


def _subject(name: str, lines: tuple[str, ...]) -> str:
    text = f"Bootstrap of {name}: {lines[0] if len(lines) == 1 else f'{len(lines)} differences'}"
    return text if len(text) <= _SUBJECT else f"{text[: _SUBJECT - 1]}…"


def _message(name: str, lines: tuple[str, ...]) -> str:
    body = "\n".join(f"- {line}" for line in lines)
    return f"{_subject(name, lines)}\n\n{body}\n\n{_NO_PIPELINE}\n"
