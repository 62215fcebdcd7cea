"""GNU's tools as children of ours: known by what they say of themselves, run in an environment that sets nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from typing import IO

_SETTINGS = ("TAR_OPTIONS", "TAPE", "POSIXLY_CORRECT", "FIND_BLOCK_SIZE", "LC_ALL", "LANGUAGE")


def find_program(names: tuple[str, ...], says: bytes, oldest: tuple[int, int], search: str = "") -> str:
    """The first of the programs on a PATH (else the environment's) whose `--version` begins with `says` and a version
    that is not too old; empty where there is none."""
    for name in names:
        path = shutil.which(name, path=search or os.environ.get("PATH", os.defpath))
        if path is None:
            continue
        try:
            done = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError:
            continue
        version = re.match(re.escape(says) + rb" (\d+)\.(\d+)", done.stdout)
        if version and (int(version[1]), int(version[2])) >= oldest:
            return path
    return ""


def plain_environment() -> dict[str, str]:
    """Ours, without what changes how such a tool reads its options or writes its words."""
    return {**{name: value for name, value in os.environ.items() if name not in _SETTINGS}, "LC_ALL": "C"}


def scratch_file() -> IO[bytes]:
    """A nameless file, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("pipeline"), "w+b")
    return tempfile.TemporaryFile()
