"""Runs the named benchmarks, or all of them, and says which limits hold."""

from __future__ import annotations

import importlib
import subprocess
import sys

NAMES = (
    "cli",
    "first_answer",
    "switch",
    "packing",
    "deciding",
    "streaming",
    "several",
    "gateway_scale",
    "prune",
    "rollback",
    "rancher",
    "hosts",
    "ci",
    "bootstrap",
    "rehearsal",
)


def main(names: list[str]) -> int:
    """Each in a process of its own: what one has in memory is no figure of the next."""
    if len(names) == 1:
        print(f"== {names[0]}", flush=True)
        importlib.import_module(f"benchmarks.{names[0]}").main()
        return 0
    return max(
        subprocess.run([sys.executable, "-m", "benchmarks", name], check=False).returncode for name in names or NAMES
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
