"""The terminal: results, progress, errors, and no secret on either."""

from __future__ import annotations

import io

import pytest

from pipeline.edge.console import Console
from pipeline.errors import BadInput
from pipeline.model.secret import Secret

KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"


class Screen:
    """A console and what stands on it."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self._streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)]
        self.console = Console(*self._streams)

    def read(self) -> tuple[str, str]:
        out, err = (stream.buffer.getvalue().decode(stream.encoding) for stream in self._streams)  # type: ignore[attr-defined]
        return out, err


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_results_go_to_stdout_and_progress_to_stderr(screen: Screen) -> None:
    screen.console.result("a result")
    screen.console.tell("progress")

    assert screen.read() == ("a result\n", "progress\n")


def test_a_teller_puts_its_word_in_front_of_every_line(screen: Screen) -> None:
    screen.console.teller("cities")("one\ntwo")

    assert screen.read()[1] == "cities: one\ncities: two\n"


def test_an_error_is_two_lines_whatever_it_names(screen: Screen) -> None:
    screen.console.error(BadInput("the branch 'a\nb\x1b[2J'", hint="Look at\nit."), prefix="cities")

    assert screen.read()[1] == "error: cities: the branch 'a b\\x1b[2J'\nnext:  Look at it.\n"


def test_known_secrets_are_masked_wherever_they_stand(screen: Screen) -> None:
    screen.console.mask((Secret("hunter2"), Secret("hunter2-long")))
    screen.console.mask((Secret("other-secret"),))

    screen.console.result("url=postgres://app:hunter2@db hunter2-long")
    screen.console.tell("log: other-secret")
    screen.console.error(BadInput("hunter2", hint="other-secret"))

    assert screen.read() == (
        "url=postgres://app:[secret]@db [secret]\n",
        "log: [secret]\nerror: [secret]\nnext:  [secret]\n",
    )


def test_a_secret_of_several_lines_is_masked_when_its_lines_come_one_by_one(screen: Screen) -> None:
    screen.console.mask((Secret(KEY),))

    for line in KEY.splitlines():
        screen.console.tell(f"app | {line}")

    assert "MIIE" not in screen.read()[1]
    assert "hkiG" not in screen.read()[1]


def test_very_short_and_empty_secrets_do_not_garble_everything(screen: Screen) -> None:
    screen.console.mask((Secret(""), Secret("1")))

    screen.console.result("11 stacks")

    assert screen.read()[0] == "11 stacks\n"


def test_what_the_terminal_cannot_show_is_shown_by_its_code() -> None:
    screen = Screen("ascii")

    screen.console.result("Düsseldorf \udcff")

    assert screen.read()[0] == "D\\xfcsseldorf \\udcff\n"
