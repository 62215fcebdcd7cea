"""The most memory that packing a context of 2 GB takes, of our process and of those that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import show_ratio

SIZE = 2 << 30
FILES = 20_000
LIMIT = 100 << 20
_PACK = """
import resource, sys
from pipeline.edge.context import read_context
from pipeline.edge.tar import pack
sent = sum(len(piece) for piece in pack(read_context(sys.argv[1], "", key="benchmark")))
peaks = (resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(sent, *peaks)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        grow(Path(name))
        words = [sys.executable, "-c", _PACK, name]
        sent, ours, child = map(int, subprocess.run(words, capture_output=True, check=True).stdout.split())
    assert sent > SIZE
    print(
        f"  {sent >> 20} MiB of {FILES} files sent; peaks: ours {ours >> 20} MiB, the largest child {child >> 20} MiB"
    )
    # Two tars at the most run at a time.
    show_ratio("peak of all / 100 MB", [ours + 2 * child], [LIMIT], 1)


def grow(folder: Path) -> None:
    """Half in one file, half in many."""
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    piece = os.urandom(SIZE // 2 // FILES)
    with (folder / "one").open("wb") as file:
        for _ in range(FILES):
            file.write(piece)
    for number in range(FILES):
        place = folder / f"lib{number // 100}"
        place.mkdir(exist_ok=True)
        (place / f"file{number}").write_bytes(piece)


if __name__ == "__main__":
    main()
