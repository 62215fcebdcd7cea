"""From a one-line change in cities to the first answer of the new version, against a script written by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import show, show_ratio
from tests.end_to_end.estate import ROOT, Environment, Estate, ask

RUNS = 5
_URI = "/ws/cities"

SCRIPT = """
set -eu
build() { docker build -q --build-arg version=1 --build-arg branch=b --build-arg "stack=$stack" $args -t "$1" "$2" >/dev/null; }
export DOCKER_BUILDKIT=0
build "bench-app:$stack" "$service" & build "bench-proxy:$stack" "$service/proxy" & wait
run() { docker run -d --network "$network" --label "pipeline.environment=$environment" --label "pipeline.stack=$stack" -e "stack=$stack" "$@" >/dev/null; }
run --network-alias "app.$stack" -v "cities-$environment-data:/data" "bench-app:$stack"
run --name "$stack" --network-alias "proxy.$stack" --health-interval 1s --health-timeout 3s --health-retries 30 \\
    --health-cmd "wget -q -O /dev/null http://127.0.0.1/ws/cities/health || curl -fsS -o /dev/null http://127.0.0.1/ws/cities/health" "bench-proxy:$stack"
until [ "$(docker inspect -f '{{.State.Health.Status}}' "$stack")" = healthy ]; do sleep 0.2; done
curl -fsS -o /dev/null -X PATCH -H 'Content-Type: application/json' -d "{\\"host\\": \\"proxy.$stack\\"}" "$admin/services/cities"
"""


def main() -> None:
    taken: dict[str, list[float]] = {"by_hand": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment()
        try:
            estate = _estate(Path(folder), environment)
            for words in (("lab.up",), ("release",)):
                ran = estate.invoke(*words)
                assert ran.code == 0, ran
            for number in range(RUNS + 1):
                _change(estate, f"by hand {number}")
                by_hand = _until_answered(estate, f"bench-{environment.name}-{number}", _by_hand(estate, number))
                _change(estate, f"ours {number}")
                estate.commit(f"change {number}")
                stack = f"cities-master-{estate.sha8}"
                ours = _until_answered(estate, stack, lambda: estate.invoke("build", "deploy", "register"))
                if number:
                    taken["by_hand"].append(by_hand)
                    taken["ours"].append(ours)
        finally:
            environment.destroy()
    show(taken)
    show_ratio("a change until its first answer / by hand", taken["ours"], taken["by_hand"], 1.25)


def _estate(folder: Path, environment: Environment) -> Estate:
    estate = Estate(folder, environment)
    shutil.rmtree(estate.service)
    estate.service = folder / "services" / "cities"
    ignored = shutil.ignore_patterns(".venv", "__pycache__", ".pytest_cache", "tests")
    shutil.copytree(ROOT / "services" / "cities", estate.service, ignore=ignored)
    compose = estate.service / "docker-compose.yml"
    # Any other environment wants a PostgreSQL, which is not what is measured.
    compose.write_text(compose.read_text().replace("${ENVIRONMENT:-local}", "local"))
    estate.commit("the cities service")
    return estate


def _change(estate: Estate, words: str) -> None:
    with (estate.service / "manage.py").open("a") as file:
        file.write(f"# {words}\n")


def _by_hand(estate: Estate, number: int) -> Callable[[], object]:
    environment = estate.environment
    settings = ROOT / "invoke.local.yaml"
    import yaml

    machine = yaml.safe_load(settings.read_text())["pipeline"]["build_args"] if settings.exists() else {}
    variables = {
        "stack": f"bench-{environment.name}-{number}",
        "environment": environment.name,
        "network": f"pipeline-{environment.name}",
        "service": str(estate.service),
        "admin": environment.admin,
        "args": " ".join(f"--build-arg {name}={value}" for name, value in machine.items()),
    }
    return lambda: subprocess.run(["sh", "-c", SCRIPT], env=estate.environ(**variables), check=True)


def _until_answered(estate: Estate, stack: str, release: Callable[[], object]) -> float:
    """Seconds from the start of `release` to the first answer of `stack` through the gateway."""
    start = time.perf_counter()
    failures: list[object] = []

    def run() -> None:
        ran = release()
        if getattr(ran, "code", 0) or getattr(ran, "returncode", 0):
            failures.append(ran)

    thread = threading.Thread(target=run)
    thread.start()
    while True:
        status, found = ask(f"{estate.environment.proxy}{_URI}", "OPTIONS")
        if status == 200 and found["stack"] == stack:
            break
        assert thread.is_alive() or not failures, failures
        assert time.perf_counter() - start < 300, json.dumps(found)
        time.sleep(0.02)
    taken = time.perf_counter() - start
    thread.join()
    assert not failures, failures
    return taken
