"""A bare repository behind git's own HTTP server, as GitLab has them: for `oauth2` and a token alone."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Repository:
    """`url` is the project's; the repository is at `<url>.git`."""

    def __init__(self, folder: Path, token: str) -> None:
        self.path = folder / "group" / "hello.git"
        self.token = token
        self.url = ""
        subprocess.run(["git", "init", "--quiet", "--bare", str(self.path)], check=True)
        self.git("config", "http.receivepack", "true")

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", "-C", str(self.path), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()


@contextmanager
def served_repository(folder: Path, token: str) -> Iterator[Repository]:
    repository = Repository(folder, token)
    server = _server(repository)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    repository.url = f"http://127.0.0.1:{server.server_address[1]}/group/hello"
    try:
        yield repository
    finally:
        server.shutdown()
        server.server_close()


def _server(repository: Repository) -> ThreadingHTTPServer:
    backend = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True).stdout.strip())
    wanted = "Basic " + base64.b64encode(f"oauth2:{repository.token}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *words: object) -> None: ...

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="GitLab"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            environ = {
                "GIT_PROJECT_ROOT": str(repository.path.parents[1]),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REMOTE_USER": "oauth2",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "PATH": os.environ["PATH"],
            }
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            done = subprocess.run([str(backend / "git-http-backend")], input=content, env=environ, capture_output=True)
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, text in fields.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)
