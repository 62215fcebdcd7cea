"""The registry client against small servers that answer as registries do: challenges, refusals, moods, TLS."""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.edge.registry import RegistryClient, is_loopback
from pipeline.errors import BadInput, Unreachable
from pipeline.model.address import RegistryAddress
from pipeline.model.secret import Secret

DIGEST = {"Docker-Content-Digest": "sha256:1"}
BASIC = "Basic " + base64.b64encode(b"ci:secret").decode()


@dataclass
class Asked:
    """A request as a server saw it."""

    method: str
    path: str
    authorization: str
    accept: str


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass
class Sleepless:
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return 0.0

    monotonic = now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@contextmanager
def serving(answer: Callable[[Asked], Answer], context: ssl.SSLContext | None = None) -> Iterator[str]:
    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = self.headers
            asked = Asked(self.command, self.path, headers.get("Authorization", ""), headers.get("Accept", ""))
            given = answer(asked)
            self.send_response_only(given.status)
            for name, value in {"Content-Length": str(len(given.body)), **given.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(given.body)

        do_HEAD = do_GET

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that tries TLS first is no error."""

    with Quiet(("127.0.0.1", 0), Server) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def opened(host: str, *, clock: Sleepless | None = None, certificates: str = "/nowhere") -> RegistryClient:
    login = RegistryAddress(host=host, user="ci", password=Secret("secret"))
    return RegistryClient(host, login, certificates=certificates, clock=clock or Sleepless())


def digest(host: str, **named: Sleepless) -> str:
    with opened(host, **named) as client:
        return client.digest("group/cities", "one")


def test_a_tag_s_digest_is_asked_for_with_every_kind_of_manifest() -> None:
    seen: list[Asked] = []

    def answer(asked: Asked) -> Answer:
        seen.append(asked)
        return Answer(headers=DIGEST)

    with serving(answer) as host:
        assert digest(host) == "sha256:1"

    assert [(asked.method, asked.path) for asked in seen] == [("HEAD", "/v2/group/cities/manifests/one")]
    assert seen[0].accept.count(",") == 3


def test_credentials_are_only_sent_when_the_registry_asks_for_them() -> None:
    seen: list[str] = []

    def answer(asked: Asked) -> Answer:
        seen.append(asked.authorization)
        return Answer(headers=DIGEST) if asked.authorization else Answer(401, {"WWW-Authenticate": 'Basic realm="r"'})

    with serving(answer) as host:
        assert digest(host) == "sha256:1"

    assert seen == ["", BASIC]


def test_another_registry_s_login_is_not_sent() -> None:
    seen: list[str] = []

    def answer(asked: Asked) -> Answer:
        seen.append(asked.authorization)
        return Answer(401, {"WWW-Authenticate": 'Basic realm="r"'})

    with serving(answer) as host:
        other = RegistryAddress(host="registry.example.com", user="ci", password=Secret("secret"))
        with RegistryClient(host, other) as client, pytest.raises(BadInput, match="a caller without login"):
            client.digest("group/cities", "one")

    assert set(seen) == {""}


def test_a_token_is_fetched_from_where_the_challenge_says() -> None:
    seen: list[Asked] = []

    def answer(asked: Asked) -> Answer:
        seen.append(asked)
        if asked.path.startswith("/token"):
            return Answer(body=b'{"token": "t0ken"}')
        if asked.authorization == "Bearer t0ken":
            return Answer(headers=DIGEST)
        realm = f'Bearer realm="http://{host}/token",service="s",scope="repository:group/cities:pull"'
        return Answer(401, {"WWW-Authenticate": realm})

    with serving(answer) as host:
        assert digest(host) == "sha256:1"

    assert seen[1].path == "/token?service=s&scope=repository%3Agroup%2Fcities%3Apull"
    assert seen[1].authorization == BASIC


def test_a_token_realm_without_tls_gets_no_password() -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://evil.example.com/token"'}

    with serving(lambda _: Answer(401, challenge)) as host, pytest.raises(BadInput, match="without TLS"):
        digest(host)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_registry_and_the_variables(status: int) -> None:
    answer = Answer(status, {"WWW-Authenticate": 'Basic realm="r"'})

    with serving(lambda _: answer) as host, pytest.raises(BadInput) as refused:
        digest(host)

    assert str(refused.value) == (
        f"the registry {host} refuses the user 'ci': {status} to HEAD group/cities/manifests/one"
    )
    assert "CI_REGISTRY_USER" in refused.value.hint


def test_an_unknown_tag_has_no_digest() -> None:
    with serving(lambda _: Answer(404)) as host:
        assert digest(host) == ""


def test_a_busy_registry_is_asked_again() -> None:
    moods = iter([429, 503, 200])
    clock = Sleepless()

    with serving(lambda _: Answer(next(moods), DIGEST)) as host:
        assert digest(host, clock=clock) == "sha256:1"

    assert clock.slept == [0.5, 1.0]


def test_a_registry_that_stays_busy_is_unreachable() -> None:
    with serving(lambda _: Answer(503)) as host, pytest.raises(Unreachable, match="answers 503 to HEAD"):
        digest(host)


def test_an_image_s_labels_are_read_through_its_manifest_list() -> None:
    answers = {
        "/v2/group/cities/manifests/one": Answer(headers=DIGEST, body=b'{"manifests": [{"digest": "sha256:2"}]}'),
        "/v2/group/cities/manifests/sha256:2": Answer(body=b'{"config": {"digest": "sha256:3"}}'),
        "/v2/group/cities/blobs/sha256:3": Answer(body=b'{"config": {"Labels": {"a": "b"}}}'),
    }

    with serving(lambda asked: answers[asked.path]) as host, opened(host) as client:
        found = client.describe("group/cities", "one")

    assert found is not None
    assert (found.digest, found.labels) == ("sha256:1", {"a": "b"})


def test_what_is_no_registry_is_unreachable() -> None:
    with serving(lambda _: Answer(body=b"<html>")) as host, opened(host) as client, pytest.raises(Unreachable):
        client.describe("group/cities", "one")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_a_certificate_is_trusted_when_it_lies_where_docker_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=test "
        "-addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")

    with serving(lambda _: Answer(headers=DIGEST), context) as host:
        with pytest.raises(Unreachable):
            digest(host)
        (tmp_path / host).mkdir()
        shutil.copy(tmp_path / "cert.pem", tmp_path / host / "ca.crt")
        with opened(host, certificates=str(tmp_path)) as client:
            assert client.digest("group/cities", "one") == "sha256:1"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("registry.example.com", False),
        ("10.0.0.1", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
