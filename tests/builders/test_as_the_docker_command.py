"""Random trees and ignore files, built with the docker command and with ours: what arrived has to be the same."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from engine_support import engine
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from pipeline.edge.context import read_context
from pipeline.edge.tar import pack
from pipeline.errors import BadInput

pytestmark = pytest.mark.engine
AT_ONCE = 10
"""Trees in one example: they are built side by side, because an engine mostly waits."""
TREES = int(os.environ.get("DOCKER_EXAMPLES", "300"))
DOCKERFILE = "FROM scratch\nCOPY . /ctx/\n"

NAMES = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        "a.b",
        "b.a",
        "c",
        "x y",
        "é",
        "[a]",
        "a*",
        "-",
        "!a",
        "#a",
        " a",
        "a\nb",
        "\udcff",
        "^a",
        "a+b",
        "dockerfile",
    ]
)
SEGMENTS = st.one_of(
    NAMES,
    st.sampled_from(["*", "**", "?", "a*", "*b", "*.b", "**a", "a**", "[ab]", "[^a]", "[a-c]", "\\a", "\\*", "\\[a\\]", ".", ".."]),
)  # fmt: skip
LINES = st.builds(
    lambda start, parts, end: start + "/".join(parts) + end,
    st.sampled_from(["", "", "", "!", "!", "/", "./", "! ", " ", "#", " #", "!/"]),
    st.lists(SEGMENTS, min_size=1, max_size=3),
    st.sampled_from(["", "", "", "/", "/**", " ", "\r", "\t"]),
)
WELL_KNOWN = st.sampled_from(
    [
        "*",
        "**",
        "!a",
        "!a/b",
        "Dockerfile",
        ".dockerignore",
        "!.dockerignore",
        "!Dockerfile",
        "**/a",
        "!**/a",
        ".",
        "/",
        "[a",
        "!",
        "",
    ]
)
IGNORES = st.lists(st.one_of(LINES, WELL_KNOWN), max_size=6).map("\n".join)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
KINDS = st.sampled_from(
    ["file", "file", "file", "tool", "secret", "setuid", "folder", "link", "loop", "up", "hard", "fifo", "socket"]
)
DOCKERFILES = st.sampled_from(["Dockerfile", "Dockerfile", "a/Dockerfile.b", "ab", "../Dockerfile", "../a.b"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A context: paths and what they are, the ignore file's text, where the Dockerfile is; with `own` the ignore file
    is the Dockerfile's own."""

    tree: dict[str, str]
    ignore: str = ""
    bom: bool = False
    dockerfile: str = "Dockerfile"
    own: bool = False


CASES = st.builds(
    Case,
    tree=st.dictionaries(PATHS, KINDS, max_size=12),
    ignore=IGNORES,
    bom=st.booleans(),
    dockerfile=DOCKERFILES,
    own=st.sampled_from([False, False, False, True]),
)
WELL_CHOSEN = [
    Case(tree={"a/b/c": "file", "a/c": "tool", "ab": "hard"}, ignore="a\n!a/b\r\n# c\n #c\n", bom=True),
    Case(tree={"a/b": "file", "b": "link", "c/a": "hard"}, ignore="*\n!**/a\n!Dockerfile"),
    Case(tree={"a": "file", "[a]": "file", "a*": "folder"}, ignore="\\[a\\]\n[^[:alpha:]]\\*"),
    Case(tree={"a": "loop", "b/c": "up", "c": "fifo", "x y": "socket"}, ignore="b/c/**\n"),
    Case(tree={"a\nb": "file", "\udcff": "setuid", "é/b": "secret"}, ignore="?\r\n\udcff/*\n"),
    Case(tree={"a": "file", "b": "file"}, ignore="a\n", dockerfile="../Dockerfile"),
    Case(tree={"a": "file", "b": "file"}, ignore="*\n!a\n", dockerfile="../Dockerfile"),
    Case(tree={"a": "file", "b": "file"}, ignore=".dockerignore\nb\n", dockerfile="../a.b"),
    Case(tree={"a/c": "file", "b": "file"}, ignore="**/Dockerfile*\nb", dockerfile="a/Dockerfile.b"),
    Case(tree={"a/c": "file", "b": "file"}, ignore="*\n!a/c", dockerfile="a/Dockerfile.b", own=True),
    Case(tree={"a": "file", "b/a": "hard"}, ignore="**\n!b", dockerfile="../Dockerfile", own=True),
    Case(tree={}, ignore="*", own=True),
    Case(tree={"a/b": "file", "b": "file"}, ignore="**/a\n", dockerfile="a/Dockerfile.b"),
    Case(tree={"a/b": "file", "b": "file"}, ignore="a\n!**/Dockerfile.b\n", dockerfile="a/Dockerfile.b"),
]


@pytest.fixture(scope="module")
def client() -> Iterator[APIClient]:
    with engine() as opened:
        yield opened


@settings(
    max_examples=TREES // AT_ONCE,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # to make small cases smaller takes minutes
    suppress_health_check=list(HealthCheck),
)
@given(cases=st.lists(CASES, min_size=AT_ONCE, max_size=AT_ONCE))
@example(cases=WELL_CHOSEN)
def test_what_arrives_is_what_the_docker_command_lets_arrive(client: APIClient, cases: list[Case]) -> None:
    with ThreadPoolExecutor(4) as pool:
        theirs = [pool.submit(_with_docker, client, case) for case in cases]
        ours = [pool.submit(_with_ours, client, case) for case in cases]

    arrived = zip(cases, (one.result() for one in ours), (one.result() for one in theirs), strict=True)
    assert [(case, our, their) for case, our, their in arrived if our != their] == []


def _with_docker(client: APIClient, case: Case) -> dict[str, Any] | None:
    """None where the docker command refuses or fails.

    Its classic builder knows no ignore file of a Dockerfile's own: it is given the same as the context's, and a
    Dockerfile outside, so that the one inside is a file like others. So it is where it cannot find the one inside,
    because it has not sent it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = _grown(Path(name), case, ".dockerignore")
        for path in [path for path in _every_path(folder) if path.is_socket()]:
            path.unlink()  # the command skips sockets when packing, but refuses to check them
        outside = Path(name, "the same")
        outside.write_text(DOCKERFILE)
        inside = folder / case.dockerfile
        code, image, error = _docker_build(folder, outside if case.own else inside)
        if "Cannot locate specified Dockerfile" in error:
            code, image, error = _docker_build(folder, outside)
    return _taken(client, image, case) if code == 0 else None


def _docker_build(folder: Path, dockerfile: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        ["docker", "build", "--quiet", "--no-cache", "--file", str(dockerfile), str(folder)],
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip(), done.stderr


def _with_ours(client: APIClient, case: Case) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as name:
        folder = _grown(Path(name), case, f"{case.dockerfile}.dockerignore" if case.own else ".dockerignore")
        try:
            context = read_context(str(folder), str(folder / case.dockerfile), key="test")
        except BadInput:
            return None
        messages = list(
            client.build(
                fileobj=pack(context),  # type: ignore[arg-type]  # requests streams any iterator of bytes
                custom_context=True,
                dockerfile=context.dockerfile,
                rm=True,
                forcerm=True,
                nocache=True,
                decode=True,
            )
        )
    ids = [message["aux"]["ID"] for message in messages if "aux" in message]
    return _taken(client, ids[0], case) if ids else None


def _taken(client: APIClient, image: str, case: Case) -> dict[str, Any]:
    """What is in the image's one layer, by name; of an ignore file, what was written into it, because the end of it may
    name the Dockerfile. Ignore files of a Dockerfile's own are left out: the two sides have them in two places."""
    try:
        saved = io.BytesIO(b"".join(client.get_image(image)))
    finally:
        client.remove_image(image, force=True)
    with tarfile.open(fileobj=saved) as archive:
        (layer,) = json.load(archive.extractfile("manifest.json") or io.BytesIO())[0]["Layers"]
        content = archive.extractfile(layer)
        with tarfile.open(fileobj=content, encoding="utf-8", errors="surrogateescape") as arrived:
            found = {member.name: _shown(arrived, member) for member in arrived}
    if case.own:
        return {name: one for name, one in found.items() if not name.endswith(".dockerignore")}
    if "ctx/.dockerignore" in found:
        *rest, content_of_it = found["ctx/.dockerignore"]
        found["ctx/.dockerignore"] = (*rest, content_of_it[: len(_ignore_text(case))])
    return found


def _shown(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[Any, ...]:
    file = archive.extractfile(member) if member.isreg() else None
    content = file.read() if file is not None else b""
    return member.type, member.mode, member.linkname, member.uid, member.gid, content


def _grown(place: Path, case: Case, ignore: str) -> Path:
    """Makes what can be made of a case: a path below a file is left out."""
    folder = place / "context"
    folder.mkdir()
    dockerfile = folder / case.dockerfile
    dockerfile.parent.mkdir(exist_ok=True)
    dockerfile.write_text(DOCKERFILE)
    for path, kind in sorted(case.tree.items()):
        if _has_room(folder / path):
            _make(folder, folder / path, kind)
    if case.ignore and _has_room(folder / ignore):
        (folder / ignore).write_bytes(_ignore_text(case))
    return folder


def _ignore_text(case: Case) -> bytes:
    return b"\xef\xbb\xbf" * case.bom + case.ignore.encode("utf-8", "surrogateescape")


def _has_room(place: Path) -> bool:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, OSError):
        return False
    return not os.path.lexists(place)


def _make(folder: Path, place: Path, kind: str) -> None:
    first = next((path for path in _every_path(folder) if path.is_file() and not path.is_symlink()), None)
    if kind == "folder":
        place.mkdir(mode=0o750)
    elif kind in ("link", "loop", "up"):
        place.symlink_to({"link": "../nowhere", "loop": place.name, "up": ".."}[kind])
    elif kind == "hard" and first is not None:
        os.link(first, place)
    elif kind == "fifo":
        os.mkfifo(place, 0o640)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(place))
    else:
        place.write_bytes(os.fsencode(place.name) * 700)
        place.chmod({"tool": 0o755, "secret": 0o600, "setuid": 0o4711}.get(kind, 0o644))


def _every_path(folder: Path) -> list[Path]:
    return sorted(Path(root) / name for root, folders, files in os.walk(folder) for name in (*folders, *files))
