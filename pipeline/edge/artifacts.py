"""Restore artifacts on disk: the newest of a whole gateway."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.errors import BadInput

_WHOLE = re.compile(r"createKongApi\.[0-9a-f]{8}(-dirty)?\.sh")


def newest_artifact(folder: Path, environment: str) -> Path:
    """The newest script of a whole gateway of this environment: by its time of change, then by its name."""
    found = [path for path in folder.glob("createKongApi.*.sh") if _WHOLE.fullmatch(path.name)]
    of_this = [path for path in found if _is_of(path, environment)]
    if not of_this:
        raise BadInput(
            f"{folder} has no restore artifact of {environment} (createKongApi.<sha8>.sh)",
            hint="Download the artifacts of the last register job, or name the file.",
        )
    return max(of_this, key=lambda path: (path.stat().st_mtime, path.name))


def _is_of(path: Path, environment: str) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        head = "".join(line for line, _ in zip(file, range(5), strict=False))
    return f", environment {environment}, commit " in head
