"""A large project's status, a deployment beside the Docker platform's, waiting, and rancher-gitlab-deploy's upgrade:
`python -m benchmarks rancher`. The parts with containers want a Docker engine."""

from __future__ import annotations

import contextlib
import json
import os
import resource
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


def _keys() -> dict[str, str]:
    from pipeline.lab.rancher.running import ENVIRONMENT_KEY

    return {"RANCHER_ACCESS_KEY": ENVIRONMENT_KEY.access, "RANCHER_SECRET_KEY": ENVIRONMENT_KEY.secret}
