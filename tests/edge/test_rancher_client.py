"""The client of Rancher's API where the lab cannot help: certificates, and answers that no server should give."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.edge.json_api import Patience
from pipeline.edge.rancher_answers import RancherAnswered
from pipeline.edge.rancher_client import RancherClient
from pipeline.edge.rancher_project import open_rancher
from pipeline.edge.rancher_stream import EventStream, StreamEnded
from pipeline.errors import BadInput, Failed, PipelineError, Unreachable
from pipeline.model.address import RancherAddress
from pipeline.model.rancher import StackRow
from pipeline.model.secret import Secret
from tests.conftest import SteppingClock

Serve = Callable[..., str]
PROJECTS = {"data": [{"id": "1a5", "name": "Default", "state": "active"}], "pagination": None}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that gives each request the next of the answers, the last one again and again."""
    servers: list[ThreadingHTTPServer] = []

    def start(*answers: tuple[int, Any], context: ssl.SSLContext | None = None) -> str:
        left = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = left.pop(0) if len(left) > 1 else left[0]
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if not isinstance(body, bytes) else "text/html")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    words += [
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-subj",
        "/CN=rancher",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "cert.pem"


def context_of(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.parent / "key.pem")
    return context


def address(url: str, **fields: str) -> RancherAddress:
    return RancherAddress(url=url, access_key="key", secret_key=Secret("hunter2-hunter2"), **fields)


def opened(url: str, **fields: str) -> RancherClient:
    return open_rancher(address(url, **fields), clock=SteppingClock())


def asked(url: str) -> RancherClient:
    client = RancherClient(address(url), clock=SteppingClock(), patience=Patience(tries=2))
    client.project = "1a5"
    return client


def refusal(client: RancherClient, method: str = "every") -> PipelineError:
    with pytest.raises(PipelineError) as refused:
        client.every("stacks", StackRow) if method == "every" else client.create("stacks", {}, StackRow)
    client.close()
    assert "hunter2" not in refused.value.what + refused.value.hint
    return refused.value


def test_a_certificate_that_is_not_trusted_is_told_with_the_setting_for_its_ca(serve: Serve, certificate: Path) -> None:
    url = serve((200, PROJECTS), context=context_of(certificate))

    with pytest.raises(Unreachable, match=f"the certificate of {url} is not trusted") as unreachable:
        opened(url)

    assert unreachable.value.exit_code == 5
    assert "RANCHER_CA_CERT" in unreachable.value.hint


def test_exactly_the_ca_that_is_named_is_trusted(serve: Serve, certificate: Path) -> None:
    url = serve((200, PROJECTS), context=context_of(certificate))

    client = opened(url, ca_cert=str(certificate))

    assert client.project == "1a5"
    with pytest.raises(StreamEnded, match="HTTP"):
        EventStream(client)
    client.close()


def test_a_file_of_a_ca_that_is_not_there_is_bad_input(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.pem"):
        opened(serve((200, PROJECTS)), ca_cert=str(tmp_path / "none.pem"))


def test_a_refusal_is_told_by_its_code_and_field_because_it_has_no_message(serve: Serve) -> None:
    error = {"type": "error", "status": 422, "code": "NotUnique", "message": None, "detail": None, "fieldName": "name"}

    told = refusal(asked(serve((422, error))), "create")

    assert isinstance(told, RancherAnswered)
    assert (told.status, told.code, told.field) == (422, "NotUnique", "name")
    assert told.what.endswith("/v2-beta/projects/1a5/stacks answered 422: NotUnique (name)")


def test_a_lock_that_is_held_for_long_is_told_as_that(serve: Serve) -> None:
    told = refusal(asked(serve((409, {"code": "Conflict", "message": "Conflict"}))), "create")

    assert told.what.endswith("answered 409: Conflict")
    assert "again" in told.hint


def test_a_page_that_comes_again_and_again_is_an_error_and_no_endless_walk(serve: Serve) -> None:
    page = {"data": [], "pagination": {"next": "http://elsewhere/v2-beta/stacks?limit=3000&marker=m3000"}}

    told = refusal(asked(serve((200, page))))

    assert isinstance(told, Failed)
    assert "the same page again and again" in told.what


@pytest.mark.parametrize("body", [{"data": "none"}, [], {"nothing": 1}])
def test_json_that_is_no_ranchers_is_told_so(serve: Serve, body: Any) -> None:
    assert "no resource of Rancher's" in refusal(asked(serve((200, body)))).what


def test_a_page_where_json_is_expected_is_told(serve: Serve) -> None:
    assert "text/html where JSON was expected" in refusal(asked(serve((200, b"<html>")))).what
    assert "answered 500: nothing that says why" in refusal(asked(serve((500, b"<html>")))).what
