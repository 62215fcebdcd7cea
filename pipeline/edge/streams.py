"""Several byte streams of log output as one of lines."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Mapping


def merged_lines(streams: Mapping[str, Iterable[bytes]]) -> Iterator[str]:
    """Lines of all streams as they come, each as `name | line`; ends when every stream has ended.

    What a stream raises is raised here, after what was read before it.
    """
    lines: queue.Queue[str | Exception | None] = queue.Queue(maxsize=1000)

    def read(name: str, chunks: Iterable[bytes]) -> None:
        try:
            for line in _lines(chunks):
                lines.put(f"{name} | {line}")
            lines.put(None)
        except Exception as error:  # noqa: BLE001 - it is raised again, in the thread that reads the lines
            lines.put(error)

    for name, chunks in streams.items():
        threading.Thread(target=read, args=(name, chunks), daemon=True).start()
    open_streams = len(streams)
    while open_streams:
        line = lines.get()
        if isinstance(line, Exception):
            raise line
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
