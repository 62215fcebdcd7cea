"""Health checks: TCP or HTTP from outside of the container, as Rancher's do it, until somebody stops them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

_FIRST_PAUSE = 0.5
_WELL = re.compile(rb"HTTP/1\.[01] [23]\d\d\b")
Told = Callable[[bool], None]


async def watched(address: str, check: Mapping[str, Any], tell: Told) -> None:
    """Asks for ever and tells what has changed: after so many answers in a row of one kind it counts.

    Until the first success it asks at least twice a second, where Rancher keeps to the interval.
    """
    interval = _seconds(check, "interval", 2000)
    wanted = {True: int(check.get("healthyThreshold") or 2), False: int(check.get("unhealthyThreshold") or 3)}
    patience = _seconds(check, "initializingTimeout", 60_000)
    loop = asyncio.get_running_loop()
    begun, known, last, row = loop.time(), None, None, 0
    while True:
        answer = await asked(address, check)
        row = row + 1 if answer == last else 1
        last = answer
        late = known is not None or loop.time() - begun > patience
        if row >= wanted[answer] and answer != known and (answer or late):
            known = answer
            tell(answer)
        await asyncio.sleep(interval if known is not None else min(interval, _FIRST_PAUSE))


async def asked(address: str, check: Mapping[str, Any]) -> bool:
    """One probe: a connection, or an HTTP answer of 2xx or 3xx."""
    try:
        async with asyncio.timeout(_seconds(check, "responseTimeout", 2000)):
            reader, writer = await asyncio.open_connection(address, int(check["port"]))
            try:
                if not check.get("requestLine"):
                    return True
                writer.write(request_line(str(check["requestLine"])))
                return _WELL.match(await reader.readline()) is not None
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return False


def request_line(text: str) -> bytes:
    """`GET "/ping" "HTTP/1.0"` as it goes over the wire; quotes are the configuration's, not HTTP's."""
    words = re.findall(r'"([^"]*)"|(\S+)', text)
    method, path, *rest = [quoted or plain for quoted, plain in words] + [""] * (2 - len(words))
    version = rest[0] if rest and rest[0].startswith("HTTP/") else "HTTP/1.0"
    line = f"{method or 'GET'} {path or '/'} {version}\r\n"
    return (line + ("Host: localhost\r\nConnection: close\r\n" if version == "HTTP/1.1" else "") + "\r\n").encode()


def _seconds(check: Mapping[str, Any], name: str, default: int) -> float:
    return int(check.get(name) or default) / 1000
