from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.edge.answers import Answer, Garbled, read_answer


def read(text: bytes, method: str = "GET") -> Answer:
    return read_answer(io.BufferedReader(io.BytesIO(text)), method, lambda: None)  # type: ignore[arg-type]  # readable


def test_a_counted_body_ends_where_it_says() -> None:
    answer = read(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-A:  b \r\n\r\n{}next")

    assert (answer.status, answer.content, answer.closes) == (201, b"{}", False)
    assert answer.headers["x-a"] == "b"


@given(st.lists(st.binary(min_size=1), max_size=5))
def test_a_body_in_pieces_is_put_together(parts: list[bytes]) -> None:
    body = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\nTrailer: x\r\n\r\n"

    answer = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)

    assert (answer.content, answer.closes) == (b"".join(parts), False)


def test_a_body_without_a_length_goes_to_the_end_of_the_connection() -> None:
    answer = read(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    assert (answer.content, answer.closes) == (b"all of it", True)


@pytest.mark.parametrize(
    ("head", "method"),
    [(b"HTTP/1.1 204 No Content\r\n\r\n", "DELETE"), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD")],
)
def test_some_answers_have_no_body(head: bytes, method: str) -> None:
    answer = read(head + b"HTTP/1.1 ...", method)

    assert (answer.content, answer.closes) == (b"", False)


@pytest.mark.parametrize(
    ("text", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
def test_a_server_says_whether_it_keeps_the_connection(text: bytes, closes: bool) -> None:
    assert read(text).closes is closes


def test_what_is_said_before_the_answer_is_no_answer() -> None:
    text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"

    assert (read(text).status, read(text).content) == (200, b"a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 200", "cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "cut off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "cut off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "closed without"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "below nothing"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "no number"),
        (b"SSH-2.0-OpenSSH\r\n", "no HTTP/1 answer"),
        (b"HTTP/1.1 200 OK\r\nnothing\r\n\r\n", "headers that are none"),
        (b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(300)) + b"\r\n", "headers that are none"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70000, "cut off"),
    ],
)
def test_what_is_no_whole_answer_is_told(text: bytes, words: str) -> None:
    with pytest.raises(Garbled, match=words):
        read(text)
