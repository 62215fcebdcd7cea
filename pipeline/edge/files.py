"""Files: read whole, written atomically."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipeline.errors import BadInput


def read_file(path: Path, *, hint: str) -> bytes:
    """The file's bytes. Raises BadInput naming it when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", hint=hint) from error


def write_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """The whole new file or the old one, also when the machine stops in between; folders are made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, mode)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise BadInput(
            f"{path} cannot be written: {error.strerror}", hint="Check the folder's owner and the free space."
        ) from error
