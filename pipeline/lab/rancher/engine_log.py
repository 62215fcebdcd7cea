"""The log of a container on a Docker engine, line by line, over a connection of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.edge.engine import open_engine
from pipeline.lab.rancher.logs import LogRequest, LogSource
from pipeline.model.address import EngineAddress


def engine_log(address: EngineAddress, external: str, request: LogRequest) -> LogSource:
    """Opened by whoever reads it, in a thread; closing it ends the reading."""
    client = open_engine(address)

    def lines() -> Iterator[bytes]:
        stream = client.logs(
            external,
            stream=True,
            follow=request.follow,
            tail=request.lines,
            timestamps=request.timestamps,
            stdout=True,
            stderr=True,
        )
        yield from _lines(stream)

    return LogSource(lines(), client.close)


def _lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest
