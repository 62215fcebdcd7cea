"""The stream: GNU tar's and plain Python's are the same bytes, and neither sends an archive that only looks whole."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.edge.context import Context, read_context
from pipeline.edge.context_entries import CHUNK
from pipeline.edge.gnu_tar import find_gnu_tar, gnu_tar
from pipeline.edge.tar import pack, pack_plainly, pack_with_tar
from pipeline.errors import BadInput

Packer = Callable[[Context], Iterator[bytes]]
with_tar = partial(pack_with_tar, gnu_tar())
both = pytest.mark.parametrize("packer", [with_tar, pack_plainly], ids=["GNU tar", "plain Python"])
pytestmark = pytest.mark.skipif(not gnu_tar(), reason="no GNU tar")


def context_of(folder: Path, dockerfile: str = "") -> Context:
    return read_context(str(folder), dockerfile, key="services.app.build")


def members(stream: Iterator[bytes]) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream)), errors="surrogateescape") as archive:
        return archive.getmembers()


def children() -> list[str]:
    """The processes that this one has started and that have not been waited for."""
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "service"
    made.mkdir()
    (made / "Dockerfile").write_text("FROM scratch\n")
    return made


NAMES = st.one_of(
    st.sampled_from(["a", "b", "-", "--help", "-C", "a\nb", "\udcff", "\\a", "[a]*", " ", "./-", "!", "é" * 60]),
    st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60),
).filter(lambda name: name not in (".", "..") and len(os.fsencode(name)) < 200)
KINDS = st.sampled_from(["file", "file", "setuid", "folder", "link", "hard", "fifo", "empty"])
TIMES = st.sampled_from([0, 1, -1, 1_700_000_000, 8**11, -5_000_000_000])


@settings(max_examples=150)
@given(
    tree=st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), KINDS, TIMES), max_size=10),
    length=st.integers(95, 105),
    content=st.binary(max_size=2000),
    outside=st.booleans(),
)
@example(tree=[(["a", "b"], "hard", 0), (["c"], "hard", 0)], length=100, content=bytes(1024), outside=True)
def test_gnu_tar_and_plain_python_make_the_same_bytes(
    tree: list[tuple[list[str], str, int]], length: int, content: bytes, outside: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "context"
        folder.mkdir()
        for place in (folder, Path(name)):
            (place / "Dockerfile").write_text("FROM scratch\n")
        (folder / ("n" * length)).symlink_to("l" * length)
        for parts, kind, when in tree:
            _make(folder, folder.joinpath(*parts), kind, when, content)
        context = context_of(folder, str(Path(name) / "Dockerfile") if outside else "")

        assert b"".join(with_tar(context)) == b"".join(pack_plainly(context))


def _make(folder: Path, place: Path, kind: str, when: int, content: bytes) -> None:
    """Makes what can be made: a path below a file is left out."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "folder":
            place.mkdir(mode=0o1750)
        elif kind == "link":
            place.symlink_to("../" + "x" * 99)
        elif kind == "hard":
            os.link(folder / "Dockerfile", place)
        elif kind == "fifo":
            os.mkfifo(place, 0o640)
        elif not place.exists():
            place.write_bytes(content if kind != "empty" else b"")
            place.chmod(0o4755 if kind == "setuid" else 0o644)
        os.utime(place, ns=(0, when * 10**9 + 999_999_999), follow_symlinks=False)
    except (FileExistsError, NotADirectoryError, IsADirectoryError, OSError):
        return


def test_the_bytes_are_those_that_gnu_tar_makes_of_the_same_names(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "a" / ("é" * 80)).write_bytes(b"x" * 3000)
    context = context_of(folder)
    listed = b"".join(os.fsencode(entry.path) + b"\0" for entry in context.entries)
    command = "tar --format=gnu --numeric-owner --owner=0 --group=0 --no-recursion --null -T - -cf -"

    theirs = subprocess.run(command.split(), cwd=folder, input=listed, capture_output=True, check=True).stdout

    assert b"".join(pack(context)) == theirs


@both
def test_many_files_come_in_the_order_of_the_walk(packer: Packer, folder: Path) -> None:
    for number in range(3000):
        place = folder / str(number // 100) / str(number)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"x" * (number % 1500))
    context = context_of(folder)

    found = members(packer(context))

    assert [(one.name, one.size) for one in found] == [(one.path, one.size) for one in context.entries]


def test_many_files_are_the_same_bytes_from_both(folder: Path) -> None:
    for number in range(3000):
        place = folder / ("long" * (number // 100)) / str(number)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"x" * (number % 1500))
    context = context_of(folder)

    assert b"".join(with_tar(context)) == b"".join(pack_plainly(context))


def test_one_that_vanished_among_many_files_is_named_and_ends_both_tars(folder: Path) -> None:
    for number in range(3000):
        (folder / str(number)).write_bytes(b"x" * 2000)
    context = context_of(folder)
    (folder / "1500").unlink()
    before = children()

    with pytest.raises(BadInput, match=r"1500' cannot be read into the build context: No such file"):
        list(with_tar(context))

    assert children() == before


@both
def test_a_file_in_whose_place_another_is_sent_is_no_link_s_first_name(packer: Packer, folder: Path) -> None:
    (folder / "Dockerfile.dockerignore").touch()
    (folder / ".dockerignore").write_text("its own content")
    for name in ("linked", "linked too"):
        os.link(folder / ".dockerignore", folder / name)

    found = {member.name: (member.type, member.size, member.linkname) for member in members(packer(context_of(folder)))}

    assert found["linked"] == (tarfile.REGTYPE, len("its own content"), "")
    assert found["linked too"] == (tarfile.LNKTYPE, 0, "linked")


@both
def test_a_file_that_vanishes_after_the_walk_is_named(packer: Packer, folder: Path) -> None:
    (folder / "gone").write_text("x")
    context = context_of(folder)
    (folder / "gone").unlink()

    with pytest.raises(BadInput, match=r"gone' cannot be read into the build context: No such file"):
        list(packer(context))


@both
def test_a_file_that_shrinks_while_it_is_sent_is_named(packer: Packer, folder: Path) -> None:
    (folder / "log").write_bytes(b"x" * (40 * CHUNK))
    stream = packer(context_of(folder))
    next(stream)
    os.truncate(folder / "log", 10)

    with pytest.raises(BadInput, match=r"log' cannot be read .* it became shorter"):
        list(stream)


def test_a_file_that_grows_is_sent_as_long_as_it_was_or_named(folder: Path) -> None:
    (folder / "log").write_text("one")
    context = context_of(folder)
    (folder / "log").write_text("one and two" * 1000)

    assert {member.name: member.size for member in members(pack_plainly(context))}["log"] == 3
    with pytest.raises(BadInput, match=r"log' changed while it was read into the build context"):
        list(with_tar(context))


def test_a_file_that_is_touched_while_it_is_sent_does_not_end_the_build(folder: Path) -> None:
    (folder / "big").write_bytes(b"x" * (40 * CHUNK))
    context = context_of(folder)
    stream = with_tar(context)
    start = next(stream)
    (folder / "big").chmod(0o600)

    assert start + b"".join(stream) == b"".join(pack_plainly(context))


@both
def test_what_breaks_off_is_cut_in_the_middle_of_a_block(packer: Packer, folder: Path) -> None:
    for number in range(100):
        (folder / f"file{number:03}").write_bytes(b"x" * 10_000)
    context = context_of(folder)
    (folder / "file099").unlink()

    sent = bytearray()
    with pytest.raises(BadInput, match="file099"):
        deque(map(sent.extend, packer(context)))

    assert len(sent) > CHUNK
    assert len(sent) % 512


@both
def test_a_folder_that_became_a_file_is_named(packer: Packer, folder: Path) -> None:
    (folder / "data").write_bytes(b"x" * 600)
    context = context_of(folder)
    (folder / "data").unlink()
    (folder / "data").mkdir()

    with pytest.raises(BadInput, match=r"data' cannot be read into the build context"):
        list(packer(context))


@both
def test_a_context_that_vanishes_is_named(packer: Packer, folder: Path) -> None:
    context = context_of(folder)
    shutil.rmtree(folder)

    with pytest.raises(BadInput, match=r"service.* cannot be read into the build context: No such file"):
        list(packer(context))


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


@both
def test_a_file_that_may_not_be_read_is_named(packer: Packer, nobody: Path) -> None:
    (nobody / "private").write_text("x")
    (nobody / "private").chmod(0o000)
    os.seteuid(65534)

    with pytest.raises(BadInput, match=r"private' cannot be read into the build context: Permission denied"):
        list(packer(context_of(nobody)))


@pytest.mark.parametrize("end", [GeneratorExit, KeyboardInterrupt, RuntimeError])
def test_whoever_stops_early_leaves_no_tar_and_no_thread(folder: Path, end: type[BaseException]) -> None:
    with (folder / "big").open("wb") as file:
        file.truncate(1 << 30)
    threads, processes = threading.active_count(), children()
    stream = pack_with_tar(gnu_tar(), context_of(folder))
    next(stream)
    assert len(children()) == len(processes) + 1

    if end is GeneratorExit:
        stream.close()  # type: ignore[attr-defined]  # it is a generator
    else:
        with pytest.raises(end):
            stream.throw(end())  # type: ignore[attr-defined]  # it is a generator

    assert children() == processes
    assert threading.active_count() == threads


def test_a_tar_that_dies_is_no_end_of_an_archive(folder: Path) -> None:
    with (folder / "big").open("wb") as file:
        file.truncate(1 << 30)
    before = children()
    stream = pack_with_tar(gnu_tar(), context_of(folder))
    next(stream)
    (started,) = set(children()) - set(before)
    os.kill(int(started), 9)

    with pytest.raises(Exception, match=r"GNU tar could not pack .*service"):
        list(stream)


def test_settings_of_a_user_s_tar_do_not_reach_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = b"".join(pack_plainly(context_of(folder)))
    monkeypatch.setenv("TAR_OPTIONS", "--format=posix --exclude=Dockerfile --verbose")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")

    assert b"".join(with_tar(context_of(folder))) == before


@pytest.mark.parametrize("says", ["bsdtar 3.7.2 - libarchive 3.7.2", "tar (GNU tar) 1.28", "tar (busybox) 1.35"])
def test_another_tar_is_not_used(tmp_path: Path, says: str) -> None:
    (tmp_path / "tar").write_text(f"#!/bin/sh\necho '{says}'\n")
    (tmp_path / "tar").chmod(0o755)

    assert find_gnu_tar(str(tmp_path)) == ""


def test_gnu_tar_is_found_under_its_other_name(tmp_path: Path) -> None:
    (tmp_path / "gtar").symlink_to(gnu_tar())
    (tmp_path / "tar").symlink_to("/bin/false")

    assert find_gnu_tar(str(tmp_path)) == str(tmp_path / "gtar")


def test_where_there_is_no_gnu_tar_the_stream_is_the_same(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pipeline.edge.context import read_context; from pipeline.edge.tar import pack\n"
        "sys.stdout.buffer.writelines(pack(read_context(sys.argv[1], '', key='k')))"
    )
    environment = {**os.environ, "PATH": str(tmp_path)}

    made = subprocess.run([sys.executable, "-c", code, str(folder)], env=environment, capture_output=True, check=True)

    assert made.stdout == b"".join(pack(context_of(folder)))


@both
def test_a_big_file_is_streamed_in_pieces_that_fit_into_memory(packer: Packer, folder: Path) -> None:
    with (folder / "big").open("wb") as file:
        file.truncate(64 << 20)

    assert max(len(piece) for piece in packer(context_of(folder))) <= 2 * CHUNK


@both
def test_a_file_of_eight_gibibytes_has_a_size_that_gnu_tar_understands(packer: Packer, folder: Path) -> None:
    with (folder / "big").open("wb") as file:
        file.truncate(8 << 30)
    stream = packer(context_of(folder))

    start = b"".join(next(stream) for _ in range(2))

    with tarfile.open(fileobj=io.BytesIO(start)) as archive:
        assert [archive.next().size for _ in range(2)][1] == 8 << 30  # type: ignore[union-attr]  # both are there


@both
def test_a_device_keeps_its_numbers(packer: Packer, folder: Path) -> None:
    try:
        os.mknod(folder / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs the right to make devices")

    found = members(packer(context_of(folder)))[-1]

    assert (found.type, found.devmajor, found.devminor) == (tarfile.CHRTYPE, 1, 3)


def test_a_file_of_ten_gigabytes_is_sent_from_the_first_moment_on(folder: Path) -> None:
    with (folder / "dump").open("wb") as file:
        file.truncate(10 << 30)
    stream = pack(context_of(folder))

    start = next(stream)
    stream.close()  # type: ignore[attr-defined]  # it is a generator

    assert 0 < len(start) <= 2 * CHUNK


@both
def test_names_of_any_bytes_loops_and_fifos_arrive_as_they_are(packer: Packer, folder: Path) -> None:
    for name in ("a\nb", "\udcff\udcfe", "-C", "--help", "back\\slash", "*"):
        (folder / name).write_text(name.encode("utf-8", "surrogateescape").hex())
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "fifo")

    found = {member.name: member for member in members(packer(context_of(folder)))}

    assert {"a\nb", "\udcff\udcfe", "-C", "--help", "back\\slash", "*"} < set(found)
    assert (found["loop"].linkname, found["up"].linkname) == ("loop", "..")
    assert found["fifo"].isfifo()


def test_a_hundred_thousand_files_are_packed(folder: Path) -> None:
    for number in range(100_000):
        if number % 1000 == 0:
            (folder / str(number // 1000)).mkdir()
        (folder / str(number // 1000) / str(number)).touch()
    context = context_of(folder)

    sent = sum(len(piece) for piece in pack(context))

    assert len(context.entries) == 100_101
    assert sent == -(-(512 * (100_101 + 1 + 2)) // 10240) * 10240
