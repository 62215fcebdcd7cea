"""A generated folder on this machine: read and checked, and packed as the stream that a host unpacks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from pipeline.edge.context_entries import Entry
from pipeline.edge.files import read_file
from pipeline.edge.tar_blocks import BLOCK, header
from pipeline.errors import BadInput
from pipeline.model.steps import ENVIRONMENT, SUMS, VARIABLES, Folder, is_script, parse_folder, refuse_changed

_PIECE = 1 << 18
_MAKE = "Make it with `invoke bootstrap`, or name its folder with --output."


def read_folder(path: Path) -> Folder:
    """The folder, when every file is as SHA256SUMS has it. Raises BadInput for what is no such folder, Refused naming
    a file that was changed, is missing, or is a link."""
    sums = read_file(path / SUMS, hint=_MAKE)
    folder = parse_folder(
        sums,
        read_file(path / ENVIRONMENT, hint=_MAKE),
        read_file(path / VARIABLES, hint=_MAKE).decode(errors="replace"),
        [name for name in sorted(os.listdir(path)) if is_script(name)],
    )
    refuse_changed(folder.sums, {name: found for name in folder.sums if (found := _checksum(path, name))})
    return folder


def packed(path: Path, folder: Folder) -> Iterator[bytes]:
    """Its files (those of SHA256SUMS and that file itself) as a tar stream, in pieces. A file that changes meanwhile is
    found by the host's own check; one that becomes shorter breaks the stream off with BadInput."""
    for name in [*folder.sums, SUMS]:
        yield from _packed_file(path / name, name)
    yield bytes(2 * BLOCK)


def size_of(path: Path, folder: Folder) -> int:
    """Bytes of all its files."""
    return sum((path / name).stat().st_size for name in folder.sums)


def _packed_file(path: Path, name: str) -> Iterator[bytes]:
    with _open(path) as file:
        left = size = os.fstat(file.fileno()).st_size
        yield header(Entry(name, b"0", 0o755 if name.endswith(".sh") else 0o644, size, 0))
        while left:
            piece = file.read(min(_PIECE, left))
            if not piece:
                raise BadInput(f"{path} became shorter while it was copied", hint="Make the folder anew, then again.")
            left -= len(piece)
            yield piece
        yield bytes(-size % BLOCK)


def _checksum(root: Path, name: str) -> str:
    """Empty for what is not a file of the folder's own: a link may lead anywhere."""
    path = root / name
    if path.resolve() != root.resolve() / name or not path.is_file():
        return ""
    with _open(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", hint="Check its owner and mode.") from error
