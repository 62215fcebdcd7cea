"""The way back to a stopped release, and release after release of cities with a prune after each.

`python -m benchmarks.rollback back` (or `releases`) for one of them; RELEASES and RATE in the environment make the second one
shorter for a machine that has other things to do."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import docker

from tests.end_to_end.estate import Environment, Estate
from tests.end_to_end.load import Load

ROOT = Path(__file__).parents[1]
RATE = int(os.environ.get("RATE", "100"))
RELEASED = int(os.environ.get("RELEASES", "20"))


def main(parts: tuple[str, ...] = ("back", "releases")) -> None:
    for part in parts:
        {"back": back, "releases": releases}[part]()


def back() -> None:
    """From typing it to the first answer of the old version, against the container's own start to healthy."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment()
        try:
            estate = Estate(Path(folder), environment)
            estate.settings(settle=0)
            for words in (("lab.up",), ("release",)):
                ran = estate.invoke(*words)
                assert ran.code == 0, ran
            first = estate.stack
            estate.behave("second")
            assert estate.invoke("release").code == 0
            (container,) = environment.containers(stack=first)
            own, whole = [], []
            for _ in range(5):
                container.stop(timeout=1)
                own.append(until_healthy(container))
                container.stop(timeout=1)
                whole.append(_until_answered(estate, first))
                ran = estate.invoke("rollback", "--to", estate.stack)
                assert ran.code == 0, ran
        finally:
            environment.destroy()
    best, ratio = sorted(own)[2], sorted(whole)[2] / sorted(own)[2]
    print(f"  own start to healthy {best:.2f} s, rollback to the first answer {sorted(whole)[2]:.2f} s (medians of 5)")
    print(f"  {ratio:.2f} × (limit 1.5) {'ok' if ratio <= 1.5 else 'OVER'}")


def releases() -> None:
    """Of cities, in the environment `local` of this engine, where it needs no database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment()
        environment.name = "local"
        try:
            estate = Estate(Path(folder), environment)
            shutil.rmtree(estate.service)
            shutil.copytree(ROOT / "services" / "cities", Path(folder) / "services" / "cities")
            estate.settings(settle=1, grace=5, deploy_timeout=120, verify_timeout=30)
            for words in (("lab.up",), ("release",)):
                ran = estate.invoke(*words)
                assert ran.code == 0, ran
            stacks, space = [], []
            with Load(f"{environment.proxy}/ws/cities?page_size=1", RATE) as load:
                for number in range(RELEASED):
                    (Path(folder) / "services" / "cities" / "cities" / "release.txt").write_text(str(number))
                    estate.commit(f"release {number}")
                    ran = estate.invoke("release", "prune", "--yes")
                    assert ran.code == 0, ran.err[-2000:]
                    stacks.append(len(environment.stacks()))
                    space.append(environment.engine.api.df()["LayersSize"])
        finally:
            environment.destroy()
            client = docker.from_env(use_context=False)
            for image in client.images.list(filters={"label": "pipeline.service=cities"}):
                client.images.remove(image.id, force=True)
            client.close()
    print(f"  {RELEASED} releases of cities: {load}")
    print(f"  stacks after each prune: {stacks} (limit: what serves, its predecessor, and the grace time of 5 s)")
    flat = [round((one - space[min(4, len(space) - 1)]) / 1e6, 1) for one in space]
    print(f"  images' space against that after the fifth, in MB: {flat}")


def until_healthy(container) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    container.start()
    while container.client.api.inspect_container(container.id)["State"]["Health"]["Status"] != "healthy":
        time.sleep(0.01)
    return time.perf_counter() - start


def _until_answered(estate: Estate, stack: str) -> float:
    start = time.perf_counter()
    running = estate.start("rollback", "--to", stack)
    while estate.ask(method="OPTIONS")[1]["stack"] != stack:
        time.sleep(0.02)
    took = time.perf_counter() - start
    _, err = running.communicate()
    assert running.returncode == 0, err
    return took


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    main(tuple(sys.argv[1:]) or ("back", "releases"))
