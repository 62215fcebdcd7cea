"""Commands that are asked, fed and ended: what they leave behind is nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.edge.process import Process, answer_of, running
from pipeline.errors import BadInput


def is_running(pid: int) -> bool:
    """A dead one whom nobody has buried yet does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    limit = time.monotonic() + 10
    while is_running(pid):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def test_a_command_that_answers_is_heard() -> None:
    answer = answer_of(["sh", "-c", "echo out; echo err >&2; exit 3"], os.environ, seconds=10)

    assert (answer.code, answer.out, answer.err) == (3, "out\n", "err\n")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["/nowhere/docker"], "cannot be run: No such file"),
        (["sh", "-c", "echo a\0b"], "cannot be run: embedded null byte"),
        (["sh", "-c", "sleep 60 & sleep 60"], "does not answer within 0.2 s"),
    ],
)
def test_a_command_that_does_not_answer_is_a_reason(words: list[str], why: str) -> None:
    answer = answer_of(words, os.environ, seconds=0.2)

    assert answer.code is None
    assert answer.err.startswith(why)


def test_what_is_fed_comes_back_line_by_line_without_colours() -> None:
    pieces = [b"one\r\n\x1b[1;31mtw", b"o\x1b[0m \xff\n\n", b"\x1b]0;title\x07three"]

    with running(["cat"], os.environ, pieces) as process:
        lines = list(process.lines())

    assert lines == ["one", "two �", "", "three"]
    assert process.code == 0


def test_a_command_that_does_not_read_its_input_to_the_end_is_heard_nevertheless() -> None:
    with running(["sh", "-c", "echo enough; exit 4"], os.environ, (bytes(1 << 20) for _ in range(100))) as process:
        assert list(process.lines()) == ["enough"]
        assert process.code == 4


def test_a_command_without_input_reads_none() -> None:
    with running(["cat"], os.environ, None) as process:
        assert list(process.lines()) == []


def test_input_that_breaks_off_ends_the_command_before_it_takes_the_half_for_the_whole() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half\n"
        raise BadInput("a file vanished", hint="Build again.")

    lines: list[str] = []
    with running(["sh", "-c", "cat; echo whole"], os.environ, pieces()) as process:
        with pytest.raises(BadInput, match="a file vanished"):
            lines.extend(process.lines())

        assert "whole" not in lines
        assert process.code == 128 + signal.SIGKILL


@pytest.mark.parametrize("deaf", [False, True])
def test_a_block_that_ends_early_ends_the_command_and_what_it_started(deaf: bool) -> None:
    script = ("trap '' INT; " if deaf else "") + "sleep 60 & echo $!; echo $$; wait; sleep 60"
    found: list[int] = []

    def interrupted() -> None:
        with running(["sh", "-c", script], os.environ, None, grace=0.3) as process:
            for line in process.lines():
                found.append(int(line))
                if len(found) == 2:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert [ends(pid) for pid in found] == [True, True]


def test_another_thread_may_stop_it() -> None:
    with running(["sh", "-c", "echo begun; sleep 60"], os.environ, None) as process:
        for line in process.lines():
            assert line == "begun"
            threading.Thread(target=Process.stop, args=(process,)).start()

    assert process.stopped
    assert process.code == 128 + signal.SIGINT


def test_a_value_that_is_too_long_for_an_environment_is_refused_without_showing_it() -> None:
    with pytest.raises(BadInput, match="cannot be run: Argument list too long") as refused:
        running(["cat"], {"A": "x" * 200_000}, None).__enter__()

    assert "xxx" not in str(refused.value) + refused.value.hint
