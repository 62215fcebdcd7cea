"""A verb in a process of its own, which can be killed at any moment: `python -m tests.faults.child FOLDER`.

Each line on stdin orders one run; it is forked off a process that has everything loaded. What the verb asks of platform,
records, leases and proxy goes through a socket to whoever ordered it; the gateway is asked over HTTP, as always."""

from __future__ import annotations

import importlib
import io
import json
import os
import pickle
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

from invoke.config import Config
from invoke.context import Context

from pipeline import command, wiring
from pipeline.edge.console import Console
from pipeline.verbs import adopt, deploy, prune, register, rollback

LOADED_LATER = (
    "edge.connection",
    "edge.http",
    "edge.library",
    "flows.dump",
    "gateways.kong.any_kong",
    "gateways.kong.custody",
    "gateways.kong.listing",
    "gateways.kong.services_routes",
    "platforms.memory",
)
PORTS = ("platform", "records", "leases", "upkeep", "front")


class RunClock:
    """Nobody waits here: a sleep is over at once, and its time has passed."""

    def __init__(self, now: float) -> None:
        self.seconds = now

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Wire:
    """Calls and their answers, one at a time."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._lock = threading.Lock()

    def call(self, port: str, name: str, words: tuple[Any, ...], named: dict[str, Any]) -> Any:
        with self._lock:
            send(self._socket, (port, name, words, named))
            kind, value = receive(self._socket)
        if kind == "error":
            raise value
        return value


class Port:
    """A port at the other end of the wire."""

    url = "http://gateway.invalid"

    def __init__(self, wire: Wire, port: str) -> None:
        self._wire, self._port = wire, port

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **named: self._wire.call(self._port, name, words, named)


def send(to: socket.socket, value: object) -> None:
    content = pickle.dumps(value)
    to.sendall(struct.pack("!I", len(content)) + content)


def receive(from_: socket.socket) -> Any:
    def exactly(count: int) -> bytes:
        content = b""
        while len(content) < count:
            part = from_.recv(count - len(content))
            if not part:
                raise EOFError
            content += part
        return content

    return pickle.loads(exactly(struct.unpack("!I", exactly(4))[0]))


def run(order: dict[str, Any], folder: Path) -> int:
    wire = Wire(order["socket"])
    err = io.StringIO()
    variables = {"PATH": os.environ["PATH"], "KONG_ADMIN_URL": order["admin"], "KONG_PROXY_URL": "http://p.invalid"}
    session = wiring.Session(start=folder, variables=variables, console=Console(io.StringIO(), err))
    session.choice.environment = "stage"
    session.clock = RunClock(order["now"])  # type: ignore[assignment]  # a clock
    session.__dict__.update({port: Port(wire, port) for port in PORTS})
    wiring._session = session
    code = command.outcome(lambda: verb(order, session))
    Path(order["told"]).write_text(err.getvalue())
    return code


def verb(order: dict[str, Any], session: wiring.Session) -> int:
    c = Context(Config())
    match order["verb"]:
        case "deploy":
            return deploy.deploy(c, (), None, force=False, check=False)
        case "register":
            return register.register(c, (), None, force=False, check=False)
        case "rollback":
            return rollback.rollback(c, (), None, to=order["to"], check=False)
        case "adopt":
            return adopt.adopt(c, None, yes=True, check=False)
        case _:
            return prune.prune(c, (), None, prune.Flags(yes=True), check=False)


def main(folder: Path) -> None:
    for name in LOADED_LATER:
        importlib.import_module(f"pipeline.{name}")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = run(json.loads(line), folder)
            finally:
                os._exit(code)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
