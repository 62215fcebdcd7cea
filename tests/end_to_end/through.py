"""Passes connections on: `through.py LISTEN CONNECT NAMESPACE`. A socket stays in the namespace that it was made in, so one
process can listen in one and connect from another."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
import threading

_NETWORK = 0x40000000


def main(listen: str, connect: str, namespace: str) -> None:
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    if namespace:
        _enter(os.open(f"/run/netns/{namespace}", os.O_RDONLY))
    listener = _listener(listen)
    _enter(own)
    print("ready", flush=True)
    while True:
        near, _ = listener.accept()
        with contextlib.suppress(OSError):
            far = _connected(connect)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()
            continue
        near.close()


def _listener(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_server((host, int(port)))


def _connected(address: str) -> socket.socket:
    if address.startswith("/"):
        found = socket.socket(socket.AF_UNIX)
        found.connect(address)
        return found
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)))


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """A half that has ended ends the other's reading, not its writing."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _enter(namespace: int) -> None:
    """Of the calling thread; before there is another."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


if __name__ == "__main__":
    main(*sys.argv[1:])
