"""A name server for the lab's containers, where Rancher runs rancher-dns: A records over UDP, the rest is passed on."""

from __future__ import annotations

import asyncio
import random
import re
import struct
from pathlib import Path
from typing import cast

from pipeline.lab.rancher.resolving import DOMAIN, Meaning, Names

PORT = 53
TTL = 600
_A, _CNAME, _AAAA = 1, 5, 28
_NO_ERROR, _SERVER_FAILURE, _NO_SUCH_NAME = 0, 2, 3
_UPSTREAM_SECONDS = 3.0


class NameServer(asyncio.DatagramProtocol):
    """`upstream` answers what is no name of the lab's; without one there is nothing else."""

    def __init__(self, names: Names, upstream: str) -> None:
        self._names = names
        self._upstream = upstream
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    async def listen(self, address: str, port: int = PORT) -> None:
        """OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, (address, port))

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._transport is not None:
            self._transport.close()

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        question = parsed(data)
        if question is None or self._transport is None:
            return
        name, kind = question
        meaning = self._names.meaning(name, addr[0])
        if meaning is not None:
            self._transport.sendto(answer(data, kind, meaning), addr)
        elif name.endswith(f".{DOMAIN}") or "." not in name or not self._upstream:
            self._transport.sendto(_reply(data, _NO_SUCH_NAME, []), addr)
        else:
            task = asyncio.ensure_future(self._pass_on(data, addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, data: bytes, addr: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bytes] = loop.create_future()
        reply = _reply(data, _SERVER_FAILURE, [])
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Once(waiting), remote_addr=(self._upstream, PORT)
            )
            try:
                transport.sendto(data)
                async with asyncio.timeout(_UPSTREAM_SECONDS):
                    reply = await waiting
            finally:
                transport.close()
        except (OSError, TimeoutError):
            pass
        if self._transport is not None:
            self._transport.sendto(reply, addr)


class _Once(asyncio.DatagramProtocol):
    def __init__(self, waiting: asyncio.Future[bytes]) -> None:
        self._waiting = waiting

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        if not self._waiting.done():
            self._waiting.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self._waiting.done():
            self._waiting.set_exception(error)


def parsed(data: bytes) -> tuple[str, int] | None:
    """The name in lower case and the type of a query with one question; None for anything else."""
    if len(data) < 12 or data[2] & 0x80 or struct.unpack("!H", data[4:6])[0] != 1:
        return None
    labels, at = [], 12
    while at < len(data) and data[at]:
        size = data[at]
        if size > 63 or at + 1 + size > len(data):
            return None
        labels.append(data[at + 1 : at + 1 + size].decode("ascii", "replace"))
        at += 1 + size
    if at + 5 > len(data):
        return None
    return ".".join(labels).lower(), struct.unpack("!H", data[at + 1 : at + 3])[0]


def answer(query: bytes, kind: int, meaning: Meaning) -> bytes:
    """The reply to a query for a name that is known; the addresses come in any order."""
    records = []
    if meaning.canonical:
        target = (
            b"".join(bytes((len(word),)) + word.encode() for word in meaning.canonical.rstrip(".").split(".")) + b"\0"
        )
        records.append(_record(_CNAME, target))
    elif kind == _A:
        shuffled = random.sample(meaning.addresses, len(meaning.addresses))
        records += [_record(_A, bytes(int(part) for part in address.split("."))) for address in shuffled]
    return _reply(query, _NO_ERROR, records)


def upstream_of(file: Path) -> str:
    """The first name server of a resolv.conf; empty without one."""
    try:
        text = file.read_text()
    except OSError:
        return ""
    found = re.search(r"^\s*nameserver\s+([\d.]+)", text, re.MULTILINE)
    return found[1] if found else ""


def _record(kind: int, content: bytes) -> bytes:
    # 0xc00c points back at the question's name.
    return struct.pack("!HHHIH", 0xC00C, kind, 1, TTL, len(content)) + content


def _reply(query: bytes, code: int, records: list[bytes]) -> bytes:
    at = 12
    while query[at]:
        at += 1 + query[at]
    question = query[12 : at + 5]
    flags = 0x8480 | (query[2] & 0x01) << 8 | code
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)
