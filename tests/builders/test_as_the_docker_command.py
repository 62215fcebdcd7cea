"""Random trees and ignore files, built with the docker command and with ours: what arrived has to be the same."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from engine_support import engine, held
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.edge.context import read_context
from pipeline.edge.tar import pack
from pipeline.errors import BadInput

pytestmark = pytest.mark.engine
EXAMPLES = int(os.environ.get("DOCKER_EXAMPLES", "20"))
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
KINDS = st.sampled_from(["file", "file", "file", "tool", "secret", "folder", "link", "hard", "fifo", "socket"])
TREES = st.dictionaries(PATHS, KINDS, max_size=12)


@pytest.fixture(scope="module")
def client() -> Iterator[APIClient]:
    with engine() as opened:
        yield opened


@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(tree=TREES, ignore=IGNORES, bom=st.booleans())
@example(tree={"a/b/c": "file", "a/c": "tool", "ab": "hard"}, ignore="a\n!a/b\r\n# c\n #c\n", bom=True)
@example(tree={"a/b": "file", "b": "link", "c/a": "hard"}, ignore="*\n!**/a\n!Dockerfile", bom=False)
@example(tree={"a": "file", "[a]": "file", "a*": "folder"}, ignore="\\[a\\]\n[^[:alpha:]]\\*", bom=False)
def test_what_arrives_is_what_the_docker_command_lets_arrive(
    client: APIClient, tree: dict[str, str], ignore: str, bom: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _grow(folder, tree)
        (folder / "Dockerfile").write_text(DOCKERFILE)
        if ignore:
            text = ignore.encode("utf-8", "surrogateescape")
            (folder / ".dockerignore").write_bytes((b"\xef\xbb\xbf" if bom else b"") + text)

        theirs = _with_docker(client, folder)
        ours = _with_ours(client, folder)

    assert ours == theirs


def _with_docker(client: APIClient, folder: Path) -> dict[str, Any] | None:
    """None where the docker command refuses or fails."""
    for path in [path for path in _every_path(folder) if path.is_socket()]:
        path.unlink()  # the command skips sockets when packing, but refuses to check them
    done = subprocess.run(
        ["docker", "build", "--quiet", "--no-cache", str(folder)],
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    return _taken(client, done.stdout.strip()) if done.returncode == 0 else None


def _with_ours(client: APIClient, folder: Path) -> dict[str, Any] | None:
    try:
        context = read_context(str(folder), "", key="test")
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
    return _taken(client, ids[0]) if ids else None


def _taken(client: APIClient, image: str) -> dict[str, Any]:
    try:
        return held(client, image, "/ctx")
    finally:
        client.remove_image(image, force=True)


def _grow(folder: Path, tree: dict[str, str]) -> None:
    """Makes what can be made of the tree: a path below a file is left out."""
    for path, kind in sorted(tree.items()):
        place = folder / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            continue
        if not os.path.lexists(place):
            _make(folder, place, kind)


def _make(folder: Path, place: Path, kind: str) -> None:
    first = next((path for path in _every_path(folder) if path.is_file() and not path.is_symlink()), None)
    if kind == "folder":
        place.mkdir(mode=0o750)
    elif kind == "link":
        place.symlink_to("../nowhere")
    elif kind == "hard" and first is not None:
        os.link(first, place)
    elif kind == "fifo":
        os.mkfifo(place, 0o640)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(place))
    else:
        place.write_bytes(os.fsencode(place.name) * 700)
        place.chmod({"tool": 0o755, "secret": 0o600}.get(kind, 0o644))


def _every_path(folder: Path) -> list[Path]:
    return [Path(root) / name for root, folders, files in os.walk(folder) for name in (*folders, *files)]
