"""Five machines built at once over real SSH, with steps that wait, against the slowest of them alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.measure import in_turn, show, show_ratio
from tests.builders.engine_support import engine
from tests.hosts.applying import applied
from tests.hosts.folders import write_folder
from tests.hosts.machines import running_machines
from tests.hosts.sshd import log_in_with, make_key

RUNS = 3
WAITS = (0.5, 1, 1.5, 2, 3)
"""Seconds that each machine takes for each of the steps that every one has."""
STEPS = dict.fromkeys(("10-engine.sh", "20-network.sh", "30-images.sh"), "sleep $(cat /wait)\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, engine() as client:
        os.environ["HOME"] = folder
        key = make_key(Path(folder) / "key")
        log_in_with(key)
        path = write_folder(Path(folder) / "stage", STEPS)
        with running_machines(client, key, len(WAITS)) as machines:
            for machine, wait in zip(machines, WAITS, strict=True):
                machine.run(f"echo {wait} >/wait")
            hosts = [machine.meet(f"host{number}") for number, machine in enumerate(machines)]

            def build(*names: str) -> None:
                done = applied(path, names, again=True)
                assert done.code == 0, done

            taken = in_turn(RUNS, all_five=lambda: build(*hosts), the_slowest=lambda: build(hosts[-1]))
    show(taken)
    show_ratio("5 hosts with steps that wait / the slowest alone", taken["all_five"], taken["the_slowest"], 1.5)
