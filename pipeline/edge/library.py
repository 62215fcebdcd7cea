"""The shell functions that every generated script begins with, as they ship inside the package."""

from __future__ import annotations

from importlib.resources import files


def shell_library() -> str:
    """The text of pipeline/shell/lib.sh."""
    return files("pipeline").joinpath("shell/lib.sh").read_text(encoding="utf-8")
