"""A generated script, run here with a clean environment: it is given what is named, and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.edge.process import running
from pipeline.model.secret import Secret

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONFIG")


def run_script(
    script: Path,
    variables: Mapping[str, Secret | str],
    environ: Mapping[str, str],
    listen: Callable[[str], None],
) -> tuple[int, tuple[str, ...]]:
    """Its exit code and all that it said; `listen` is given each line as it comes. It has ended when this ends."""
    given = {name: environ[name] for name in _KEPT if name in environ}
    given |= {name: one.reveal() if isinstance(one, Secret) else one for name, one in variables.items()}
    lines = []
    with running(["sh", script.name], given, None, folder=script.parent) as process:
        for line in process.lines():
            lines.append(line)
            listen(line)
        return process.code, tuple(lines)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of the loopback address that nobody has just now."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return tuple(int(one.getsockname()[1]) for one in listeners)
    finally:
        for one in listeners:
            one.close()
