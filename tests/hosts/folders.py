"""Small folders of the layout that docs/bootstrap.md describes, made by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.edge.ssh_folder import read_folder
from pipeline.model.steps import Folder

EQUAL = {"schema_version": 1, "environment": "stage", "differences": [], "not_compared": [], "found": {"containers": 1}}
VERIFY = f"printf '%s\\n' '{json.dumps(EQUAL)}'\n"


def differing(*differences: str) -> str:
    """A verification that names these."""
    return f"printf '%s\\n' '{json.dumps(EQUAL | {'differences': differences})}'\nexit 1\n"


def write_folder(
    path: Path,
    scripts: Mapping[str, str],
    *,
    first: tuple[str, ...] = ("70-verify.sh",),
    files: Mapping[str, str] | None = None,
    variables: str = "",
    environment: str = "stage",
) -> Path:
    """Scripts by name, in order; those in `first` run on the first host only. A verification that finds nothing is
    added when there is none."""
    all_scripts = dict(scripts) if any("-verify" in name for name in scripts) else {**scripts, "70-verify.sh": VERIFY}
    steps = [{"script": name, "hosts": "first" if name in first else "every"} for name in all_scripts]
    contents = {
        "environment.json": json.dumps({"environment": environment, "steps": steps}),
        "lib.sh": "set -eu\n",
        "README.md": "By hand.\n",
        "variables.env.example": variables,
        **all_scripts,
        **(files or {}),
    }
    for name, text in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    write_sums(path)
    return path


def write_sums(path: Path) -> None:
    names = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
    lines = [
        f"{hashlib.sha256((path / name).read_bytes()).hexdigest()}  {name}\n" for name in names if name != "SHA256SUMS"
    ]
    (path / "SHA256SUMS").write_text("".join(lines))


def made(path: Path, scripts: Mapping[str, str], **more: object) -> Folder:
    return read_folder(write_folder(path, scripts, **more))  # type: ignore[arg-type]
