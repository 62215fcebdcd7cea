"""What ships inside the package as files: the shell functions of generated scripts, pieces of pipelines, schemas."""

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


def pipeline_pieces(names: Iterable[str]) -> dict[str, str]:
    """The pieces that a GitLab pipeline is put together from, by name: pipeline/templates/<name>.yml."""
    folder = Path(__file__).parents[1] / "templates"
    return {name: (folder / f"{name}.yml").read_text(encoding="utf-8") for name in names}


def gitlab_schema() -> bytes:
    """GitLab's own JSON schema of a .gitlab-ci.yml (pipeline/schema/gitlab-ci.LICENSE)."""
    return (Path(__file__).parents[1] / "schema" / "gitlab-ci.json").read_bytes()


def _read(name: str) -> str:
    return (Path(__file__).parents[1] / "shell" / name).read_text(encoding="utf-8")
