"""The registry client: digests, challenges, credentials, TLS."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from pipeline.edge.docker_config import Logins
from pipeline.edge.registry_transport import is_loopback
from pipeline.errors import BadInput, Unreachable
from pipeline.model.address import RegistryAddress
from pipeline.model.secret import Secret
from tests.edge.registry_server import (
    BASIC,
    DIGEST,
    Answer,
    Asked,
    Shelf,
    Sleepless,
    digest,
    image_of,
    opened,
    serving,
)


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
