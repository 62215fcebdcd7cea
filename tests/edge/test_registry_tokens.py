"""The registry client and bearer tokens: one for each scope, kept, replaced, never shown."""

from __future__ import annotations

import base64
import traceback

import pytest

from pipeline.edge.docker_config import Login
from pipeline.errors import BadInput, Unreachable
from pipeline.model.secret import Secret
from tests.edge.registry_server import (
    Answer,
    Asked,
    Shelf,
    Tokens,
    always,
    digest,
    opened,
    serving,
    sha256,
)


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
