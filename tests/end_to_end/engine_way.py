"""The way to the engine, counted: a socket in front of it that kills whoever sends the request of a number."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

_REQUEST = b" HTTP/1.1\r\n"


class EngineWay:
    """Hands bytes to and fro. `killed_at` counts from 1; 0 is nobody."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix://{folder / 'engine.sock'}"
        self.requests = 0
        self.kill_at = 0
        self.victim: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "engine.sock"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, victim: subprocess.Popen[str], kill_at: int) -> None:
        with self._lock:
            self.requests, self.kill_at, self.victim = 0, kill_at, victim

    def close(self) -> None:
        # An accept that waits is not ended by a close alone.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            engine = _connected()
            threading.Thread(target=self._hand_on, args=(client, engine, True), daemon=True).start()
            threading.Thread(target=self._hand_on, args=(engine, client, False), daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                if counted and _REQUEST in content[:2000] and self._is_struck():
                    break
                sink.sendall(content)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        # Each way closes its own source: the other one may still be reading from the sink.
        source.close()

    def _is_struck(self) -> bool:
        with self._lock:
            self.requests += 1
            if self.victim is None or self.requests != self.kill_at:
                return False
            self.victim.kill()
            return True


def _connected() -> socket.socket:
    parts = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    if parts.scheme == "unix":
        made = socket.socket(socket.AF_UNIX)
        made.connect(parts.path)
        return made
    return socket.create_connection((parts.hostname or "", parts.port or 2375))
