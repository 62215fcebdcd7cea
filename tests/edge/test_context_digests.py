"""Remembered digests are always those of the context as it is; only what moved is read again."""

from __future__ import annotations

import ast
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.edge.context import digest, read_context
from pipeline.edge.context_digests import ContextDigests, ContextPlace
from pipeline.errors import BadInput

SETTLED = 0.03
"""Seconds after which these tests trust a file; more than the kernel's tick."""


def place_of(folder: Path, dockerfile: str = "") -> ContextPlace:
    return ContextPlace(root=str(folder), dockerfile=dockerfile, key="services.app.build")


def fresh(place: ContextPlace) -> str:
    return digest(read_context(place.root, place.dockerfile, key=place.key))


def remembering(memory: Path | None) -> ContextDigests:
    return ContextDigests(None if memory is None else str(memory), settled=SETTLED)


def settle() -> None:
    time.sleep(2 * SETTLED)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "service"
    made.mkdir()
    (made / "Dockerfile").write_text("FROM scratch\n")
    (made / "src").mkdir()
    (made / "src" / "main.py").write_text("print()\n")
    return made


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory"


_LOOK = """
import os, sys
seen = []
folder, memory, settled = sys.argv[1:4]
def listen(event, words):
    if event in ("open", "os.scandir") and isinstance(words[0], str) and words[0].startswith(folder):
        seen.append((event, os.path.relpath(words[0], folder)))
from pipeline.edge.context_digests import ContextDigests, ContextPlace
place = ContextPlace(root=folder, dockerfile="", key="key")
digests = ContextDigests(memory, settled=float(settled))
sys.addaudithook(listen)
digests.stamp([place])
print(digests.content(place).digest, seen, sep="\\n")
"""


def looked_at(folder: Path, memory: Path, path: str = "") -> tuple[str, set[str], set[str]]:
    """The digest that another process finds, the files that it opened for it and the folders that it listed."""
    words = [sys.executable, "-c", _LOOK, str(folder), str(memory), str(SETTLED)]
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    shown = subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout
    found, seen = shown.splitlines()
    events = ast.literal_eval(seen)
    opened, listed = ({name for kind, name in events if kind == which} for which in ("open", "os.scandir"))
    return found, opened, listed


def test_a_content_has_the_digest_the_files_and_the_size_of_its_context(folder: Path, memory: Path) -> None:
    os.link(folder / "src" / "main.py", folder / "src" / "same.py")
    (folder / "link").symlink_to("src")

    found = remembering(memory).content(place_of(folder))

    assert found.digest == fresh(place_of(folder))
    assert (found.files, found.size) == (3, len("FROM scratch\n") + len("print()\n"))


OUTLINE = {"Dockerfile"}
"""What is always read: the Dockerfile, and an ignore file where there is one."""


def test_what_is_as_it_was_is_neither_read_nor_listed_nor_written_down_again(folder: Path, memory: Path) -> None:
    settle()
    before = remembering(memory).content(place_of(folder))
    (written,) = memory.iterdir()
    when = written.stat().st_mtime_ns

    found, opened, listed = looked_at(folder, memory)

    assert (found, opened, listed) == (before.digest, OUTLINE, set())
    assert written.stat().st_mtime_ns == when


def test_of_what_changed_only_that_is_read(folder: Path, memory: Path) -> None:
    (folder / "src" / "other.py").touch()
    settle()
    remembering(memory).content(place_of(folder))
    (folder / "src" / "main.py").write_text("changed")

    found, opened, _ = looked_at(folder, memory)

    assert found == fresh(place_of(folder))
    assert opened == {*OUTLINE, "src/main.py"}


def test_what_is_younger_than_the_clock_s_tick_is_read_again(folder: Path, memory: Path) -> None:
    settle()
    (folder / "src" / "young.py").touch()
    now = ContextDigests(str(memory), settled=60).content(place_of(folder))

    found, opened, _ = looked_at(folder, memory)

    assert found == now.digest
    assert opened == {*OUTLINE, "src/young.py", "src/main.py"}


def test_a_file_of_the_future_is_never_trusted(folder: Path, memory: Path) -> None:
    later = time.time() + 10_000
    os.utime(folder / "src" / "main.py", (later, later))
    settle()
    remembering(memory).content(place_of(folder))

    assert looked_at(folder, memory)[1] == {*OUTLINE, "src/main.py"}


@pytest.mark.parametrize("name", ["node_modules", "[a]*?"])
def test_what_happens_in_a_folder_that_is_left_out_costs_nothing(folder: Path, memory: Path, name: str) -> None:
    (folder / ".dockerignore").write_text("node_modules\n\\[a]\\*\\?\n")
    (folder / name).mkdir()
    settle()
    remembering(memory).content(place_of(folder))
    (folder / name / "package").mkdir()

    _, opened, listed = looked_at(folder, memory)

    assert (opened, listed) == ({*OUTLINE, ".dockerignore"}, set())


def test_a_folder_that_a_pattern_s_characters_would_match_is_not_left_out(folder: Path, memory: Path) -> None:
    (folder / ".dockerignore").write_text("\\[a]\n")
    for name in ("[a]", "a"):
        (folder / name).mkdir()
    settle()
    digests = remembering(memory)
    digests.content(place_of(folder))
    (folder / "a" / "new").touch()

    assert digests.content(place_of(folder)).digest == fresh(place_of(folder))


def test_more_folders_left_out_than_find_can_be_told_of_are_walked_around(folder: Path, memory: Path) -> None:
    (folder / ".dockerignore").write_text("**/__pycache__\n")
    for number in range(300):
        (folder / "src" / str(number) / "__pycache__").mkdir(parents=True)
    settle()
    before = remembering(memory).content(place_of(folder))

    found, opened, listed = looked_at(folder, memory)

    assert (found, opened) == (before.digest, {*OUTLINE, ".dockerignore"})
    assert "src/299" in listed
    assert "src/299/__pycache__" not in listed


@pytest.mark.parametrize("name", ["left out\n", "\udcff", "é"])
def test_a_folder_left_out_whose_name_is_no_plain_text_is_walked_around(folder: Path, memory: Path, name: str) -> None:
    (folder / ".dockerignore").write_bytes(b"left*\n" + os.fsencode(name.strip()) + b"\n")
    (folder / name).mkdir()
    (folder / name / "inside").touch()
    settle()
    before = remembering(memory).content(place_of(folder))

    found, opened, listed = looked_at(folder, memory)

    assert (found, opened, listed) == (before.digest, {*OUTLINE, ".dockerignore"}, {".", "src"})


def test_the_toolkit_s_own_records_change_nothing_and_are_not_read(folder: Path, memory: Path) -> None:
    settle()
    before = remembering(memory).content(place_of(folder))
    (folder / "build" / "cities").mkdir(parents=True)
    (folder / "build" / "cities" / "artifact.json").touch()

    found, opened, _ = looked_at(folder, memory)

    assert (found, opened) == (before.digest, OUTLINE)


def test_an_ignore_file_outside_of_the_context_is_looked_at_each_time(folder: Path, memory: Path) -> None:
    outside = folder.parent / "Dockerfile.prod"
    outside.write_text("FROM scratch\n")
    ignore = folder.parent / "Dockerfile.prod.dockerignore"
    ignore.write_text("src\n")
    place = place_of(folder, str(outside))
    settle()
    digests = remembering(memory)
    before = digests.content(place).digest
    ignore.write_text("nothing\n")

    after = digests.content(place).digest

    assert after == fresh(place) != before


def test_a_linked_ignore_file_is_looked_at_each_time(folder: Path, memory: Path) -> None:
    shared = folder.parent / "shared"
    shared.write_text("src\n")
    (folder / ".dockerignore").symlink_to(shared)
    settle()
    digests = remembering(memory)
    digests.content(place_of(folder))
    shared.write_text("SRC\n")

    assert digests.content(place_of(folder)).digest == fresh(place_of(folder))


@pytest.mark.parametrize("stamps", ["with", "without"])
def test_a_context_in_another_is_stamped_by_its_own_ignore_file(folder: Path, memory: Path, stamps: str) -> None:
    inner = folder / "src"
    (inner / "Dockerfile").write_text("FROM scratch\n")
    (inner / "generated").mkdir()
    (folder / ".dockerignore").write_text("src/generated\n")
    places = [place_of(folder), place_of(inner)]
    settle()
    for place in places:
        remembering(memory).content(place)
    (inner / "generated" / "new").touch()

    digests = remembering(memory)
    if stamps == "with":
        digests.stamp(places)

    assert [digests.content(place).digest for place in places] == [fresh(place) for place in places]


def test_a_stamp_is_worth_one_look(folder: Path, memory: Path) -> None:
    settle()
    digests = remembering(memory)
    digests.content(place_of(folder))
    digests.stamp([place_of(folder)])
    digests.content(place_of(folder))
    (folder / "src" / "main.py").write_text("changed")

    assert digests.content(place_of(folder)).digest == fresh(place_of(folder))


def test_a_context_that_is_gone_is_named_and_spoils_no_other(folder: Path, memory: Path) -> None:
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    settle()
    digests = remembering(memory)
    for place in (place_of(folder), place_of(other)):
        digests.content(place)
    shutil.rmtree(other)

    digests.stamp([place_of(folder), place_of(other)])

    assert digests.content(place_of(folder)).digest == fresh(place_of(folder))
    with pytest.raises(BadInput, match=r"^services.app.build: the build context .*/other is not a folder$"):
        digests.content(place_of(other))


@pytest.mark.parametrize("says", ["find (busybox) 1.35", "nothing"])
def test_without_gnu_find_a_context_is_walked(folder: Path, memory: Path, tmp_path: Path, says: str) -> None:
    settle()
    before = remembering(memory).content(place_of(folder))
    (tmp_path / "bin").mkdir()
    if says != "nothing":
        (tmp_path / "bin" / "find").write_text(f"#!/bin/sh\necho '{says}'\n")
        (tmp_path / "bin" / "find").chmod(0o755)

    found, opened, listed = looked_at(folder, memory, path=str(tmp_path / "bin"))

    assert (found, opened, listed) == (before.digest, OUTLINE, {".", "src"})


@pytest.mark.parametrize("damage", ["cut", "one bit", "empty", "another version", "unreadable", "a folder"])
def test_what_cannot_be_read_is_as_if_nothing_had_been_remembered(folder: Path, memory: Path, damage: str) -> None:
    settle()
    remembering(memory).content(place_of(folder))
    (file,) = memory.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "one bit":
        content[-40] ^= 1
    elif damage == "another version":
        content[7] += 1
    file.write_bytes({"cut": content[:-9], "empty": b""}.get(damage, content))
    if damage in ("unreadable", "a folder"):
        file.unlink()
        file.mkdir() if damage == "a folder" else file.symlink_to(file)
    (folder / "src" / "main.py").write_text("changed")

    assert remembering(memory).content(place_of(folder)).digest == fresh(place_of(folder))


def test_every_byte_that_is_flipped_is_noticed(folder: Path, memory: Path) -> None:
    settle()
    remembering(memory).content(place_of(folder))
    (file,) = memory.iterdir()
    content = file.read_bytes()
    found = set()
    for index in range(0, len(content), 7):
        file.write_bytes(content[:index] + bytes([content[index] ^ 0x55]) + content[index + 1 :])
        found.add(remembering(memory).content(place_of(folder)).digest)

    assert found == {fresh(place_of(folder))}


@pytest.mark.parametrize("folder_of_memory", ["/proc/nowhere", "/dev/null"])
def test_where_nothing_can_be_written_the_process_remembers(folder: Path, folder_of_memory: str) -> None:
    digests = ContextDigests(folder_of_memory, settled=SETTLED)
    before = digests.content(place_of(folder)).digest
    (folder / "src" / "main.py").write_text("changed")

    assert digests.content(place_of(folder)).digest == fresh(place_of(folder))
    assert digests.differing(place_of(folder), before) == ("src/main.py",)


def test_what_is_remembered_is_for_its_owner_alone(folder: Path, memory: Path) -> None:
    previous = os.umask(0o022)
    try:
        remembering(memory).content(place_of(folder))
    finally:
        os.umask(previous)

    assert stat.S_IMODE(memory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in memory.iterdir()] == [0o600]


def test_what_no_run_has_used_for_90_days_is_removed(folder: Path, memory: Path) -> None:
    memory.mkdir()
    for days in (89, 91):
        (memory / f"{days}.context").touch()
        when = time.time() - days * 24 * 3600
        os.utime(memory / f"{days}.context", (when, when))

    remembering(memory).content(place_of(folder))

    assert {"89.context", "91.context"} & set(os.listdir(memory)) == {"89.context"}


def test_what_a_run_uses_is_kept(folder: Path, memory: Path) -> None:
    settle()
    remembering(memory).content(place_of(folder))
    (file,) = memory.iterdir()
    os.utime(file, (1_000_000_000, 1_000_000_000))

    remembering(memory).content(place_of(folder))

    assert time.time() - file.stat().st_mtime < 3600


@pytest.mark.parametrize("on_disk", [True, False])
def test_the_paths_that_differ_from_an_older_content_are_named(folder: Path, memory: Path, on_disk: bool) -> None:
    digests = remembering(memory if on_disk else None)
    contents = [digests.content(place_of(folder)).digest]
    for name, text in (("new", "x"), ("src/main.py", "2"), ("new", "y"), ("src/main.py", "print()\n")):
        (folder / name).write_text(text)
        contents.append(digests.content(place_of(folder)).digest)
    (folder / "src" / "main.py").chmod(0o755)
    later = remembering(memory) if on_disk else digests

    found = [later.differing(place_of(folder), content) for content in contents]

    both = ("new", "src/main.py")
    assert found == [both, both, both, ("src/main.py",), ("src/main.py",)]
    assert later.differing(place_of(folder), later.content(place_of(folder)).digest) == ()
    assert later.differing(place_of(folder), "0" * 64) is None


def test_the_last_few_contents_are_remembered(folder: Path, memory: Path) -> None:
    digests = remembering(memory)
    contents = []
    for number in range(12):
        (folder / "src" / "main.py").write_text(str(number))
        contents.append(digests.content(place_of(folder)).digest)

    found = [digests.differing(place_of(folder), content) for content in contents]

    assert found == [None] * 4 + [("src/main.py",)] * 7 + [()]


def test_two_at_once_do_not_disturb_each_other(folder: Path, memory: Path) -> None:
    for number in range(200):
        (folder / "src" / f"file{number}").write_text(str(number))
    settle()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: looked_at(folder, memory)[0], range(8)))

    assert set(found) == {fresh(place_of(folder))}
    assert len(os.listdir(memory)) == 1


NAMES = st.sampled_from(["a", "b", "c", ".dockerignore", "Dockerfile.dockerignore", "x\ny", "\udcff", "build", "[a]"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
EDITS = st.tuples(
    st.sampled_from(
        ["write", "write", "touch", "chmod", "rename", "delete", "folder", "link", "hard", "swap", "ignore"]
    ),
    PATHS,
    PATHS,
)
IGNORES = ("", "a\n", "a\n!a/b\n", "*\n!c\n", "**/b\n", "\\[a]\nbuild\n", "Dockerfile\n.dockerignore\n")


@settings(max_examples=40)
@given(steps=st.lists(st.lists(EDITS, max_size=4), max_size=5))
@example(steps=[[("ignore", "a", "a"), ("write", "a/b", "a")], [("write", "a/c", "a")], [("ignore", "b", "b")]])
@example(steps=[[], [("write", "a", "a"), ("ignore", "a", "a")], [("ignore", "a", "a")]])
def test_what_is_remembered_is_what_a_first_look_finds(steps: list[list[tuple[str, str, str]]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, memory = Path(name, "context"), Path(name, "memory")
        folder.mkdir()
        (folder / "Dockerfile").write_text("FROM scratch\n")
        place = place_of(folder)
        same, older = remembering(memory), []
        for number, edits in enumerate([[], *steps]):
            for kind, path, other in edits:
                _edit(folder, kind, path, other, number)
            if number % 2:
                settle()
            now = _told(partial(fresh, place))

            assert _told(lambda: same.content(place).digest) == now
            assert _told(lambda: remembering(memory).content(place).digest) == now
            if len(now) == 64:
                assert [one for one in older if same.differing(place, one) == ()] == [
                    one for one in older if one == now
                ]
                older.append(now)


def _told(look: Callable[[], str]) -> str:
    """The digest, or the words of the refusal."""
    try:
        return look()
    except BadInput as error:
        return error.what


def _edit(folder: Path, kind: str, path: str, other: str, number: int) -> None:
    place = folder / path
    try:
        if kind == "ignore":
            (folder / ".dockerignore").write_text(IGNORES[(len(path) + number) % len(IGNORES)])
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "write":
            place.write_text(str(number % 10))
        elif kind == "touch":
            os.utime(place, ns=(0, 1_000_000_000))
        elif kind == "chmod":
            place.chmod(0o700 + number)
        elif kind in ("rename", "swap"):
            place.rename(folder / other)
        elif kind == "delete":
            shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
        elif kind == "folder":
            place.mkdir()
        elif kind == "link":
            place.symlink_to(other)
        else:
            os.link(folder / "Dockerfile", place)
    except OSError:
        return
