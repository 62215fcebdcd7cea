"""Runs the named benchmarks, or all of them, and says which limits hold."""

from __future__ import annotations

import importlib
import sys

NAMES = ("cli", "first_answer", "switch", "packing", "deciding", "streaming", "several", "gateway_scale")


def main(names: list[str]) -> int:
    for name in names or NAMES:
        print(f"== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
