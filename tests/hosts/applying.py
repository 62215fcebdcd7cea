"""The verb as a task calls it, with what it told."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.edge.console import Console
from pipeline.errors import PipelineError
from pipeline.verbs.bootstrap_apply import Flags, apply
from pipeline.wiring import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The exit code, and both outputs."""

    code: int
    out: str
    err: str

    def ran(self, host: str) -> list[str]:
        """The scripts that ended well there."""
        lines = (line.removeprefix(f"{host}: ") for line in self.err.splitlines() if line.startswith(f"{host}: "))
        return [line.removesuffix(": done") for line in lines if line.endswith(": done")]


def applied(folder: Path, hosts: Sequence[str], variables: Mapping[str, str] | None = None, **flags: Any) -> Applied:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err)
    session = Session(start=folder, variables=variables or {}, console=console)
    try:
        code = apply(session, folder, hosts, Flags(**flags))
    except PipelineError as error:
        console.error(error)
        code = error.exit_code
    return Applied(code=code, out=out.getvalue(), err=err.getvalue())
