"""The walk, its digest and the stream, on real folders; GNU tar is asked for the same bytes where it is there."""

from __future__ import annotations

import io
import os
import shutil
import socket
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.edge.context import Context, digest, read_context
from pipeline.edge.context_entries import CHUNK
from pipeline.edge.tar import pack
from pipeline.errors import BadInput


def context_of(folder: Path, dockerfile: str = "") -> Context:
    return read_context(str(folder), dockerfile, key="services.app.build")


def paths(folder: Path, dockerfile: str = "") -> list[str]:
    return [entry.path for entry in context_of(folder, dockerfile).entries]


def members(context: Context) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pack(context))), errors="surrogateescape") as archive:
        return archive.getmembers()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "service"
    made.mkdir()
    (made / "Dockerfile").write_text("FROM scratch\n")
    return made


def test_names_come_in_the_order_of_their_bytes_each_folder_before_what_is_in_it(folder: Path) -> None:
    for name in ("a.txt", "a-b", "é", "Z", "\udcff", "\U0001f600"):
        (folder / name).touch()
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "c").touch()

    found = paths(folder)

    assert found == ["Dockerfile", "Z", "a", "a/b", "a/b/c", "a-b", "a.txt", "é", "\U0001f600", "\udcff"]


def test_an_ignored_folder_is_not_entered(folder: Path) -> None:
    (folder / "node_modules").mkdir()
    (folder / ".dockerignore").write_text("node_modules\n")
    shutil.copytree(folder, folder.parent / "same")
    (folder / "node_modules" / "loop").symlink_to("..")
    (folder / "node_modules" / "deep").mkdir(mode=0o000)

    found = digest(context_of(folder))

    assert found == digest(context_of(folder.parent / "same"))


def test_an_exception_brings_a_file_back_out_of_an_ignored_folder(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "kept").touch()
    (folder / "a" / "lost").touch()
    (folder / ".dockerignore").write_text("a\n!a/kept\n")

    found = paths(folder)

    assert found == [".dockerignore", "Dockerfile", "a/kept"]


def test_an_ignored_dockerfile_is_sent_and_counts_by_its_content_alone(folder: Path) -> None:
    (folder / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")

    context = context_of(folder)

    assert [entry.path for entry in context.entries] == [".dockerignore", "Dockerfile"]
    assert context.hidden == {".dockerignore", "Dockerfile"}
    assert digest(context) == digest(replace(context, entries=()))


def test_a_dockerfile_outside_of_the_context_is_sent_under_a_name_that_is_free(folder: Path) -> None:
    outside = folder.parent / "Dockerfile.prod"
    outside.write_text("FROM scratch\nCOPY . /\n")
    (folder / ".dockerfile.0").touch()

    context = context_of(folder, str(outside))

    assert context.dockerfile == ".dockerfile.1"
    assert context.dockerfile_text == outside.read_bytes()
    assert [member.name for member in members(context)][-2:] == [".dockerignore", ".dockerfile.1"]


def test_an_ignore_file_of_the_dockerfile_s_own_wins(folder: Path) -> None:
    (folder / ".dockerignore").write_text("a\n")
    (folder / "Dockerfile.dockerignore").write_text("b\n")
    (folder / "a").touch()
    (folder / "b").touch()

    found = paths(folder)

    assert found == [".dockerignore", "Dockerfile", "Dockerfile.dockerignore", "a"]


def test_a_lower_case_dockerfile_is_found(folder: Path) -> None:
    (folder / "Dockerfile").rename(folder / "dockerfile")

    assert context_of(folder).dockerfile == "dockerfile"


def test_what_the_toolkit_writes_into_a_repository_never_changes_a_context(folder: Path) -> None:
    before = digest(context_of(folder))
    for name in (
        "build/cities/artifact.json",
        "artifacts/createKongApi.cities.0a1b2c3d.sh",
        "artifacts/kong.0a1b2c3d.yaml",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("changes every time")

    assert digest(context_of(folder)) == before
    assert paths(folder) == ["Dockerfile"]


def test_no_exception_brings_the_toolkit_s_own_records_back(folder: Path) -> None:
    (folder / ".dockerignore").write_text("!build/cities/artifact.json\n")
    (folder / "build" / "cities").mkdir(parents=True)
    (folder / "build" / "cities" / "artifact.json").touch()

    assert paths(folder) == [".dockerignore", "Dockerfile"]


def test_files_of_one_s_own_beside_the_toolkit_s_are_sent_with_their_folders(folder: Path) -> None:
    (folder / "build" / "cities" / "lib").mkdir(parents=True)
    (folder / "build" / "cities" / "artifact.json").touch()
    (folder / "build" / "cities" / "lib" / "code.js").touch()

    found = paths(folder)

    assert found == ["Dockerfile", "build", "build/cities", "build/cities/lib", "build/cities/lib/code.js"]


def test_links_keep_what_they_are_and_sockets_are_left_out(folder: Path) -> None:
    (folder / "a").write_text("content")
    os.link(folder / "a", folder / "b")
    (folder / "c").symlink_to("/nowhere")
    os.mkfifo(folder / "d")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "e"))

    found = {member.name: (member.type, member.linkname) for member in members(context_of(folder))}

    assert found == {
        "Dockerfile": (tarfile.REGTYPE, ""),
        "a": (tarfile.REGTYPE, ""),
        "b": (tarfile.LNKTYPE, "a"),
        "c": (tarfile.SYMTYPE, "/nowhere"),
        "d": (tarfile.FIFOTYPE, ""),
    }


def test_owners_and_fractions_of_seconds_do_not_reach_the_stream(folder: Path) -> None:
    (folder / "a").touch()
    os.utime(folder / "a", ns=(0, 1_700_000_000_999_999_999))
    (folder / "a").chmod(0o4750)
    if os.geteuid() == 0:
        os.chown(folder / "a", 1234, 5678)
        (folder / "a").chmod(0o4750)

    found = next(member for member in members(context_of(folder)) if member.name == "a")

    assert (found.uid, found.gid, found.uname, found.gname) == (0, 0, "", "")
    assert (found.mtime, found.mode) == (1_700_000_000, 0o4750)


@pytest.mark.parametrize("change", ["touch", "link instead of a copy", "another owner"])
def test_what_docker_s_cache_ignores_does_not_change_the_digest(folder: Path, change: str) -> None:
    (folder / "a").write_text("same")
    (folder / "b").write_text("same")
    (folder / "c").symlink_to("a")
    (folder / "d").symlink_to("a")
    before = digest(context_of(folder))

    if change == "touch":
        os.utime(folder / "a", (1, 1))
    elif change == "link instead of a copy":
        (folder / "b").unlink()
        os.link(folder / "a", folder / "b")
        (folder / "d").unlink()
        os.link(folder / "c", folder / "d", follow_symlinks=False)
    elif os.geteuid() == 0:
        os.chown(folder / "a", 1234, 5678)

    assert digest(context_of(folder)) == before


@pytest.mark.parametrize("change", ["content", "mode", "name", "link", "kind", "new folder"])
def test_what_arrives_differently_changes_the_digest(folder: Path, change: str) -> None:
    (folder / "a").write_text("same")
    (folder / "c").symlink_to("a")
    before = digest(context_of(folder))

    if change == "content":
        (folder / "a").write_text("SAME")
    elif change == "mode":
        (folder / "a").chmod(0o755)
    elif change == "name":
        (folder / "a").rename(folder / "b")
    elif change == "link":
        (folder / "c").unlink()
        (folder / "c").symlink_to("b")
    elif change == "kind":
        (folder / "c").unlink()
        (folder / "c").write_text("a")
    else:
        (folder / "d").mkdir()

    assert digest(context_of(folder)) != before


def test_a_file_that_vanishes_after_the_walk_is_named(folder: Path) -> None:
    (folder / "gone").write_text("x")
    context = context_of(folder)
    (folder / "gone").unlink()

    with pytest.raises(BadInput, match=r"gone' cannot be read into the build context: No such file"):
        list(pack(context))


def test_a_file_that_shrinks_while_it_is_sent_is_named(folder: Path) -> None:
    (folder / "log").write_bytes(b"x" * (3 * CHUNK))
    stream = pack(context_of(folder))
    next(stream)
    os.truncate(folder / "log", 10)

    with pytest.raises(BadInput, match=r"log' cannot be read .* it became shorter"):
        list(stream)


def test_a_file_that_grows_is_sent_as_long_as_it_was(folder: Path) -> None:
    (folder / "log").write_text("one")
    context = context_of(folder)
    (folder / "log").write_text("one and two")

    assert {member.name: member.size for member in members(context)}["log"] == 3


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of a user who may not read everything."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "Dockerfile").write_text("FROM scratch\n")
        yield Path(name)
        os.seteuid(0)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_may_not_be_read_is_named(nobody: Path, kind: str) -> None:
    place = nobody / "private"
    place.mkdir() if kind == "folder" else place.touch()
    place.chmod(0o000)
    os.seteuid(65534)

    with pytest.raises(BadInput, match=r"private' cannot be read into the build context: Permission denied"):
        digest(context_of(nobody))


def test_a_missing_dockerfile_is_named_with_the_key_that_asked_for_it(folder: Path) -> None:
    (folder / "Dockerfile").unlink()

    with pytest.raises(BadInput, match=r"^services.app.build: there is no Dockerfile at .*/service/Dockerfile$"):
        context_of(folder)


def test_a_missing_context_is_named_with_the_key_that_asked_for_it(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"^services.app.build: the build context .*/nowhere is not a folder$"):
        context_of(folder / "nowhere")


def test_a_context_behind_a_symlink_is_the_folder_itself(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)

    assert digest(context_of(folder.parent / "link")) == digest(context_of(folder))


def test_a_big_file_is_streamed_in_pieces_that_fit_into_memory(folder: Path) -> None:
    with (folder / "big").open("wb") as file:
        file.truncate(64 << 20)

    assert max(len(piece) for piece in pack(context_of(folder))) <= 2 * CHUNK


NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)


@pytest.mark.skipif(shutil.which("tar") is None, reason="no GNU tar")
@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), st.binary(max_size=2000)), max_size=8),
    length=st.integers(95, 105),
    when=st.sampled_from([0, 1, -1, 1_700_000_000, 8**11, -5_000_000_000]),
)
def test_gnu_tar_makes_the_same_bytes(parts: list[tuple[list[str], bytes]], length: int, when: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Dockerfile").write_text("FROM scratch\n")
        (folder / ("n" * length)).symlink_to("l" * length)
        for names, content in parts:
            _try_to_write(folder.joinpath(*names), content)
        (folder / "b\udcff").mkdir()
        os.link(folder / "Dockerfile", folder / ("h" * length))
        os.utime(folder / "Dockerfile", (when, when))
        context = context_of(folder)
        listed = b"".join(os.fsencode(entry.path) + b"\0" for entry in context.entries)
        command = "tar --format=gnu --numeric-owner --owner=0 --group=0 --no-recursion --null -T - -cf -"

        theirs = subprocess.run(command.split(), cwd=folder, input=listed, capture_output=True, check=True).stdout

        assert b"".join(pack(context)) == theirs


def test_a_file_of_eight_gibibytes_has_a_size_that_gnu_tar_understands(folder: Path) -> None:
    with (folder / "big").open("wb") as file:
        file.truncate(8 << 30)
    stream = pack(context_of(folder))

    start = b"".join(next(stream) for _ in range(2))

    with tarfile.open(fileobj=io.BytesIO(start)) as archive:
        assert [archive.next().size for _ in range(2)][1] == 8 << 30  # type: ignore[union-attr]  # both are there


def test_a_device_keeps_its_numbers(folder: Path) -> None:
    try:
        os.mknod(folder / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs the right to make devices")

    found = members(context_of(folder))[-1]

    assert (found.type, found.devmajor, found.devminor) == (tarfile.CHRTYPE, 1, 3)


def _try_to_write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return
