"""The registry client against small servers that answer as registries do: challenges, refusals, moods, TLS."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import ssl
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.edge.docker_config import NO_LOGIN, Login, Logins
from pipeline.edge.registry import RegistryClient
from pipeline.edge.registry_transport import Patience, is_loopback
from pipeline.errors import BadInput, Failed, Unreachable
from pipeline.model.address import RegistryAddress
from pipeline.model.secret import Secret
from tests.conftest import SteppingClock

DIGEST = {"Docker-Content-Digest": "sha256:1"}
BASIC = "Basic " + base64.b64encode(b"ci:secret").decode()


@dataclass
class Asked:
    """A request as a server saw it."""

    method: str
    path: str
    authorization: str
    accept: str
    body: bytes = b""
    kind: str = ""


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


def always(answer: Answer) -> Callable[[Asked], Answer]:
    return lambda _: answer


@contextmanager
def serving(answer: Callable[[Asked], Answer], context: ssl.SSLContext | None = None) -> Iterator[str]:
    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = self.headers
            body = self.rfile.read(int(headers.get("Content-Length", "0")))
            asked = Asked(
                method=self.command,
                path=self.path,
                authorization=headers.get("Authorization", ""),
                accept=headers.get("Accept", ""),
                body=body,
                kind=headers.get("Content-Type", ""),
            )
            given = answer(asked)
            self.send_response_only(given.status)
            for name, value in {"Content-Length": str(len(given.body)), **given.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(given.body)

        do_HEAD = do_PUT = do_POST = do_GET

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that tries TLS first is no error."""

    with Quiet(("127.0.0.1", 0), Server) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


CI = Login(user="ci", password=Secret("secret"))
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def opened(host: str, *, clock: Any = None, certificates: str = "/nowhere", login: Login = CI) -> RegistryClient:
    return RegistryClient(host, login, certificates=certificates, clock=clock or Sleepless())


def digest(host: str, *, clock: Sleepless | None = None) -> str:
    with opened(host, clock=clock) as client:
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
        login = Logins([other], {}).of(host)
        with opened(host, login=login) as client, pytest.raises(BadInput, match="a caller without login"):
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


class Shelf:
    """A registry's one repository, group/cities: manifests by tag and digest, and blobs. Keeps what it was asked."""

    def __init__(self, **tags: bytes) -> None:
        self.tags = dict(tags)
        self.blobs: dict[str, bytes] = {}
        self.seen: list[Asked] = []
        self.kinds: dict[bytes, str] = {}

    def __call__(self, asked: Asked) -> Answer:
        self.seen.append(asked)
        *_, what, name = asked.path.split("/")
        if what == "blobs":
            return Answer(body=self.blobs[name])
        if asked.method == "PUT":
            self.tags[name] = asked.body
            self.kinds[asked.body] = asked.kind
            return Answer(201, {"Docker-Content-Digest": sha256(asked.body)}, b"")
        by_digest = {sha256(content): content for content in (*self.tags.values(), *self.blobs.values())}
        content = self.tags.get(name) or by_digest.get(name)
        if content is None:
            return Answer(404)
        kind = self.kinds.get(content, MANIFEST)
        return Answer(headers={"Docker-Content-Digest": sha256(content), "Content-Type": kind}, body=content)

    @property
    def asked(self) -> list[str]:
        return [f"{one.method} {one.path.rpartition('/')[2]}" for one in self.seen]


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image_of(shelf: Shelf, **labels: str) -> bytes:
    """The manifest of an image on the shelf."""
    config = json.dumps({"config": {"Labels": labels}}).encode()
    shelf.blobs[sha256(config)] = config
    return json.dumps({"mediaType": MANIFEST, "config": {"digest": sha256(config)}}).encode()


def index_of(shelf: Shelf, **images: bytes) -> bytes:
    """An index of images by architecture."""
    for content in images.values():
        shelf.blobs[sha256(content)] = content
    entries = [
        {"digest": sha256(content), "platform": {"os": "linux", "architecture": name}}
        for name, content in images.items()
    ]
    content = json.dumps({"manifests": entries}).encode()
    shelf.kinds[content] = INDEX
    return content


def test_an_image_s_id_and_labels_are_its_configuration_s() -> None:
    shelf = Shelf()
    shelf.tags["one"] = image_of(shelf, a="b")

    with serving(shelf) as host, opened(host) as client:
        found = client.describe("group/cities", "one")
        missing = client.describe("group/cities", "two")

    assert found is not None
    assert (found.digest, found.labels) == (sha256(shelf.tags["one"]), {"a": "b"})
    assert found.id == next(iter(shelf.blobs))
    assert missing is None


def test_of_an_index_the_platform_s_image_is_described() -> None:
    shelf = Shelf()
    shelf.tags["one"] = index_of(shelf, arm64=image_of(shelf, a="arm"), amd64=image_of(shelf, a="amd"))

    with serving(shelf) as host, opened(host) as client:
        usual = client.describe("group/cities", "one")
        other = client.describe("group/cities", "one", platform="linux/arm64")
        missing = client.describe("group/cities", "one", platform="linux/s390x")

    assert usual is not None
    assert other is not None
    assert missing is not None
    assert [usual.labels, other.labels, missing.labels] == [{"a": "amd"}, {"a": "arm"}, {}]
    assert {usual.digest, other.digest, missing.digest} == {sha256(shelf.tags["one"])}
    assert missing.id == ""


def test_a_manifest_that_is_not_what_its_digest_says_is_not_believed() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(headers={**DIGEST, "Content-Type": MANIFEST})

    with (
        serving(answer) as host,
        opened(host) as client,
        pytest.raises(Failed, match="that is not sha256:1 but sha256:"),
    ):
        client.describe("group/cities", "one")


@pytest.mark.parametrize("make", [image_of, lambda shelf: index_of(shelf, amd64=image_of(shelf))])
def test_another_tag_is_the_same_bytes_and_no_layer_moves(make: Callable[[Shelf], bytes]) -> None:
    shelf = Shelf()
    content = make(shelf)
    shelf.tags["one"] = content
    kind = shelf.kinds.get(content, MANIFEST)

    with serving(shelf) as host, opened(host) as client:
        digest = client.put_tag("group/cities", "one", "two")

    assert digest == sha256(content)
    assert (shelf.tags["two"], shelf.kinds[content]) == (content, kind)
    assert [asked for asked in shelf.asked if asked.startswith("PUT")] == ["PUT two"]


def test_a_tag_that_is_there_is_not_put_again() -> None:
    shelf = Shelf(one=b'{"a": 1}')

    with serving(shelf) as host, opened(host) as client:
        client.put_tag("group/cities", "one", "two")
        shelf.seen.clear()
        client.put_tag("group/cities", "one", "two")
        client.put_tag("group/cities", sha256(b'{"a": 1}'), "two")

    assert shelf.asked == ["HEAD one", "HEAD two", "HEAD two"]


def test_a_tag_of_what_is_not_there_fails() -> None:
    with serving(Shelf()) as host, opened(host) as client, pytest.raises(Failed, match="has no group/cities:one"):
        client.put_tag("group/cities", "one", "two")


@pytest.mark.parametrize("status", [400, 405, 409])
def test_a_registry_whose_tags_are_immutable_is_quoted(status: int) -> None:
    shelf = Shelf(one=b"{}", two=b'{"other": 1}')
    words = b'{"errors": [{"code": "DENIED", "message": "tag two is immutable"}]}'

    with (
        serving(lambda asked: Answer(status, body=words) if asked.method == "PUT" else shelf(asked)) as host,
        opened(host) as client,
        pytest.raises(Failed, match=f"cities:two: {status}: DENIED tag two is immutable") as failed,
    ):
        client.put_tag("group/cities", "one", "two")

    assert "immutable" in failed.value.hint


def test_a_tag_that_may_not_be_put_is_a_refusal() -> None:
    shelf = Shelf(one=b"{}")

    with (
        serving(lambda asked: Answer(403) if asked.method == "PUT" else shelf(asked)) as host,
        opened(host) as client,
        pytest.raises(BadInput, match="refuses the user 'ci': 403 to PUT group/cities/manifests/two"),
    ):
        client.put_tag("group/cities", "one", "two")


def test_a_registry_that_loses_the_tag_that_it_took_is_not_believed() -> None:
    shelf = Shelf(one=b"{}")

    with (
        serving(lambda asked: Answer(201) if asked.method == "PUT" else shelf(asked)) as host,
        opened(host) as client,
        pytest.raises(Failed, match=r"took group/cities:two for sha256:\w+ and has nothing there"),
    ):
        client.put_tag("group/cities", "one", "two")


def test_tags_are_read_to_the_last_page() -> None:
    pages = {
        "n=1000": Answer(headers={"Link": '</v2/group/cities/tags/list?last=b&n=2>; rel="next"'}, body=b'{"tags": ["a", "b"]}'),
        "last=b&n=2": Answer(headers={"Link": '<https://x/v2/group/cities/tags/list?last=c&n=2>; rel="next"'}, body=b'{"tags": ["c"]}'),
        "last=c&n=2": Answer(body=b'{"tags": null}'),
    }  # fmt: skip

    with serving(lambda asked: pages[asked.path.partition("?")[2]]) as host, opened(host) as client:
        assert client.tags("group/cities") == ("a", "b", "c")


def test_a_repository_that_is_not_there_has_no_tags() -> None:
    with serving(lambda _: Answer(404)) as host, opened(host) as client:
        assert client.tags("group/cities") == ()


class Tokens:
    """A registry that wants a token for each scope, and knows when one has run out."""

    def __init__(self, shelf: Shelf) -> None:
        self.host = ""
        self.shelf = shelf
        self.valid: dict[str, str] = {}
        self.given: list[str] = []
        self.forms: list[bytes] = []

    def __call__(self, asked: Asked) -> Answer:
        if asked.path.startswith("/token"):
            scope = asked.path.partition("scope=")[2].partition("&")[0]
            self.given.append(scope)
            self.forms.append(asked.body)
            token = f"t{len(self.given)}"
            self.valid[token] = scope
            return Answer(body=json.dumps({"token": token}).encode())
        repository = asked.path.removeprefix("/v2/").partition("/manifests/")[0].partition("/blobs/")[0]
        action = "pull%2Cpush" if asked.method == "PUT" else "pull"
        scope = f"repository%3A{repository.replace('/', '%2F')}%3A{action}"
        if self.valid.get(asked.authorization.removeprefix("Bearer ")) != scope:
            shown = scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",")
            realm = f'Bearer realm="http://{self.host}/token",service="s",scope="{shown}"'
            return Answer(401, {"WWW-Authenticate": realm})
        return self.shelf(asked)


def test_each_scope_has_a_token_of_its_own_that_is_kept() -> None:
    shelf = Shelf(one=b"{}")
    tokens = Tokens(shelf)

    with serving(tokens) as tokens.host, opened(tokens.host) as client:
        client.put_tag("group/cities", "one", "two")
        client.digest("group/other", "one")
        client.digest("group/cities", "one")

    assert tokens.given == [
        "repository%3Agroup%2Fcities%3Apull",
        "repository%3Agroup%2Fcities%3Apull%2Cpush",
        "repository%3Agroup%2Fother%3Apull",
    ]


def test_a_token_that_runs_out_is_replaced_once() -> None:
    tokens = Tokens(Shelf(one=b"{}"))

    with serving(tokens) as tokens.host, opened(tokens.host) as client:
        client.digest("group/cities", "one")
        tokens.valid.clear()
        again = client.digest("group/cities", "one")

    assert again == sha256(b"{}")
    assert len(tokens.given) == 2


def test_a_token_that_does_not_open_is_a_refusal_and_no_loop() -> None:
    asked: list[str] = []

    def answer(request: Asked) -> Answer:
        asked.append(request.path)
        if request.path.startswith("/token"):
            return Answer(body=b'{"token": "x"}')
        return Answer(401, {"WWW-Authenticate": f'Bearer realm="http://{host}/token"'})

    with serving(answer) as host, pytest.raises(BadInput, match="refuses the user 'ci': 401 to HEAD"):
        digest(host)

    assert len(asked) == 3


def test_an_identity_token_is_exchanged_and_not_shown() -> None:
    tokens = Tokens(Shelf(one=b"{}"))
    login = Login(identity_token=Secret("hunter2"))

    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            tokens.valid["given"] = "repository%3Agroup%2Fcities%3Apull"
            tokens.forms.append(asked.body)
            return Answer(body=b'{"access_token": "given"}')
        return tokens(asked)

    with serving(answer) as tokens.host, opened(tokens.host, login=login) as client:
        assert client.digest("group/cities", "one") == sha256(b"{}")

    assert b"grant_type=refresh_token" in tokens.forms[0]
    assert b"refresh_token=hunter2" in tokens.forms[0]


def test_a_password_is_in_no_failure_and_no_traceback() -> None:
    moods: list[Answer] = [
        Answer(401, {"WWW-Authenticate": 'Basic realm="r"'}),
        Answer(503),
        Answer(body=b"<html>"),
        Answer(401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token"'}),
    ]
    login = Login(user="ci", password=Secret("hunter2"))
    for mood in moods:
        with (
            serving(always(mood)) as host,
            opened(host, login=login) as client,
            pytest.raises((BadInput, Unreachable)) as failed,
        ):
            client.digest("group/cities", "one")

        assert "hunter2" not in "".join(traceback.format_exception(failed.value)) + failed.value.hint
        assert base64.b64encode(b"ci:hunter2").decode() not in "".join(traceback.format_exception(failed.value))


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_busy_registry_is_left_alone_as_long_as_it_asks(form: str) -> None:
    clock = SteppingClock()
    date = format_datetime(datetime.fromtimestamp(clock.now(), UTC) + timedelta(seconds=7), usegmt=True)
    moods = iter([Answer(429, {"Retry-After": "7" if form == "seconds" else date}), Answer(headers=DIGEST)])

    with serving(lambda _: next(moods)) as host, opened(host, clock=clock) as client:
        assert client.digest("group/cities", "one") == "sha256:1"

    assert clock.slept == [7.0]


def test_a_registry_that_asks_for_too_long_is_not_waited_for() -> None:
    clock = SteppingClock()
    asked: list[Asked] = []

    def answer(one: Asked) -> Answer:
        asked.append(one)
        return Answer(429, {"Retry-After": "3600"})

    wanted = r"429 to HEAD .* and wants to be left alone for 3600 s"
    with serving(answer) as host, opened(host, clock=clock) as client, pytest.raises(Unreachable, match=wanted):
        client.digest("group/cities", "one")

    assert (clock.slept, len(asked)) == ([], 1)


def test_no_patience_goes_past_its_end() -> None:
    clock = SteppingClock()
    patience = Patience(total=60.0, pauses=(1.0,) * 1000)

    with (
        serving(lambda _: Answer(503)) as host,
        RegistryClient(host, NO_LOGIN, clock=clock, patience=patience) as client,
        pytest.raises(Unreachable, match="answers 503"),
    ):
        client.digest("group/cities", "one")

    assert 50 < sum(clock.slept) < 60


def test_a_connection_that_is_cut_is_made_again() -> None:
    moods = iter([True, False])

    def answer(_: Asked) -> Answer:
        # A length that is never reached: the connection ends before it.
        return Answer(headers={"Content-Length": "100"}) if next(moods) else Answer(body=b'{"tags": ["a"]}')

    clock = Sleepless()
    with serving(answer) as host, opened(host, clock=clock) as client:
        assert client.tags("group/cities") == ("a",)

    assert clock.slept == [0.5]


def test_a_registry_that_is_silent_is_unreachable() -> None:
    rest = threading.Event()
    clock = Sleepless()
    patience = Patience(silence=0.2, pauses=(1.0,))

    def answer(_: Asked) -> Answer:
        rest.wait(20)
        return Answer()

    with serving(answer) as host, RegistryClient(host, CI, clock=clock, patience=patience) as client:
        with pytest.raises(Unreachable, match=r"does not answer HEAD group/cities/manifests/one: silent for 0.2 s"):
            client.digest("group/cities", "one")
        rest.set()

    assert clock.slept == [1.0]


def test_an_answer_without_an_end_is_cut_off() -> None:
    with (
        serving(lambda _: Answer(body=b"x" * (9 << 20))) as host,
        opened(host) as client,
        pytest.raises(Unreachable, match="more than 8 MiB"),
    ):
        client.tags("group/cities")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html>log in</html>", headers={"Content-Type": "text/html"}),
        Answer(body=b'{"truncat', headers={"Content-Type": MANIFEST}),
        Answer(body=b"[]", headers={"Content-Type": MANIFEST}),
        Answer(body=b"{}", headers={"Content-Type": "application/json"}),
    ],
)
def test_what_is_no_registry_is_unreachable_with_its_words(answer: Answer) -> None:
    for ask in (RegistryClient.digest, RegistryClient.describe):
        with serving(lambda _: answer) as host, opened(host) as client, pytest.raises(Unreachable) as failed:
            ask(client, "group/cities", "one")

        assert str(failed.value) == (
            f"{host} does not answer as a registry: 200 with {answer.headers['Content-Type']}: {answer.body.decode()!r}"
        )
        assert "proxy" in failed.value.hint


def test_a_blob_that_lies_elsewhere_is_fetched_there_without_the_login() -> None:
    shelf = Shelf()
    shelf.tags["one"] = image_of(shelf, a="b")
    seen: list[str] = []

    def store(asked: Asked) -> Answer:
        seen.append(asked.authorization)
        return Answer(body=next(iter(shelf.blobs.values())))

    def answer(asked: Asked) -> Answer:
        if not asked.authorization:
            return Answer(401, {"WWW-Authenticate": 'Basic realm="r"'})
        return Answer(307, {"Location": f"http://{other}/blob"}) if "/blobs/" in asked.path else shelf(asked)

    with serving(store) as other, serving(answer) as host, opened(host) as client:
        found = client.describe("group/cities", "one")

    assert found is not None
    assert found.labels == {"a": "b"}
    assert seen == [""]


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
