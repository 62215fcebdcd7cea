"""Connections to upstreams: kept ones are used, dead ones cost no request, nothing that acts is sent twice."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

from lab_support import Client, Reply, ask, echo_upstream, free_port, put, read_head, scripted_upstream

from pipeline.lab.gateway.running import Lab, running_gateway

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def served(lab: Lab, port: int, **service: object) -> None:
    put(lab.admin, "/services/s", {"host": "127.0.0.1", "port": port, **service})
    put(lab.admin, "/services/s/routes/r", {"paths": ["/"]})


def test_one_upstream_connection_serves_request_after_request(tmp_path: Path) -> None:
    def play(connection: socket.socket, number: int) -> None:
        while read_head(connection):
            connection.sendall(_OK)

    with scripted_upstream(play) as upstream, running_gateway(state=tmp_path / "s") as lab:
        served(lab, upstream.address[1])
        with Client(lab.proxy) as one, Client(lab.proxy) as other:
            replies = [client.ask("GET", "/") for client in (one, other, one, other)]

        assert [reply.body for reply in replies] == [b"ok"] * 4
        assert len(upstream.accepted) == 1


def test_a_kept_connection_that_dies_at_the_next_request_costs_nothing(tmp_path: Path) -> None:
    seen: list[int] = []

    def play(connection: socket.socket, number: int) -> None:
        for turn in range(2):
            read_head(connection)
            seen.append(number)
            if turn == 1 and number == 1:
                return  # takes the request and closes, as a server does whose idle time has just run out
            connection.sendall(_OK)

    with scripted_upstream(play) as upstream, running_gateway(state=tmp_path / "s") as lab:
        served(lab, upstream.address[1], retries=0)
        first, second = (ask(lab.proxy, "GET", "/") for _ in range(2))

    assert (first.body, second.body) == (b"ok", b"ok")
    assert seen == [1, 1, 2]


def test_a_post_never_goes_over_a_kept_connection_and_never_goes_twice(tmp_path: Path) -> None:
    posts: list[int] = []

    def play(connection: socket.socket, number: int) -> None:
        while head := read_head(connection):
            if head.startswith(b"POST"):
                posts.append(number)
                return
            connection.sendall(_OK)

    with scripted_upstream(play) as upstream, running_gateway(state=tmp_path / "s") as lab:
        served(lab, upstream.address[1])
        ask(lab.proxy, "GET", "/")
        reply = ask(lab.proxy, "POST", "/", {"a": 1})

    assert reply.status == 502
    assert posts == [2]


def test_a_get_is_tried_again_as_often_as_the_service_says(tmp_path: Path) -> None:
    tries: list[int] = []

    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        tries.append(number)
        if number == 3:
            connection.sendall(_OK)

    with scripted_upstream(play) as upstream, running_gateway(state=tmp_path / "s") as lab:
        served(lab, upstream.address[1], retries=2)
        assert ask(lab.proxy, "GET", "/").body == b"ok"
        assert tries == [1, 2, 3]


def test_a_refused_connection_is_tried_again_even_for_a_post(tmp_path: Path) -> None:
    with echo_upstream() as upstream, running_gateway(state=tmp_path / "s") as lab:
        served(lab, 80, host="two.example")
        put(lab.admin, "/upstreams/two.example", {})
        for port in (free_port(), upstream.server_address[1]):
            reply = ask(lab.admin, "POST", "/upstreams/two.example/targets", {"target": f"127.0.0.1:{port}"})
            assert reply.status == 201
        replies = [ask(lab.proxy, "POST", "/", {"a": 1}) for _ in range(4)]

    assert [reply.status for reply in replies] == [200] * 4


def test_targets_get_their_share_by_weight(tmp_path: Path) -> None:
    with echo_upstream("A") as first, echo_upstream("B") as second, running_gateway(state=tmp_path / "s") as lab:
        served(lab, 80, host="two.example")
        put(lab.admin, "/upstreams/two.example", {})
        for upstream, weight in ((first, 3), (second, 1)):
            target = {"target": f"127.0.0.1:{upstream.server_address[1]}", "weight": weight}
            ask(lab.admin, "POST", "/upstreams/two.example/targets", target)
        labels = [ask(lab.proxy, "GET", "/").json()["upstream"] for _ in range(40)]

    assert (labels.count("A"), labels.count("B")) == (30, 10)


def test_an_upstream_that_answers_nonsense_is_a_502(tmp_path: Path) -> None:
    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

    with scripted_upstream(play) as upstream, running_gateway(state=tmp_path / "s") as lab:
        served(lab, upstream.address[1], retries=0)
        reply = ask(lab.proxy, "GET", "/")

    assert reply.status == 502
    assert reply.body == b"An invalid response was received from the upstream server\n"


def test_a_read_time_out_is_a_504_after_every_try(tmp_path: Path) -> None:
    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.recv(1)

    with scripted_upstream(play) as upstream, running_gateway(state=tmp_path / "s") as lab:
        served(lab, upstream.address[1], retries=1, read_timeout=200)
        started = time.monotonic()
        reply = ask(lab.proxy, "GET", "/")
        took = time.monotonic() - started

    assert reply.status == 504
    assert took >= 0.4
    assert len(upstream.accepted) == 2


def test_no_request_fails_while_the_upstream_is_switched(tmp_path: Path) -> None:
    replies: list[Reply] = []
    done = threading.Event()
    with echo_upstream("A") as first, echo_upstream("B") as second, running_gateway(state=tmp_path / "s") as lab:
        served(lab, first.server_address[1])

        def load() -> None:
            with Client(lab.proxy) as client:
                while not done.is_set():
                    replies.append(client.ask("GET", "/"))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for turn in range(20):
            port = (second, first)[turn % 2].server_address[1]
            assert ask(lab.admin, "PATCH", "/services/s", {"port": port}).status == 200
            time.sleep(0.02)
        done.set()
        for thread in threads:
            thread.join()

    assert len(replies) > 20
    assert {reply.status for reply in replies} == {200}


def test_hop_by_hop_headers_of_an_answer_stay_behind(tmp_path: Path) -> None:
    def play(connection: socket.socket, number: int) -> None:
        read_head(connection)
        connection.sendall(
            b"HTTP/1.1 200 Fine\r\nKeep-Alive: timeout=5\r\nConnection: X-Private\r\nX-Private: 1\r\n"
            b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-MiXeD: Kept\r\nContent-Length: 0\r\n\r\n"
        )

    with scripted_upstream(play) as upstream, running_gateway(state=tmp_path / "s") as lab:
        served(lab, upstream.address[1])
        reply = ask(lab.proxy, "GET", "/")

    names = [name for name, _ in reply.headers]
    assert "Keep-Alive" not in names
    assert "X-Private" not in names
    assert [value for name, value in reply.headers if name == "Set-Cookie"] == ["a=1", "b=2"]
    assert "X-MiXeD" in names
    assert reply.header("Via") == "kong/2.8.5"
