"""Several byte streams of log output as one of lines."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Mapping


def merged_lines(streams: Mapping[str, Iterable[bytes]]) -> Iterator[str]:
    """Lines of all streams as they come, each as `name | line`; ends when every stream has ended."""
    lines: queue.Queue[str | None] = queue.Queue(maxsize=1000)

    def read(name: str, chunks: Iterable[bytes]) -> None:
        try:
            for line in _lines(chunks):
                lines.put(f"{name} | {line}")
        finally:
            lines.put(None)

    for name, chunks in streams.items():
        threading.Thread(target=read, args=(name, chunks), daemon=True).start()
    open_streams = len(streams)
    while open_streams:
        line = lines.get()
        if line is None:
            open_streams -= 1
        else:
            yield line


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
