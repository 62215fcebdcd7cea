"""The shell functions that every generated script begins with, as they ship inside the package."""

from __future__ import annotations

from pathlib import Path


def shell_library() -> str:
    """The text of pipeline/shell/lib.sh."""
    return (Path(__file__).parents[1] / "shell" / "lib.sh").read_text(encoding="utf-8")


def host_library() -> str:
    """The text of pipeline/shell/host.sh: what is done on machines that are built over SSH."""
    return (Path(__file__).parents[1] / "shell" / "host.sh").read_text(encoding="utf-8")
