"""The engine behind a port that can be closed with all of its connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pipeline.model.address import EngineAddress


@contextmanager
def fragile_engine() -> Iterator[tuple[EngineAddress, Callable[[], None]]]:
    """Its address, and what makes it die."""
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = [listener]

    def die() -> None:
        for one in opened:
            _close(one)

    def serve() -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect("/var/run/docker.sock")
            except OSError:
                return
            opened.extend((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield EngineAddress(host=f"tcp://127.0.0.1:{listener.getsockname()[1]}"), die
    finally:
        die()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
