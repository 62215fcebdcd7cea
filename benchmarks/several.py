"""Eight small images by `invoke build --jobs 2`, against the same one after the other; nothing comes from the cache.

Once with a step that computes for about half a second, as steps do, and once with one that does nothing: then most of the
time is the engine's own, for its containers, and less of that can be had at once."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.measure import show, show_ratio
from tests.builders.engine_support import busybox_image, engine
from tests.end_to_end.estate import Environment, Estate

IMAGES = 8
RUNS = 3


COMPUTES = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done"


def main() -> None:
    for words, step in (("that compute", COMPUTES), ("that do nothing", "ls /srv")):
        _compare(words, step)


def _compare(words: str, step: str) -> None:
    with tempfile.TemporaryDirectory() as folder, engine() as client, busybox_image(client) as base:
        environment = Environment()
        try:
            estate = _estate(Path(folder), environment, base, step)
            taken: dict[str, list[float]] = {"one_after_the_other": [], "two_at_once": []}
            for number in range(RUNS + 1):
                for name, jobs in (("one_after_the_other", "1"), ("two_at_once", "2")):
                    _change(estate, f"{name} {number}")
                    start = time.perf_counter()
                    ran = estate.invoke("build", "--jobs", jobs)
                    assert ran.code == 0, ran
                    if number:
                        taken[name].append(time.perf_counter() - start)
        finally:
            environment.destroy()
            subprocess.run(
                "docker image ls -q 'small*' | xargs -r docker image rm -f",
                shell=True,
                capture_output=True,
                check=False,
            )
    show(taken)
    show_ratio(
        f"{IMAGES} images of steps {words}, --jobs 2 / --jobs 1",
        taken["two_at_once"],
        taken["one_after_the_other"],
        0.65,
    )


def _estate(folder: Path, environment: Environment, base: str, step: str) -> Estate:
    estate = Estate(folder, environment)
    subprocess.run(["rm", "-r", str(estate.service)], check=True)
    for number in range(IMAGES):
        service = folder / "services" / f"small{number}"
        (service / "config").mkdir(parents=True)
        (service / "config" / "package.json").write_text(json.dumps({"uri": f"/ws/small{number}"}))
        (service / "docker-compose.yml").write_text("version: '2'\nservices: {proxy: {build: .}}\n")
        (service / "Dockerfile").write_text(f"FROM {base}\nCOPY . /srv\nRUN {step}\n")
        (service / "code").write_text("begin")
    estate.commit("eight small services")
    return estate


def _change(estate: Estate, words: str) -> None:
    for service in sorted((estate.folder / "services").iterdir()):
        (service / "code").write_text(words)
    estate.commit(words)
