"""Files are read whole and written atomically."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from pipeline.edge.files import read_file, write_file
from pipeline.errors import BadInput


def test_a_file_is_written_with_its_folders_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "script.sh"

    write_file(path, b"one", mode=0o755)
    write_file(path, b"two", mode=0o755)

    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert os.listdir(path.parent) == ["script.sh"]


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        write_file(tmp_path / "x", b"")
    finally:
        os.umask(previous)

    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


def test_a_reader_sees_the_old_file_or_the_new_one_whole(tmp_path: Path) -> None:
    path, done = tmp_path / "x", threading.Event()
    contents = {b"a" * 300_000, b"b" * 300_000}
    write_file(path, b"a" * 300_000)

    def write() -> None:
        for _ in range(10):
            for content in contents:
                write_file(path, content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_bytes())
    writer.join()

    assert seen <= contents


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "kept").write_text("kept")

    with pytest.raises(BadInput, match=r"x cannot be written"):
        write_file(folder, b"a file cannot replace a folder")

    assert os.listdir(tmp_path) == ["x"]
    assert (folder / "kept").read_text() == "kept"


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(BadInput, match=r"file/x cannot be written: (Not a directory|File exists)") as refused:
        write_file(tmp_path / "file" / "x", b"")

    assert refused.value.hint


def test_a_file_that_cannot_be_read_is_named_with_the_hint(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file") as refused:
        read_file(tmp_path / "missing", hint="Make it.")
    assert refused.value.hint == "Make it."

    with pytest.raises(BadInput, match="Is a directory"):
        read_file(tmp_path, hint="Make it.")
