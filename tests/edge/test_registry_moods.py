"""The registry client against a registry that is busy, silent, cut off or none at all."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pipeline.edge.docker_config import NO_LOGIN
from pipeline.edge.registry import RegistryClient
from pipeline.edge.registry_transport import Patience
from pipeline.errors import Unreachable
from tests.conftest import SteppingClock
from tests.edge.registry_server import (
    CI,
    DIGEST,
    MANIFEST,
    Answer,
    Asked,
    Sleepless,
    opened,
    serving,
)


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
