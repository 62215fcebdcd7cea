"""Machines to build on: containers of a bare Debian 12 with its own openssh-server, sudo and files. No Python there.

They have no engine; one of the tests' own can be lent to them (`socket`). In between, a wire that can be cut."""

from __future__ import annotations

import io
import select
import socket
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.hosts.sshd import write_home

if TYPE_CHECKING:
    from docker import APIClient

IMAGE = "invoke-pipeline-tests/machine"
_HERE = Path(__file__).parent / "machine"
_LOCAL = Path(__file__).parents[2] / "invoke.local.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One container. `address` is inside the engine's network, `port` on 127.0.0.1."""

    client: APIClient
    container: str
    port: int
    address: str

    def run(self, command: str) -> str:
        """As root there, not over SSH."""
        made = self.client.exec_create(self.container, ["sh", "-c", command])
        output: bytes = self.client.exec_start(made["Id"])
        return output.decode()

    @property
    def line(self) -> str:
        """Its host key, as known_hosts has it."""
        return " ".join(self.run("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2])

    def meet(self, name: str, *, user: str = "root", port: int = 0, known: bool = True, more: str = "") -> str:
        """~/.ssh knows it under this name."""
        where = f"  HostName 127.0.0.1\n  Port {port or self.port}\n"
        write_home(config=f"Host {name}\n{where}  User {user}\n  HostKeyAlias {name}\n{more}")
        if known:
            write_home(known_hosts=f"{name} {self.line}\n")
        return name


def machine_image(client: APIClient) -> str:
    """Built once per engine; the engine's cache makes the next time short."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for path in sorted(_HERE.iterdir()):
            tar.add(path, arcname=path.name, filter=_bare)
    local = yaml.safe_load(_LOCAL.read_text()) if _LOCAL.exists() else {}
    base = local.get("pipeline", {}).get("build_args", {}).get("NGINX_IMAGE")
    args = {"BASE": base} if base else {}
    output = client.build(
        fileobj=io.BytesIO(sink.getvalue()), custom_context=True, tag=IMAGE, buildargs=args, decode=True, rm=True
    )
    errors = [line["error"] for line in output if "error" in line]
    assert errors == []
    return IMAGE


def _bare(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.mode = 0o755
    return entry


@contextmanager
def running_machines(client: APIClient, key: Path, count: int, **host_config: Any) -> Iterator[list[Machine]]:
    """`key` may log in as root, as deploy (who has sudo) and as guest (who has not)."""
    image = machine_image(client)
    with ExitStack() as stack:
        yield [stack.enter_context(_machine(client, image, key, host_config)) for _ in range(count)]


@contextmanager
def _machine(client: APIClient, image: str, key: Path, host_config: dict[str, Any]) -> Iterator[Machine]:
    payload = {
        "Image": image,
        "Env": [f"AUTHORIZED_KEY={key.with_suffix('.pub').read_text().strip()}"],
        "ExposedPorts": {"22/tcp": {}},
        "HostConfig": {
            "PortBindings": {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Init": True,
            **host_config,
        },
    }
    name = f"pipeline-test-machine-{uuid.uuid4().hex[:8]}"
    client.create_container_from_config(payload, name)
    try:
        client.start(name)
        found = client.inspect_container(name)
        machine = Machine(
            client=client,
            container=name,
            port=int(found["NetworkSettings"]["Ports"]["22/tcp"][0]["HostPort"]),
            address=found["NetworkSettings"]["IPAddress"],
        )
        _wait_for_sshd(machine.port)
        yield machine
    finally:
        client.remove_container(name, force=True, v=True)


def _wait_for_sshd(port: int) -> None:
    """The proxy of a published port answers before anybody is there: it is the greeting that counts."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as one:
            if one.recv(4) == b"SSH-":
                return
        time.sleep(0.05)
    raise TimeoutError(f"no sshd answers on 127.0.0.1:{port}")


@dataclass
class Wire:
    """What lies between us and a machine. It can be cut (both ends see it), or go silent (nobody does)."""

    port: int
    listener: socket.socket
    to: int
    limit: int | None = None
    """Bytes from us, after which it is cut."""
    silent: bool = False
    _pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)

    def cut(self) -> None:
        pairs, self._pairs = self._pairs, []
        for one in (one for pair in pairs for one in pair):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self.listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self.to))
                self._pairs.append((ours, theirs))
                threading.Thread(target=self._carry, args=(ours, theirs), daemon=True).start()

    def _carry(self, ours: socket.socket, theirs: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while True:
                ready, _, _ = select.select([ours, theirs], [], [], 0.1)
                for one in () if self.silent else ready:
                    if not (piece := one.recv(65536)):
                        return self.cut()
                    if one is ours and self.limit is not None:
                        self.limit -= len(piece)
                        if self.limit < 0:
                            self.limit = None
                            return self.cut()
                    (theirs if one is ours else ours).sendall(piece)


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(port=listener.getsockname()[1], listener=listener, to=port)
        threading.Thread(target=wire.serve, daemon=True).start()
        yield wire
        listener.shutdown(socket.SHUT_RDWR)
        wire.cut()


def eventually(holds: Callable[[], bool], seconds: float = 15.0) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
