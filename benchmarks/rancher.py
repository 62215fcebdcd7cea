"""A large project's status, a deployment beside the Docker platform's, waiting, and rancher-gitlab-deploy's upgrade:
`python -m benchmarks rancher`. The parts with containers want a Docker engine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STACKS, SERVICES = 5000, 4
MOST_MEMORY = 300 << 20
PAGE = 3000
STEADY_SECONDS = 5
ROOT = Path(__file__).parents[1]

SERVER = """
import json, sys
from benchmarks.rancher import crowd
from pipeline.lab.rancher.running import Lab, running_rancher
with running_rancher(real_time=True) as lab:
    lab.call(lambda: crowd(lab.state, int(sys.argv[1])))
    print(json.dumps({"url": lab.url}), flush=True)
    for line in sys.stdin:
        print(json.dumps(lab.requests), flush=True)
        lab.requests.clear()
"""


def main() -> None:
    _status()
    _beside_others()


def crowd(state: Any, stacks: int) -> None:
    """So many stacks of ours at rest, each with four services and labels of its own, as a deployment leaves them."""
    from pipeline.lab.rancher.crowd import fill
    from pipeline.model.rancher import owner

    fill(state, stacks=stacks, services=SERVICES, prefix="cities-branch")
    store = state.store
    names = {}
    for row in store.rows("stack"):
        row.data["externalId"] = owner("stage", "cities")
        names[row.number] = row.name
    for row in store.rows("service"):
        stack = names[row.data["stackId"]]
        row.data["externalId"] = owner("stage", "cities")
        row.data["launchConfig"] = row.data["launchConfig"] | {"labels": _labels(stack)}
    for row in store.rows("instance"):
        row.data["labels"] = row.data["labels"] | _labels(names[row.data["stackId"]])


def _labels(stack: str) -> dict[str, str]:
    facts = {"environment": "stage", "service": "cities", "stack": stack, "branch": stack, "commit": "1" * 40}
    facts |= {"version": "11111111", "definition": "d" * 64, "sameness": "e" * 64, "subject": "a subject of a commit"}
    return {f"pipeline.{name}": text for name, text in facts.items()}


@contextlib.contextmanager
def _server(stacks: int) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", SERVER, str(stacks)]
    server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield server
    finally:
        server.terminate()
        server.wait()


def _told(server: subprocess.Popen[str]) -> Any:
    assert server.stdout is not None
    return json.loads(server.stdout.readline())


def _status() -> None:
    with tempfile.TemporaryDirectory() as folder, _server(STACKS) as server:
        url = _told(server)["url"]
        (Path(folder) / "invoke.yaml").write_text(json.dumps({"pipeline": {"environments": {"stage": {}}}}))
        (Path(folder) / "tasks.py").write_text((ROOT / "tasks.py").read_text())
        words = [str(Path(sys.executable).parent / "invoke"), "status", "-e", "stage", "--json"]
        variables = dict(os.environ) | _keys() | {"RANCHER_URL": url}
        start = time.perf_counter()
        ran = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        taken = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        assert server.stdin is not None
        server.stdin.write("\n")
        server.stdin.flush()
        requests = _told(server)
    listed = json.loads(ran.stdout)["stacks"]
    pages = -(-STACKS // PAGE) + 2 * -(-STACKS * SERVICES // PAGE)
    print(f"  status of {len(listed)} stacks with {SERVICES} services: {taken:.1f} s")
    print(f"  requests {len(requests)} (limit {pages} pages + 5)", "ok" if len(requests) <= pages + 5 else "OVER")
    print(f"  memory {peak >> 20} MB (limit {MOST_MEMORY >> 20} MB)", "ok" if peak <= MOST_MEMORY else "OVER")


def _beside_others() -> None:
    """The same service by the Docker platform and by the lab Rancher, and the same upgrade by rancher-gitlab-deploy."""
    from tests.end_to_end.estate import Environment, Estate, free_port

    with tempfile.TemporaryDirectory() as folder:
        environment = Environment()
        on_engine = Estate(Path(folder) / "engine", environment)
        on_rancher = Estate(Path(folder) / "rancher", environment)
        on_rancher.variables["RANCHER_URL"] = f"http://127.0.0.1:{free_port()}"
        try:
            ran = on_rancher.invoke("lab.up", "--rancher")
            assert ran.code == 0, ran
            engine, rancher = _healthy_after(on_engine), _healthy_after(on_rancher)
            limit = 1.2 * engine + STEADY_SECONDS
            print(f"  from request to healthy: {engine:.1f} s on the engine, {rancher:.1f} s on Rancher", end=" ")
            print(f"(limit {limit:.1f} s: 1.2 x + {STEADY_SECONDS} s)", "ok" if rancher <= limit else "OVER")
            _upgrades(on_rancher)
        finally:
            on_rancher.invoke("lab.down", "--state")
            environment.destroy()


def _healthy_after(estate: Any) -> float:
    """The median of three new stacks, as the verb tells it. A busy machine answers late: that is no failure here."""
    estate.manifest(health={"path": f"{estate.uri}/health", "interval": 0.5, "timeout": 10, "retries": 60})
    taken = []
    for turn in range(3):
        estate.behave(f"well {turn}")
        ran = estate.invoke("build", "deploy")
        assert ran.code == 0, ran
        taken.append(float(re.findall(r"after ([0-9.]+) s", ran.err)[-1]))
    return statistics.median(taken)


def _upgrades(estate: Any) -> None:
    """One service, start-first, from one image to the next: whole commands."""
    (estate.service / "rancher-compose.yml").write_text(
        "services: {proxy: {upgrade_strategy: {start_first: true, interval_millis: 2000}}}"
    )
    estate.manifest(strategy="in-place")
    assert estate.invoke("build", "deploy").code == 0
    ours, theirs = [], []
    for turn in range(3):
        estate.behave(f"upgraded {turn}")
        assert estate.invoke("build").code == 0
        ours.append(_seconds(lambda: estate.invoke("deploy")))
        image = json.loads((estate.folder / "build" / "hello" / "artifact.json").read_text())["images"][0]
        words = [str(Path(sys.executable).parent / "rancher-gitlab-deploy")]
        words += ["--rancher-url", estate.variables["RANCHER_URL"], "--rancher-key", "k", "--rancher-secret", "s"]
        words += [
            "--environment",
            "Default",
            "--stack",
            "hello-master",
            "--service",
            "proxy",
            "--start-before-stopping",
        ]
        words += ["--new-image", image.get("id") or image["reference"]]
        theirs.append(_seconds(lambda words=words: estate.run(words)))
    shown = f"ours {statistics.median(ours):.1f} s, of them {STEADY_SECONDS} s to see that it stays healthy"
    print(
        f"  the same upgrade: {shown}; rancher-gitlab-deploy {statistics.median(theirs):.1f} s, which looks at no health"
    )


def _seconds(run: Any) -> float:
    start = time.perf_counter()
    ran = run()
    assert ran.code == 0, ran
    return time.perf_counter() - start


def _keys() -> dict[str, str]:
    from pipeline.lab.rancher.running import ENVIRONMENT_KEY

    return {"RANCHER_ACCESS_KEY": ENVIRONMENT_KEY.access, "RANCHER_SECRET_KEY": ENVIRONMENT_KEY.secret}
