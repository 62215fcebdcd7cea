"""The shell functions of generated scripts, as they ship inside the package."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def shell_library() -> str:
    """The text of pipeline/shell/lib.sh."""
    return _read("lib.sh")


def host_library() -> str:
    """The text of pipeline/shell/host.sh: what is done on machines that are built over SSH."""
    return _read("host.sh")


def shell_libraries(names: Iterable[str]) -> dict[str, str]:
    """The texts of several, by name."""
    return {name: _read(name) for name in names}


def _read(name: str) -> str:
    return (Path(__file__).parents[1] / "shell" / name).read_text(encoding="utf-8")
