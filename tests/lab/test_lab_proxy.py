"""What passes through the proxy: streams, early ends, protocol switches, changes, and nothing that is no request."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab_support import Client, ask, echo_upstream, put, read_head, scripted_upstream

from pipeline.lab.gateway.running import Lab, running_gateway


@contextmanager
def lab_before(tmp_path: Path, port: int, **service: Any) -> Iterator[Lab]:
    """A gateway with one route, /, to a port of this machine."""
    with running_gateway(state=tmp_path / "state.sqlite3") as lab:
        put(lab.admin, "/services/s", {"host": "127.0.0.1", "port": port, **service})
        put(lab.admin, "/services/s/routes/r", {"paths": ["/"]})
        yield lab


def test_the_first_chunk_of_an_answer_arrives_before_the_upstream_has_finished(tmp_path: Path) -> None:
    go_on = threading.Event()

    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        go_on.wait(10)
        connection.sendall(b"6\r\nsecond\r\n0\r\n\r\n")

    with (
        scripted_upstream(play) as upstream,
        lab_before(tmp_path, upstream.address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.send("GET", "/")
        got = b""
        while b"first" not in got:
            got += client.sock.recv(65536)
        assert b"second" not in got
        go_on.set()
        while not got.endswith(b"0\r\n\r\n"):
            got += client.sock.recv(65536)
        assert b"second" in got


def test_a_long_request_body_reaches_the_upstream_while_it_is_being_sent(tmp_path: Path) -> None:
    seen = threading.Event()
    total: list[int] = []

    def play(connection: socket.socket, number: int) -> None:
        head, _, data = read_head(connection).partition(b"\r\n\r\n")
        assert b"Content-Length: 400000" in head
        size = len(data)
        while size < 400_000:
            size += len(connection.recv(65536))
            if size >= 100_000:
                seen.set()
        total.append(size)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with (
        scripted_upstream(play) as upstream,
        lab_before(tmp_path, upstream.address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\n" + b"x" * 200_000)
        assert seen.wait(10)
        client.sock.sendall(b"x" * 200_000)
        assert client.receive().body == b"ok"
    assert total == [400_000]


def test_a_short_chunked_body_goes_upstream_with_its_length(tmp_path: Path) -> None:
    with (
        echo_upstream() as upstream,
        lab_before(tmp_path, upstream.server_address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.sock.sendall(
            b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        echoed = client.receive().json()

    assert echoed["body"] == "abcde"
    assert ["Content-Length", "5"] in echoed["headers"]


def test_a_long_chunked_body_stays_chunked(tmp_path: Path) -> None:
    with (
        echo_upstream() as upstream,
        lab_before(tmp_path, upstream.server_address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        client.sock.sendall(
            b"PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * 4 + b"0\r\n\r\n"
        )
        echoed = client.receive().json()

    assert len(echoed["body"]) == 4 * 0x10000
    assert ["Transfer-Encoding", "chunked"] in echoed["headers"]


def test_a_client_that_expects_100_continue_gets_it(tmp_path: Path) -> None:
    with (
        echo_upstream() as upstream,
        lab_before(tmp_path, upstream.server_address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.sock.sendall(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert client.stream.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert client.stream.readline() == b"\r\n"
        client.sock.sendall(b"hi")
        assert client.receive().json()["body"] == "hi"


def test_an_early_answer_is_passed_on_although_the_body_is_not_sent(tmp_path: Path) -> None:
    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")

    with (
        scripted_upstream(play) as upstream,
        lab_before(tmp_path, upstream.address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 100_000)
        reply = client.receive()

    assert (reply.status, reply.body) == (413, b"big")
    assert reply.header("Connection") == "close"


def test_an_upstream_that_dies_in_its_body_breaks_the_clients_connection(tmp_path: Path) -> None:
    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    with (
        scripted_upstream(play) as upstream,
        lab_before(tmp_path, upstream.address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        reply = client.ask("GET", "/")

    assert reply.status == 200
    assert reply.body == b"only this"


def test_a_chunked_answer_that_breaks_off_never_gets_a_last_chunk(tmp_path: Path) -> None:
    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")

    with (
        scripted_upstream(play) as upstream,
        lab_before(tmp_path, upstream.address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.send("GET", "/")
        raw = client.stream.read()

    assert b"part" in raw
    assert not raw.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_does_not_hold_the_connection_up(tmp_path: Path, status: int) -> None:
    def play(connection: socket.socket, number: int) -> None:
        while read_head(connection):
            connection.sendall(b"HTTP/1.1 %d X\r\nETag: e\r\n\r\n" % status)

    with (
        scripted_upstream(play) as upstream,
        lab_before(tmp_path, upstream.address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        assert [client.ask("GET", "/").status for _ in range(3)] == [status] * 3


def test_an_answer_that_ends_with_the_connection_is_chunked_for_a_client_that_stays(tmp_path: Path) -> None:
    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")

    with (
        scripted_upstream(play) as upstream,
        lab_before(tmp_path, upstream.address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        replies = [client.ask("GET", "/") for _ in range(2)]

    assert [reply.body for reply in replies] == [b"until the end"] * 2
    assert replies[0].header("Transfer-Encoding") == "chunked"


def test_an_http_1_0_client_gets_no_chunks_and_the_end_of_the_connection(tmp_path: Path) -> None:
    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")

    with (
        scripted_upstream(play) as upstream,
        lab_before(tmp_path, upstream.address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        head, _, body = client.stream.read().partition(b"\r\n\r\n")

    assert body == b"hi"
    assert b"Transfer-Encoding" not in head


def test_a_head_request_keeps_the_length_and_has_no_body(tmp_path: Path) -> None:
    with (
        echo_upstream() as upstream,
        lab_before(tmp_path, upstream.server_address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        reply = client.ask("HEAD", "/x")
        assert int(reply.header("Content-Length") or 0) > 100
        assert client.ask("GET", "/y").json()["target"] == "/y"


def test_a_client_that_leaves_frees_the_upstream(tmp_path: Path) -> None:
    freed = threading.Event()

    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        if connection.recv(1) == b"":
            freed.set()

    with scripted_upstream(play) as upstream, lab_before(tmp_path, upstream.address[1]) as lab:
        client = Client(lab.proxy)
        client.send("GET", "/")
        time.sleep(0.2)
        client.close()
        assert freed.wait(5)


def test_a_slow_client_holds_a_fast_upstream_back(tmp_path: Path) -> None:
    sent = [0]

    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        size = 200 * 1024 * 1024
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent[0] < size:
            sent[0] += connection.send(b"x" * 65536)

    with (
        scripted_upstream(play) as upstream,
        lab_before(tmp_path, upstream.address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.send("GET", "/")
        time.sleep(1.5)

    # What is under way is in the kernel's buffers and ours, not the whole answer.
    assert 0 < sent[0] < 64 * 1024 * 1024


def test_a_websocket_is_switched_to_and_passes_bytes_both_ways(tmp_path: Path) -> None:
    heads: list[bytes] = []

    def play(connection: socket.socket, number: int) -> None:
        heads.append(read_head(connection))
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x05hello"
        )
        while data := connection.recv(65536):
            connection.sendall(data)

    with (
        scripted_upstream(play) as upstream,
        lab_before(tmp_path, upstream.address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.send(
            "GET",
            "/ws",
            {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "k", "Sec-WebSocket-Version": "13"},
        )
        reply = client.receive()
        assert reply.status == 101
        assert (reply.header("Upgrade"), reply.header("Connection")) == ("websocket", "upgrade")
        assert reply.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert client.stream.read(7) == b"\x81\x05hello"
        for _ in range(3):
            client.sock.sendall(b"\x82\x04\x00\xff\x00\xff")
            assert client.stream.read(6) == b"\x82\x04\x00\xff\x00\xff"
        client.sock.shutdown(socket.SHUT_WR)
        assert client.stream.read() == b""
    assert b"Connection: keep-alive, Upgrade\r\n" in heads[0]


def test_a_change_is_served_from_the_answer_on_even_on_a_connection_that_was_open(tmp_path: Path) -> None:
    with (
        echo_upstream("A") as first,
        echo_upstream("B") as second,
        lab_before(tmp_path, first.server_address[1]) as lab,
    ):
        ports = (first.server_address[1], second.server_address[1])
        with Client(lab.proxy) as client, Client(lab.admin) as admin:
            for turn in range(100):
                body = json.dumps({"port": ports[turn % 2]}).encode()
                assert admin.ask("PATCH", "/services/s", {"Content-Type": "application/json"}, body).status == 200
                assert client.ask("GET", "/").json()["upstream"] == "AB"[turn % 2]


def test_a_route_is_gone_and_back_at_once(tmp_path: Path) -> None:
    with (
        echo_upstream() as upstream,
        lab_before(tmp_path, upstream.server_address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        ask(lab.admin, "DELETE", "/routes/r")
        gone = client.ask("GET", "/x")
        put(lab.admin, "/services/s/routes/r", {"paths": ["/x"]})

        assert (gone.status, gone.json()) == (404, {"message": "no Route matched with those values"})
        assert client.ask("GET", "/x").status == 200


@pytest.mark.parametrize("path", ["/a%2Fb%20c", "/%E6%97%A5?q=%20a+b&e=", "/a;b,c:d@e!$&'()*+=?/?", "/x?%zz=%00"])
def test_the_bytes_of_a_path_pass_unharmed(tmp_path: Path, path: str) -> None:
    with echo_upstream() as upstream, lab_before(tmp_path, upstream.server_address[1]) as lab:
        assert ask(lab.proxy, "GET", path).json()["target"] == path


def test_a_path_with_raw_bytes_is_escaped_for_the_upstream(tmp_path: Path) -> None:
    with echo_upstream() as upstream, lab_before(tmp_path, upstream.server_address[1]) as lab:
        assert ask(lab.proxy, "GET", "/ü x").json()["target"] == "/%C3%BC%20x"


def test_requests_that_come_together_are_answered_in_order(tmp_path: Path) -> None:
    with (
        echo_upstream() as upstream,
        lab_before(tmp_path, upstream.server_address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(5)))
        targets = [client.receive().json()["target"] for _ in range(5)]

    assert targets == [f"/{number}" for number in range(5)]


@pytest.mark.parametrize(
    "raw",
    [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        b"GET nothing HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_and_never_reaches_an_upstream(tmp_path: Path, raw: bytes) -> None:
    with (
        echo_upstream() as upstream,
        lab_before(tmp_path, upstream.server_address[1]) as lab,
        Client(lab.proxy) as client,
    ):
        client.sock.sendall(raw)
        reply = client.receive()
        assert reply.status in (400, 501)
        assert client.stream.read() == b""
        assert upstream.seen == []


def test_an_https_route_is_redirected_or_refused_over_http(tmp_path: Path) -> None:
    with lab_before(tmp_path, 1) as lab:
        put(lab.admin, "/services/s/routes/a", {"paths": ["/a"], "protocols": ["https"]})
        put(
            lab.admin,
            "/services/s/routes/b",
            {"paths": ["/b"], "protocols": ["https"], "https_redirect_status_code": 301},
        )
        refused = ask(lab.proxy, "GET", "/a/x")
        moved = ask(lab.proxy, "GET", "/b/x?y=z", Host="h.example.com:8000")

    assert (refused.status, refused.json()) == (426, {"message": "Please use HTTPS protocol"})
    assert (moved.status, moved.header("Location")) == (301, "https://h.example.com/b/x?y=z")
