"""Whether anything changed in 50 services of 1,000 files each, against `git status` over the same committed tree."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.measure import in_turn, show, show_ratio
from benchmarks.packing import grow
from pipeline.edge.context_digests import ContextDigests, ContextPlace

SERVICES = 50
FILES = 1000
RUNS = 9


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "repository")
        places = []
        for number in range(SERVICES):
            service = folder / "services" / f"service{number}"
            service.mkdir(parents=True)
            grow(service, FILES)
            places.append(ContextPlace(root=str(service), dockerfile="", key=service.name))
        for words in (
            ["init", "-q"],
            ["add", "-A"],
            ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"],
        ):
            git(folder, *words)
        time.sleep(2.5)  # both sides trust only what is older than the clock's tick
        memory = os.path.join(name, "memory")
        first = decided(memory, places)
        taken = in_turn(
            RUNS, ours=lambda: decided(memory, places), git_status=lambda: git(folder, "status", "--porcelain")
        )
        assert decided(memory, places) == first
        (folder / "services" / "service7" / "Dockerfile").write_text("FROM scratch\n")
        now = decided(memory, places)
        changed = [place.key for place, one, two in zip(places, first, now, strict=True) if one != two]
        assert changed == ["service7"], changed
    print(f"  {SERVICES} services of {FILES} files, nothing changed; each time by a toolkit that was just started")
    show(taken)
    show_ratio("ours / git status", taken["ours"], taken["git_status"], 1.5)


def decided(memory: str, places: list[ContextPlace]) -> list[str]:
    digests = ContextDigests(memory)
    digests.stamp(places)
    return [digests.content(place).digest for place in places]


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
