"""A registry in front of a registry, which may answer in its stead, cut it off in the middle and count what it sees."""

from __future__ import annotations

import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from pipeline.model.address import EngineAddress


@dataclass(frozen=True)
class Asked:
    """A request that came: `what` is manifests, blobs, uploads or nothing of these."""

    method: str
    path: str

    @property
    def what(self) -> str:
        parts = urlsplit(self.path).path.split("/")
        return next((part for part in ("uploads", "manifests", "blobs") if part in parts), "")

    def __str__(self) -> str:
        return f"{self.method} {self.what}"


@dataclass(frozen=True)
class Answered:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Front:
    """`rule` may answer a request; `cuts` is asked while a body comes, with the bytes so far, and may reset it."""

    behind: str
    rule: Callable[[Asked], Answered | None] = lambda asked: None
    cuts: Callable[[Asked, int], bool] = lambda asked, size: False
    seen: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    host: str = ""

    @property
    def writes(self) -> list[str]:
        return [asked for asked in self.seen if asked.split()[0] in ("POST", "PATCH", "PUT")]


@contextmanager
def in_front(front: Front) -> Iterator[str]:
    """Serves on a free port; gives `host:port`. `front.blobs` gets the digest of each blob that has arrived whole."""

    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            asked = Asked(self.command, self.path)
            front.seen.append(str(asked))
            body = self._body(asked)
            given = front.rule(asked) or self._behind(body)
            if asked.method == "PUT" and asked.what == "uploads" and given.status == 201:
                front.blobs += parse_qs(urlsplit(asked.path).query)["digest"]
            self._answer(given)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = pass_on

        def _behind(self, body: bytes | None) -> Answered:
            headers = {"Content-Type": "application/octet-stream"}
            # The engine sends a line for each kind that it accepts; of one alone, a registry makes an old manifest.
            sent = {name: ", ".join(self.headers.get_all(name, ())) for name in self.headers}
            headers |= {name: value for name, value in sent.items() if name != "Transfer-Encoding"}
            request = urllib.request.Request(f"http://{front.behind}{self.path}", body, headers, method=self.command)
            try:
                with urllib.request.urlopen(request) as answer:
                    return Answered(answer.status, dict(answer.headers), answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    return Answered(error.code, dict(error.headers), error.read())

        def _body(self, asked: Asked) -> bytes | None:
            if self.headers.get("Transfer-Encoding") != "chunked":
                length = self.headers.get("Content-Length")
                return self.rfile.read(int(length)) if length else None
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
                if front.cuts(asked, len(body)):
                    self._reset()
            self.rfile.readline()
            return body

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            raise ConnectionResetError

        def _answer(self, given: Answered) -> None:
            self.send_response_only(given.status)
            for name, value in given.headers.items():
                if name not in ("Transfer-Encoding", "Content-Length") or self.command == "HEAD":
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(given.body)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that tries TLS first, or goes away, is no error."""

    with Quiet(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        front.host = f"127.0.0.1:{server.server_port}"
        try:
            yield front.host
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def cuttable_engine() -> Iterator[tuple[EngineAddress, Callable[[], None]]]:
    """The engine behind a port, and what cuts all connections to it; new ones can be made."""
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    def cut() -> None:
        here = opened.copy()  # whoever is cut off may be back before the last of these is closed
        opened.clear()
        for one in here:
            _close(one)

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect("/var/run/docker.sock")
                opened.extend((near, far))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield EngineAddress(host=f"tcp://127.0.0.1:{listener.getsockname()[1]}"), cut
    finally:
        _close(listener)
        cut()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    _close(sink)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
