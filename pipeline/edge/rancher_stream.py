"""Web sockets of a Rancher server: events as they come, and logs of containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from pipeline.edge.http import Lost, header_value
from pipeline.edge.rancher_client import RancherClient, access_of
from pipeline.edge.tls import tls_context

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_OPEN_SECONDS = 5.0
_LONGEST_FRAME = 1 << 24
_EVENTS = "/subscribe?eventNames=resource.change"


class StreamEnded(Exception):
    """The server has let go of it, or it could not be opened: `str` says why."""


class EventStream:
    """Every change of the project's things. The library reads in the background; nothing waits here."""

    def __init__(self, client: RancherClient) -> None:
        """Raises StreamEnded when it cannot be opened."""
        self._open = ExitStack()
        self._socket = self._open.enter_context(_opened(client, f"{client.scope}{_EVENTS}"))

    def waiting(self) -> list[bytes]:
        """The frames that have come since the last call. Raises StreamEnded."""
        from websockets.exceptions import ConnectionClosed

        found: list[bytes] = []
        while True:
            try:
                frame = self._socket.recv(timeout=0)
            except TimeoutError:
                return found
            except ConnectionClosed as error:
                raise StreamEnded(str(error)) from error
            found.append(frame.encode() if isinstance(frame, str) else frame)

    def close(self) -> None:
        self._open.close()


def log_frames(client: RancherClient, url: str, token: str) -> Iterator[bytes]:
    """The parts of a container's log, without the two digits that tell the stream, until the server ends it.

    `url` is the server's word: its host may be another than the one that we reach, so that its path alone is used. One
    that cannot be opened (its host is gone) says so in one line: it must not hide the others'.
    """
    from websockets.exceptions import ConnectionClosed

    try:
        socket = _opened(client, f"{urlsplit(url).path}?token={token}")
    except StreamEnded as error:
        yield f"(the server did not open this log: {error})".encode()
        return
    with socket:
        while True:
            try:
                frame = socket.recv()
            except ConnectionClosed:
                return
            content = frame.encode() if isinstance(frame, str) else frame
            yield content[3:] if content[:3] in (b"00 ", b"01 ", b"02 ") else content


def _opened(client: RancherClient, target: str) -> ClientConnection:
    from websockets.exceptions import InvalidHandshake, InvalidURI
    from websockets.sync.client import connect

    access = access_of(client.address)
    parts = urlsplit(client.url)
    secure = parts.scheme == "https"
    url = urlunsplit(("wss" if secure else "ws", parts.netloc, parts.path, "", "")) + target
    try:
        return connect(
            url,
            ssl=tls_context(access) if secure else None,
            additional_headers={access.token_header: header_value(access)} if access.token else {},
            user_agent_header="invoke-pipeline",
            proxy=None,
            compression=None,
            open_timeout=_OPEN_SECONDS,
            close_timeout=1,
            max_size=_LONGEST_FRAME,
            max_queue=1024,
        )
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, Lost) as error:
        raise StreamEnded(str(error) or type(error).__name__) from error
