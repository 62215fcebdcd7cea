"""GitLab's log format: sections that fold, with how long they took (docs.gitlab.com/ci/jobs/job_logs)."""

from __future__ import annotations

import re

_CLEAR = "\x1b[0K"
"""Takes the marker's own line away: the one escape that a job prints, since GitLab's log reads it."""


def section_start(name: str, title: str, *, now: float) -> str:
    """The line that opens a section."""
    return f"{_CLEAR}section_start:{int(now)}:{_word(name)}\r{_CLEAR}{title}"


def section_end(name: str, *, now: float) -> str:
    """The line that closes it; GitLab shows the time between the two."""
    return f"{_CLEAR}section_end:{int(now)}:{_word(name)}\r{_CLEAR}"


def _word(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_.-]", "_", name)
