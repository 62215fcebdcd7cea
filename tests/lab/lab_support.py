"""What the lab gateway's tests share: raw requests and an upstream that answers with what it got."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """A raw answer. `headers` keep order and case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body.decode("utf-8", "surrogateescape"))


class Client:
    """One kept-alive connection on which requests go out byte for byte."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.sock = socket.create_connection(address, timeout=30)
        self.stream = self.sock.makefile("rb")

    def send(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> None:
        given = dict(headers or {})
        host = given.pop("Host", f"{self.address[0]}:{self.address[1]}")
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        if body is not None or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body or b'')}")
        lines += [f"{name}: {value}" for name, value in given.items()]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode() + (body or b""))

    def receive(self, method: str = "GET") -> Reply:
        while True:
            line = self.stream.readline()
            if not line:
                raise ConnectionError("closed without an answer")
            status = int(line.split(b" ")[1])
            headers = []
            while (line := self.stream.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode("utf-8", "surrogateescape").rstrip("\r\n").partition(":")
                headers.append((name, value.strip()))
            if status != 100:
                break
        reply = Reply(status, headers, b"")
        if method == "HEAD" or status in (204, 304, 101):
            return reply
        if (reply.header("transfer-encoding") or "").lower() == "chunked":
            while size := int(self.stream.readline(), 16):
                reply.body += self.stream.read(size)
                self.stream.readline()
            self.stream.readline()
        elif reply.header("content-length") is not None:
            reply.body = self.stream.read(int(reply.header("content-length") or 0))
        else:
            reply.body = self.stream.read()
        return reply

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Reply:
        self.send(method, path, headers, body)
        return self.receive(method)

    def close(self) -> None:
        self.stream.close()
        self.sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(address: tuple[str, int], method: str, path: str, content: Any = None, **headers: str) -> Reply:
    """One request on a connection of its own; content is sent as JSON."""
    body = None if content is None else json.dumps(content).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if content is not None:
        given.setdefault("Content-Type", "application/json")
    with Client(address) as client:
        return client.ask(method, path, given, body)


def put(address: tuple[str, int], path: str, content: Any) -> Any:
    """PUT and return the entity."""
    reply = ask(address, "PUT", path, content)
    assert reply.status == 200, reply.body
    return reply.json()


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _EchoServer

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def handle_one_request(self) -> None:
        # A TLS hello is no request: say nothing, as a server does that waits for the end of a line.
        if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
            while self.connection.recv(65536):
                pass
            self.close_connection = True
            return
        super().handle_one_request()

    def _answer(self) -> None:
        body = self._body()
        self.server.seen.append((self.command, self.path))
        if self.path.startswith("/slow"):
            time.sleep(self.server.slow_seconds)
        content = {
            "upstream": self.server.label,
            "method": self.command,
            # `path` is not what came: two slashes at its start are one there.
            "target": self.requestline.split(" ")[1],
            "version": self.request_version,
            "headers": [list(pair) for pair in self.headers.items()],
            "body": body.decode("utf-8", "surrogateescape"),
        }
        raw = json.dumps(content).encode()
        self.send_response_only(503 if self.path.startswith("/status503") else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("Server", "echo-upstream")
        self.send_header("X-Upstream-Name", self.server.label)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def log_message(self, *_: object) -> None:
        pass


class _EchoServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    label = "A"
    slow_seconds = 3.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.seen: list[tuple[str, str]] = []

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def echo_upstream(label: str = "A") -> Iterator[_EchoServer]:
    """An upstream that answers with what it got; `/slow…` after three seconds, `/status503…` with 503."""
    server = _EchoServer()
    server.label = label
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Scripted:
    """An upstream that a test plays by hand: `accepted` are the connections so far."""

    address: tuple[str, int]
    accepted: list[socket.socket] = field(default_factory=list)


@contextmanager
def scripted_upstream(play: Any) -> Iterator[Scripted]:
    """Run `play(connection, number)` in a thread for every connection that is made."""
    listener = socket.create_server(("127.0.0.1", 0))
    script = Scripted(listener.getsockname())
    threads: list[threading.Thread] = []

    def run(connection: socket.socket, number: int) -> None:
        try:
            play(connection, number)
        except OSError:
            pass
        finally:
            connection.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            script.accepted.append(connection)
            thread = threading.Thread(target=run, args=(connection, len(script.accepted)))
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield script
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for connection in script.accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)


def read_head(connection: socket.socket) -> bytes:
    """A request's head (and what came with it)."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise OSError("closed")
        data += more
    return data


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
