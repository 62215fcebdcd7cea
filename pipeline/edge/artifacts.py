"""Restore artifacts on disk: the newest of a whole gateway."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import BadInput

_WHOLE = re.compile(r"createKongApi\.[0-9a-f]{8}(-dirty)?\.sh")


def newest_artifact(folder: Path, environment: str) -> Path:
    """The newest script of a whole gateway of this environment: by its time of change, then by its name."""
    newest = newest_whole(artifacts_of(folder, environment))
    if newest is None:
        raise BadInput(
            f"{folder} has no restore artifact of {environment} (createKongApi.<sha8>.sh)",
            hint="Download the artifacts of the last register job, or name the file.",
        )
    return newest


def newest_whole(scripts: Iterable[Path]) -> Path | None:
    """The newest of those that bring a whole gateway back: by its time of change, then by its name."""
    whole = [path for path in scripts if _WHOLE.fullmatch(path.name)]
    return max(whole, key=lambda path: (path.stat().st_mtime, path.name), default=None)


def artifacts_of(folder: Path, environment: str) -> tuple[Path, ...]:
    """Every restore script of the environment, by name."""
    found = (path for path in sorted(folder.glob("createKongApi.*.sh")) if path.is_file())
    return tuple(path for path in found if _is_of(path, environment))


def remove_artifact(path: Path) -> None:
    """The script, and what lies beside one of a whole gateway. A second call changes nothing."""
    path.unlink(missing_ok=True)
    if _WHOLE.fullmatch(path.name):
        version = path.name.removeprefix("createKongApi.").removesuffix(".sh")
        for ending in ("yaml", "secrets.age"):
            (path.parent / f"kong.{version}.{ending}").unlink(missing_ok=True)


def _is_of(path: Path, environment: str) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        head = "".join(line for line, _ in zip(file, range(5), strict=False))
    return f", environment {environment}, commit " in head
