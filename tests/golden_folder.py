"""Folders that are written byte for byte as the ones of tests/golden are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest


def compared(found: Mapping[str, str], folder: Path, request: pytest.FixtureRequest) -> None:
    """With --regold the folder is written anew."""
    if request.config.getoption("--regold"):
        for path in (old for old in folder.rglob("*") if old.is_file()):
            path.unlink()
        for name, text in found.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    there = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == there
