"""The event stream of the lab Rancher, spoken byte for byte as RFC 6455 has it."""

from __future__ import annotations

import base64
import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from rancher_support import ENVIRONMENT_KEY, P, Rancher

from pipeline.lab.rancher.running import Lab, running_rancher


class Stream:
    """A subscription over a WebSocket."""

    def __init__(self, lab: Lab, query: str = "?eventNames=resource.change") -> None:
        self.sock = socket.create_connection((lab.host, lab.port), timeout=10)
        word = base64.b64encode(f"{ENVIRONMENT_KEY.access}:{ENVIRONMENT_KEY.secret}".encode()).decode()
        lines = [
            f"GET {P}/subscribe{query} HTTP/1.1",
            f"Host: {lab.host}:{lab.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            f"Authorization: Basic {word}",
        ]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode())
        self.file = self.sock.makefile("rb")
        self.head = b"".join(iter(self.file.readline, b"\r\n"))

    def frame(self) -> tuple[int, bytes]:
        first, size = self.file.read(2)
        if size == 126:
            (size,) = struct.unpack("!H", self.file.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.file.read(8))
        return first & 15, self.file.read(size)

    def event(self) -> Any:
        return json.loads(self.frame()[1])

    def send(self, opcode: int, payload: bytes) -> None:
        mask = b"\x01\x02\x03\x04"
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.sock.sendall(bytes((0x80 | opcode, 0x80 | len(payload))) + mask + masked)

    def close(self) -> None:
        self.file.close()
        self.sock.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_rancher(ping_seconds=0.2) as running:
        yield running


@pytest.fixture
def stream(lab: Lab) -> Iterator[Stream]:
    opened = Stream(lab)
    yield opened
    opened.close()


def changes(stream: Stream, until: Any) -> list[Any]:
    """The changes up to and with the first for which `until` holds."""
    found = []
    while not found or not until(found[-1]):
        event = stream.event()
        if event["name"] == "resource.change":
            found.append(event)
    return found


def test_the_handshake_is_answered_and_the_first_frame_is_a_ping(stream: Stream) -> None:
    assert stream.head.startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in stream.head
    assert [stream.event()["name"] for _ in range(3)] == ["ping"] * 3


def test_every_change_comes_with_the_whole_resource_as_a_get_would_give_it(lab: Lab, stream: Stream) -> None:
    rancher = Rancher(lab)
    stack = rancher.stack()

    last = changes(stream, lambda event: event["data"]["resource"]["state"] == "active")[-1]

    assert (last["resourceType"], last["resourceId"]) == ("stack", stack["id"])
    assert last["data"]["resource"] == stack


def test_a_removed_resource_is_told_once_and_only_when_it_is_removed(lab: Lab, stream: Stream) -> None:
    rancher = Rancher(lab)
    stack = rancher.stack()
    rancher.ask("DELETE", stack["links"]["self"])
    lab.advance(5)

    seen = changes(stream, lambda event: event["data"]["resource"]["removed"] is not None)

    assert seen[-1]["data"]["resource"]["state"] == "removed"


def test_changes_of_another_project_are_not_told(lab: Lab, stream: Stream) -> None:
    other = lab.call(lambda: lab.state.add_project("Other", 9))
    lab.call(lambda: lab.state.stacks.create({"name": "secret"}, other))
    Rancher(lab).stack("mine")

    (first, *_) = changes(stream, lambda _: True)

    assert first["data"]["resource"]["name"] == "mine"


def test_pings_are_answered_and_a_close_closes(stream: Stream) -> None:
    stream.send(9, b"there?")
    while (frame := stream.frame())[0] != 10:
        pass
    assert frame[1] == b"there?"
    stream.send(8, struct.pack("!H", 1000))
    while (frame := stream.frame())[0] != 8:
        pass

    assert frame[1] == struct.pack("!H", 1000)
    assert stream.file.read() == b""


def test_without_a_websocket_the_same_is_streamed_as_text(lab: Lab) -> None:
    with socket.create_connection((lab.host, lab.port), timeout=10) as sock:
        word = base64.b64encode(f"{ENVIRONMENT_KEY.access}:{ENVIRONMENT_KEY.secret}".encode()).decode()
        sock.sendall(f"GET {P}/subscribe HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {word}\r\n\r\n".encode())
        with sock.makefile("rb") as file:
            assert file.readline() == b"HTTP/1.1 200 OK\r\n"
            while file.readline() != b"\r\n":
                pass
            size = int(file.readline(), 16)
            assert json.loads(file.read(size))["name"] == "ping"


def test_a_wrong_key_is_refused_without_a_challenge(lab: Lab) -> None:
    told = Rancher(lab, None).ask("GET", f"{P}/subscribe", Connection="Upgrade", Upgrade="websocket")

    assert told.status == 401
    assert "www-authenticate" not in told.headers
