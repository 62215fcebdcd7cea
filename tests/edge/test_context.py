"""The walk, its digest and the stream, on real folders; GNU tar is asked for the same bytes where it is there."""

from __future__ import annotations

import io
import os
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.edge.context import Context, digest, largest, read_context
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
    assert [member.name for member in members(context)][:2] == [".dockerignore", ".dockerfile.1"]


def test_an_ignore_file_of_the_dockerfile_s_own_wins(folder: Path) -> None:
    (folder / ".dockerignore").write_text("a\n")
    (folder / "Dockerfile.dockerignore").write_text("b\n")
    (folder / "a").touch()
    (folder / "b").touch()

    found = paths(folder)

    assert found == [".dockerignore", "Dockerfile", "Dockerfile.dockerignore", "a"]


def test_an_ignored_dockerfile_that_the_engine_would_let_arrive_is_sent_under_another_name(folder: Path) -> None:
    (folder / "docker").mkdir()
    (folder / "docker" / "Dockerfile").write_text("FROM scratch\n")
    (folder / ".dockerignore").write_text("**/docker\n")

    context = context_of(folder, str(folder / "docker" / "Dockerfile"))

    assert [entry.path for entry in context.entries] == [".dockerignore", "Dockerfile"]
    assert context.dockerfile == ".dockerfile.0"


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


def test_what_makes_a_context_large_is_named_as_a_person_would(folder: Path) -> None:
    for number in range(300):
        place = folder / "app" / "node_modules" / f"package{number}" / "index.js"
        place.parent.mkdir(parents=True)
        place.write_bytes(b"x" * 2000)
    (folder / "app" / "main.py").write_bytes(b"x" * 1000)
    (folder / "data" / "dumps").mkdir(parents=True)
    with (folder / "data" / "dumps" / "all.sql").open("wb") as file:
        file.truncate(10 << 30)
    (folder / "data" / "dumps" / "small.sql").write_bytes(b"x" * 700)
    context = context_of(folder)

    found = largest(context, 4)

    assert found == (
        ("data/dumps/all.sql", 10 << 30),
        ("app/node_modules/", 600_000),
        ("app/main.py", 1000),
        ("data/dumps/small.sql", 700),
    )
    assert context.size == (10 << 30) + 600_000 + 1000 + 700 + len("FROM scratch\n")


def test_a_file_that_is_too_large_costs_nothing_when_it_is_ignored(folder: Path) -> None:
    with (folder / "dump").open("wb") as file:
        file.truncate(10 << 30)
    (folder / ".dockerignore").write_text("dump\n")

    context = context_of(folder)

    assert context.size == len("dump\n") + len("FROM scratch\n")
    assert [path for path, _ in largest(context)] == ["Dockerfile", ".dockerignore"]


def test_the_largest_of_a_context_of_folders_alone_are_none(folder: Path) -> None:
    (folder / "Dockerfile").write_text("")
    (folder / "empty").mkdir()

    assert largest(context_of(folder)) == ()
