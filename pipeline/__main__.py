"""`pipeline build deploy register`: the tasks without a tasks.py, for repositories that hold no toolkit code."""

from __future__ import annotations

from importlib import metadata

from invoke.program import Program

from pipeline.tasks import ns


def main() -> None:
    Program(namespace=ns, name="pipeline", binary="pipeline", version=metadata.version("invoke-pipeline")).run()


if __name__ == "__main__":
    main()
