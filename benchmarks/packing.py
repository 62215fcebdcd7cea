"""The context packer against `tar | cat` and docker-py's own, on a generated tree: `python -m benchmarks.packing 45000`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from benchmarks.measure import in_turn, show, show_ratio
from pipeline.edge.context import read_context
from pipeline.edge.gnu_tar import gnu_tar
from pipeline.edge.tar import pack

FILES = 45_000
RUNS = 5
IGNORE = ".git\n**/*.pyc\nnode_modules\n*.log\n!important.log\n"


def main(files: int = FILES) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grow(folder, files)
        taken = in_turn(RUNS, ours=lambda: ours(folder), tar_and_cat=lambda: tar_and_cat(folder))
        taken |= in_turn(1, ours_beside=lambda: ours(folder), docker_py=lambda: docker_py(folder).close())
        context = read_context(name, "", key="benchmark")
        ours_size = sum(len(piece) for piece in pack(context))
        tar_size = len(subprocess.run(["tar", "-cf", "-", "."], cwd=folder, capture_output=True, check=True).stdout)
    print(f"  {files} files of 200 to 3200 bytes, found and packed; {gnu_tar() or 'plain Python'} packs")
    show(taken)
    show_ratio("ours / tar | cat", taken["ours"], taken["tar_and_cat"], 1.5)
    show_ratio("ours / docker-py's packer", taken["ours_beside"], taken["docker_py"], 0.1)
    show_ratio("size: ours / GNU tar's", [ours_size], [tar_size], 1.05)


def grow(folder: Path, files: int) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (folder / ".dockerignore").write_text(IGNORE)
    for number in range(files):
        place = folder / f"package{number // 1000}" / f"lib{number // 50}"
        if number % 50 == 0:
            place.mkdir(parents=True, exist_ok=True)
        (place / f"module_{number}.js").write_bytes(os.urandom(200 + number * 37 % 3000))


def ours(folder: Path) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as cat:
        assert cat.stdin is not None
        for piece in pack(read_context(str(folder), "", key="benchmark")):
            cat.stdin.write(piece)


def tar_and_cat(folder: Path) -> None:
    subprocess.run("tar -cf - . | cat >/dev/null", shell=True, cwd=folder, check=True)


def docker_py(folder: Path) -> IO[bytes]:
    from docker.utils.build import tar

    return tar(folder, exclude=IGNORE.split(), dockerfile=("Dockerfile", None))  # type: ignore[return-value]  # a file


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else FILES)
