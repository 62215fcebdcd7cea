from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.edge.http import Access, HttpFront, shown_url
from pipeline.edge.json_api import JsonClient, Patience
from pipeline.errors import BadInput, GatewayAnswered, Unreachable
from pipeline.model.check import NO_ANSWER, Question
from pipeline.model.secret import Secret

Act = Callable[[socket.socket], None]
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class PatientClock:
    """Time passes only where someone waits."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return sum(self.waits)

    monotonic = now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


class ScriptedServer:
    """Answers the requests in turn as told; the last answer is given again and again."""

    def __init__(self, *acts: Act, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._acts = list(acts)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        # urllib3 closes a pool when it is collected, not when its session is closed.
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        try:
            plain.settimeout(5)
            if self._context is not None:
                connection = self._context.wrap_socket(plain, server_side=True)
            while request := _read_request(connection):
                self.requests.append(request)
                act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
                act(connection)
        except OSError:
            pass
        finally:
            connection.close()


def _read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            return b""
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(status: int, body: object, *headers: str, kind: str = "application/json; charset=utf-8") -> Act:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Words", f"Content-Type: {kind}", f"Content-Length: {len(content)}", *headers]
    return lambda connection: connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def raw(text: bytes) -> Act:
    def send(connection: socket.socket) -> None:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_RDWR)

    return send


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def silence(connection: socket.socket) -> None:
    connection.recv(1)


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    servers: list[ScriptedServer] = []

    def start(*acts: Act, context: ssl.SSLContext | None = None) -> ScriptedServer:
        servers.append(ScriptedServer(*acts, context=context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def opened() -> Iterator[Callable[..., JsonClient]]:
    clients: list[JsonClient] = []

    def make(url: str, clock: PatientClock | None = None, **access: object) -> JsonClient:
        patience = Patience(read=0.5)
        clients.append(JsonClient(Access(url=url, **access), clock=clock or PatientClock(), patience=patience))  # type: ignore[arg-type]  # keywords pass through
        return clients[-1]

    yield make
    for client in clients:
        client.close()


Serve = Callable[..., ScriptedServer]
Opened = Callable[..., JsonClient]


def test_requests_share_one_connection(serve: Serve, opened: Opened) -> None:
    server = serve(answer(200, {"a": 1}))
    client = opened(server.url)

    for _ in range(3):
        assert client.request("GET", "/services").body == {"a": 1}

    assert server.connections == 1


def test_a_path_in_the_address_comes_before_each_path(serve: Serve, opened: Opened) -> None:
    server = serve(answer(200, {}))

    opened(server.url + "/admin/").request("GET", "/services", query={"size": "1000"})

    assert server.requests[0].startswith(b"GET /admin/services?size=1000 HTTP/1.1\r\n")


def test_a_token_is_sent_and_not_shown(serve: Serve, opened: Opened) -> None:
    server = serve(answer(200, {}))
    client = opened(server.url, token=Secret("s3cret"), token_header="Kong-Admin-Token")

    client.request("GET", "/")

    assert b"\r\nKong-Admin-Token: s3cret\r\n" in server.requests[0]
    assert "s3cret" not in repr(client._access)


def test_user_and_password_of_the_address_are_sent_and_never_shown(serve: Serve, opened: Opened) -> None:
    server = serve(answer(200, {}), reset)
    client = opened(server.url.replace("//", "//ann:pa%20ss@"))

    client.request("GET", "/")

    assert b"\r\nAuthorization: Basic YW5uOnBhIHNz\r\n" in server.requests[0]
    with pytest.raises(Unreachable) as caught:
        client.request("POST", "/services", body={})
    assert "ann" not in str(caught.value)
    assert "pa" not in str(caught.value).replace("/services", "")


def test_the_shown_address_has_no_user_and_no_query() -> None:
    assert shown_url("https://u:p@kong.example:8444/x?token=1#y") == "https://kong.example:8444/x"


def test_nothing_from_the_environment_takes_part(
    serve: Serve, opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = serve(answer(200, {"here": True}))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password x\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    assert opened(server.url).request("GET", "/").body == {"here": True}
    assert b"Authorization" not in server.requests[0]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_busy_answer_is_asked_again_when_repeating_is_harmless(
    status: int, method: str, serve: Serve, opened: Opened
) -> None:
    server = serve(answer(status, {"message": "later"}), answer(200, {"done": True}))
    clock = PatientClock()

    assert opened(server.url, clock).request(method, "/x").body == {"done": True}

    assert clock.waits == [0.2]


def test_retry_after_says_how_long_to_wait(serve: Serve, opened: Opened) -> None:
    clock = PatientClock()
    server = serve(answer(429, {}, "Retry-After: 7"), answer(200, {"done": True}))

    opened(server.url, clock).request("PATCH", "/x", body={})

    assert clock.waits == [7.0]


def test_a_wait_past_the_deadline_is_not_begun(serve: Serve, opened: Opened) -> None:
    clock = PatientClock()
    server = serve(answer(503, {"message": "later"}, "Retry-After: 3600"))

    reply = opened(server.url, clock).request("GET", "/x")

    assert (reply.status, clock.waits) == (503, [])


def test_the_last_busy_answer_is_given_when_it_stays_busy(serve: Serve, opened: Opened) -> None:
    clock = PatientClock()
    server = serve(answer(503, {"message": "later"}))

    reply = opened(server.url, clock).request("GET", "/x")

    assert (reply.status, len(server.requests)) == (503, 5)
    assert clock.waits == [0.2, 0.4, 0.8, 1.6]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_patch_is_not_sent_again_when_it_may_have_acted(status: int, serve: Serve, opened: Opened) -> None:
    server = serve(answer(status, {"message": "who knows"}))

    assert opened(server.url).request("PATCH", "/x", body={}).status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [reset, raw(b""), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), silence])
def test_a_lost_answer_is_asked_for_again_when_repeating_is_harmless(fault: Act, serve: Serve, opened: Opened) -> None:
    server = serve(fault, answer(200, {"done": True}))

    assert opened(server.url).request("PUT", "/x", body={"a": 1}).body == {"done": True}

    assert [request.partition(b"\r\n\r\n")[2] for request in server.requests] == [b'{"a":1}'] * 2


@pytest.mark.parametrize("fault", [reset, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")])
def test_a_lost_answer_to_a_patch_is_the_callers_to_resolve(fault: Act, serve: Serve, opened: Opened) -> None:
    server = serve(fault, answer(200, {}))

    with pytest.raises(Unreachable, match=rf"^{server.url}/x does not answer: "):
        opened(server.url).request("PATCH", "/x", body={})

    assert len(server.requests) == 1


def test_a_refused_connection_is_tried_again_whatever_the_method(opened: Opened) -> None:
    clock = PatientClock()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(Unreachable, match=rf"http://127.0.0.1:{port}/x does not answer: connection refused"):
        opened(f"http://127.0.0.1:{port}", clock).request("PATCH", "/x", body={})

    assert len(clock.waits) == 4


def test_an_unknown_host_is_named(opened: Opened) -> None:
    with pytest.raises(Unreachable, match=r"http://nowhere\.invalid/ does not answer: "):
        opened("http://nowhere.invalid").request("GET", "/")


def test_a_body_that_drips_ends_with_the_deadline(serve: Serve) -> None:
    ticking = iter(range(1000))

    class FastClock(PatientClock):
        def monotonic(self) -> float:
            return float(next(ticking))

    server = serve(answer(200, {"a": "x" * 5_000_000}))
    client = JsonClient(Access(url=server.url), clock=FastClock(), patience=Patience(total=20, tries=1))

    with pytest.raises(Unreachable, match="not whole after 20 s"):
        client.request("GET", "/x")
    client.close()


def test_a_redirect_is_named_and_not_followed(serve: Serve, opened: Opened) -> None:
    server = serve(answer(301, {}, "Location: https://u:p@elsewhere.example/?x=1"))

    with pytest.raises(GatewayAnswered, match=r"answered 301, a redirect to https://elsewhere\.example/$"):
        opened(server.url).request("GET", "/")

    assert len(server.requests) == 1


def test_what_is_not_json_is_named_with_status_and_content_type(serve: Serve, opened: Opened) -> None:
    server = serve(answer(413, b"<html>too large</html>", kind="text/html"))

    with pytest.raises(GatewayAnswered, match=r"/x answered 413 with text/html where JSON was expected: '<html>too"):
        opened(server.url).request("PUT", "/x", body={})


def test_an_empty_body_is_none(serve: Serve, opened: Opened) -> None:
    server = serve(raw(b"HTTP/1.1 204 No Content\r\n\r\n"))

    reply = opened(server.url).request("DELETE", "/x")

    assert (reply.status, reply.body) == (204, None)


def test_a_check_opens_a_connection_each_time_and_keeps_the_host_that_is_given(serve: Serve) -> None:
    server = serve(answer(200, {"stack": "s"}, "X-Kong-Upstream-Latency: 1"))
    front = HttpFront(Access(url=server.url), clock=PatientClock())
    question = Question(method="OPTIONS", path="/ws/cities", headers={"Host": "api.example.com"})

    answers = [front.ask(question, timeout=5) for _ in range(3)]

    assert server.connections == 3
    assert server.requests[0].startswith(b"OPTIONS /ws/cities HTTP/1.1\r\n")
    assert server.requests[0].count(b"Host:") == server.requests[0].count(b"Host: api.example.com\r\n") == 1
    assert answers[0].status == 200
    assert answers[0].headers["x-kong-upstream-latency"] == "1"
    assert answers[0].body == b'{"stack": "s"}'


def test_a_check_is_asked_once_and_says_why_there_is_no_answer(serve: Serve) -> None:
    server = serve(reset)
    front = HttpFront(Access(url=server.url), clock=PatientClock())

    with pytest.raises(Unreachable, match="/ws does not answer: connection reset by peer"):
        front.ask(Question(method="GET", path="/ws", headers={}), timeout=5)

    assert len(server.requests) == 1


def test_a_check_reads_the_first_megabyte(serve: Serve) -> None:
    server = serve(answer(200, b"x" * 3_000_000, kind="text/plain"))

    body = (
        HttpFront(Access(url=server.url), clock=PatientClock())
        .ask(Question(method="GET", path="/", headers={}), timeout=5)
        .body
    )

    assert len(body) == 1 << 20


class Authority:
    """A CA made for one test."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.pem = folder / "ca.pem"
        self._run("req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", f"/CN={name}")

    def issue(self, name: str) -> tuple[Path, Path]:
        (self.folder / "ext").write_text("subjectAltName=IP:127.0.0.1")
        self._run("req", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        self._run(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            f"{name}.pem",
            "-extfile",
            "ext",
        )
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours", "ours")


@pytest.fixture
def tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    return context


def test_a_private_ca_is_trusted_whatever_the_environment_says(
    authority: Authority,
    tls: ssl.SSLContext,
    serve: Serve,
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    other = Authority(tmp_path / "other", "other")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.pem))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(other.pem))
    server = serve(answer(200, {"ok": True}), context=tls)

    assert opened(server.url, ca_file=str(authority.pem)).request("GET", "/").body == {"ok": True}


def test_no_ca_but_the_one_that_is_named_is_trusted(
    authority: Authority,
    tls: ssl.SSLContext,
    serve: Serve,
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    other = Authority(tmp_path / "other", "other")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(authority.pem))
    server = serve(answer(200, {}), context=tls)

    clock = PatientClock()

    with pytest.raises(Unreachable, match="certificate verify failed") as caught:
        opened(server.url, clock, ca_file=str(other.pem)).request("GET", "/")

    assert "KONG_CA_CERT" in caught.value.hint
    assert clock.waits == []


def test_a_client_certificate_is_shown_where_one_is_wanted(
    authority: Authority, tls: ssl.SSLContext, serve: Serve, opened: Opened
) -> None:
    tls.load_verify_locations(authority.pem)
    tls.verify_mode = ssl.CERT_REQUIRED
    certificate, key = authority.issue("client")
    server = serve(answer(200, {"ok": True}), context=tls)

    with pytest.raises(Unreachable, match="it ended the TLS handshake") as caught:
        opened(server.url, ca_file=str(authority.pem)).request("GET", "/")
    assert caught.value.hint == "The server may want a client certificate (KONG_CLIENT_CERT, KONG_CLIENT_KEY)."
    client = opened(server.url, ca_file=str(authority.pem), client_cert=str(certificate), client_key=str(key))
    assert client.request("GET", "/").body == {"ok": True}


def test_a_client_certificate_that_the_server_does_not_take_is_named(
    authority: Authority, tls: ssl.SSLContext, serve: Serve, opened: Opened, tmp_path: Path
) -> None:
    tls.load_verify_locations(authority.pem)
    tls.verify_mode = ssl.CERT_REQUIRED
    certificate, key = Authority(tmp_path / "other", "other").issue("client")
    server = serve(answer(200, {}), context=tls)

    with pytest.raises(Unreachable, match="it ended the TLS handshake") as caught:
        opened(server.url, ca_file=str(authority.pem), client_cert=str(certificate), client_key=str(key)).request(
            "GET", "/"
        )

    assert str(certificate) in caught.value.hint


@pytest.mark.parametrize("case", ["another key", "no key", "a key with a passphrase", "no certificate", "no ca"])
def test_files_that_hold_no_certificate_with_its_key_are_named(
    case: str, authority: Authority, opened: Opened, tmp_path: Path
) -> None:
    certificate, key = map(str, authority.issue("client"))
    _, other = map(str, authority.issue("another"))
    locked = tmp_path / "locked.key"
    words = ["openssl", "ec", "-in", key, "-out", str(locked), "-aes256", "-passout", "pass:p4ss"]
    subprocess.run(words, check=True, capture_output=True)
    files = {
        "another key": {"client_cert": certificate, "client_key": other},
        "no key": {"client_cert": certificate},
        "a key with a passphrase": {"client_cert": certificate, "client_key": str(locked)},
        "no certificate": {"client_cert": key, "client_key": key},
        "no ca": {"ca_file": key},
    }[case]

    with pytest.raises(BadInput) as caught:
        opened("https://127.0.0.1:9", **files).request("GET", "/")

    assert all(file in caught.value.what for file in files.values())
    assert "PEM" in caught.value.hint


def test_a_missing_ca_file_is_named(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.pem"):
        opened("https://127.0.0.1:9", ca_file=str(tmp_path / "none.pem")).request("GET", "/")


def test_a_check_that_hangs_is_an_answer_of_its_own(serve: Serve) -> None:
    front = HttpFront(Access(url=serve(silence).url), clock=PatientClock())

    answer = front.ask(Question(method="GET", path="/", headers={}), timeout=0.2)

    assert (answer.status, answer.body) == (NO_ANSWER, b"no answer within 0.2 s")


def test_a_token_that_no_header_can_hold_is_refused_without_showing_it(opened: Opened) -> None:
    with pytest.raises(BadInput, match="the token for X-Token holds characters") as caught:
        opened("http://127.0.0.1:9", token=Secret("a\nsecret"), token_header="X-Token").request("GET", "/")

    assert "secret" not in str(caught.value)


def test_a_line_end_after_a_token_is_left_away(serve: Serve, opened: Opened) -> None:
    server = serve(answer(200, {}))

    opened(server.url, token=Secret("s3cret\n"), token_header="X-Token").request("GET", "/")

    assert b"\r\nX-Token: s3cret\r\n" in server.requests[0]
