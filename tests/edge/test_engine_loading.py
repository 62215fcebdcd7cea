"""What opening an engine loads: docker-py, and paramiko only for an engine over SSH."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from pipeline.edge.engine import open_engine
from pipeline.errors import Unreachable
from pipeline.model.address import EngineAddress
try:
    open_engine(EngineAddress(host={host!r}))
except Unreachable:
    print("paramiko" in sys.modules)
"""


def loads_paramiko(host: str) -> bool:
    done = subprocess.run([sys.executable, "-c", CODE.format(host=host)], capture_output=True, text=True, check=True)
    return {"True\n": True, "False\n": False}[done.stdout]


def test_an_engine_at_a_port_or_a_socket_costs_no_ssh_client() -> None:
    assert not loads_paramiko("tcp://127.0.0.1:9")


def test_an_engine_over_ssh_gets_one() -> None:
    assert loads_paramiko("ssh://nobody@127.0.0.1:9")
