"""The restore script by real curl against an Admin API behind a private CA that wants a client certificate."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.edge.library import shell_library
from pipeline.model.restore_script import ScriptHeader, restore_script
from pipeline.model.route import Entity, GatewayIdentity, GatewayState

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Admin(ThreadingHTTPServer):
    """Answers like a Kong; keeps what was asked and by which token."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.asked: list[tuple[str, str, str | None]] = []

    def handle_error(self, request: object, address: object) -> None:
        """A handshake that fails is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Admin

    def reply(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, self.headers["Kong-Admin-Token"]))
        content = b'{"version":"2.8.5"}' if self.path == "/" else b'{"data":[]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = reply

    def log_message(self, format: str, *words: object) -> None:
        """Says nothing."""


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("ca", "other"):
        _openssl(
            folder, "req", "-x509", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"
        )
    for name in ("server", "client"):
        _openssl(folder, "req", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return folder


@pytest.fixture
def admin(files: Path) -> Iterator[Admin]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "server.pem", files / "server.key")
    context.load_verify_locations(files / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = Admin(context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def restore(files: Path, admin: Admin, ca: str, **variables: str) -> subprocess.CompletedProcess[str]:
    entity = Entity(kind="services", id="1", name="cities", body={"host": "proxy"})
    state = GatewayState(identity=GatewayIdentity(product="kong", version="2.8.5"), entities=(entity,))
    header = ScriptHeader(subject="all", file="restore.sh", tool_version="1", environment="stage", commit="")
    (files / "restore.sh").write_text(restore_script(state, header, library=shell_library()))
    given = {
        "PATH": os.environ["PATH"],
        "KONG_ADMIN_URL": f"https://127.0.0.1:{admin.server_address[1]}/",
        "KONG_ADMIN_TOKEN": "s3cret",
        "KONG_CA_CERT": str(files / ca),
        "KONG_CLIENT_CERT": str(files / "client.pem"),
        "KONG_CLIENT_KEY": str(files / "client.key"),
    }
    words = ["dash", str(files / "restore.sh")]
    return subprocess.run(words, env=given | variables, capture_output=True, text=True, timeout=60)


def test_a_private_ca_a_client_certificate_and_a_token_open_it(files: Path, admin: Admin) -> None:
    done = restore(files, admin, "ca.pem", CURL_CA_BUNDLE=str(files / "other.pem"))

    assert (done.returncode, done.stderr) == (0, "")
    assert admin.asked == [
        ("GET", "/", "s3cret"),
        ("GET", "/services?size=1000&tags=pipeline", "s3cret"),
        ("PUT", "/services/1", "s3cret"),
    ]


def test_no_ca_but_the_one_that_is_named_is_trusted(files: Path, admin: Admin) -> None:
    done = restore(files, admin, "other.pem", CURL_CA_BUNDLE=str(files / "ca.pem"), SSL_CERT_FILE=str(files / "ca.pem"))

    assert done.returncode == 5
    assert "SSL certificate problem" in done.stderr
    assert admin.asked == []


def test_without_the_client_certificate_nothing_is_answered(files: Path, admin: Admin) -> None:
    done = restore(files, admin, "ca.pem", KONG_CLIENT_CERT="", KONG_CLIENT_KEY="")

    assert done.returncode == 5
    assert admin.asked == []
