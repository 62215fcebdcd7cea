"""What the command line itself costs: listing tasks, and a chain with nothing to do, against an empty Invoke project."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import in_turn, show, show_ratio
from tests.end_to_end.estate import Environment, Estate
from tests.end_to_end.test_main_job import engine_writes, gateway_state

RUNS = 15


def main() -> None:
    invoke = str(Path(sys.executable).parent / "invoke")
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty"
        empty.mkdir()
        (empty / "tasks.py").write_text("from invoke import task\n\n\n@task\ndef nothing(c):\n    pass\n")
        environment = Environment()
        try:
            estate = Estate(Path(folder) / "estate", environment)
            for words in (("lab.up",), ("release",)):
                ran = estate.invoke(*words)
                assert ran.code == 0, ran
            chain = estate.command("build", "deploy", "register")
            before, since = gateway_state(environment), time.time()
            taken = in_turn(
                RUNS,
                empty_list=lambda: subprocess.run([invoke, "--list"], cwd=empty, capture_output=True, check=True),
                our_list=lambda: subprocess.run([invoke, "--list"], cwd=estate.folder, capture_output=True, check=True),
                nothing_changed=lambda: subprocess.run(
                    chain, cwd=estate.folder, env=estate.environ(), capture_output=True, check=True
                ),
            )
            writes = engine_writes(environment, since)
            moved = gateway_state(environment) != before
        finally:
            environment.destroy()
    show(taken)
    show_ratio("invoke --list / an empty project's", taken["our_list"], taken["empty_list"], 1.5)
    show_ratio("build deploy register, nothing changed / that", taken["nothing_changed"], taken["empty_list"], 4)
    print(f"  writes in {RUNS + 1} runs with nothing changed: engine {len(writes)}, gateway {'some' if moved else 0}")
