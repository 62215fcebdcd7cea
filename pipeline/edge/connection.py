"""One kept connection to an HTTP API: requests of many entities must cost little more than their bytes.

The library that the rest uses (requests) costs several times as much; a restore of a whole gateway makes ten thousands
of them.
"""

from __future__ import annotations

import io
import select
import socket
import ssl
import struct
from base64 import b64encode
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from pipeline.edge.answers import Answer, Garbled, read_answer
from pipeline.edge.http import Access, Limits, Lost, NeverSent, Silent, header_value, require_files
from pipeline.edge.tls import tls_context, tls_failure

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Seconds in which a server that keeps connections does not let go of one.
_FRESH = 0.1


class _Received(io.RawIOBase):
    """What comes by a socket; a time that the kernel kept ends as one of Python's own."""

    def __init__(self, open_socket: socket.socket) -> None:
        self._socket = open_socket

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError as error:
            raise TimeoutError("timed out") from error


class Connection:
    """Opened by the first request, kept for the next ones, opened anew when the server has closed it. For one thread.

    Trusts and sends exactly what `access` says. Raises BadInput for a file that cannot be read and for a token that
    cannot be a header.
    """

    def __init__(self, access: Access) -> None:
        require_files(access)
        self._access = access
        parts = urlsplit(access.url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._base = parts.path.rstrip("/")
        self._head = _fixed_headers(access, parts.netloc.rpartition("@")[2])
        self._context = tls_context(access) if parts.scheme == "https" else None
        self._socket: socket.socket | None = None
        self._stream: BinaryIO | None = None
        self._used = 0.0
        self._silence = 0.0

    def exchange(self, method: str, target: str, body: bytes | None, limits: Limits) -> Answer:
        """One request and its answer, read before its end however slowly it drips. Raises Lost. `target` is the path
        with its query, escaped already."""
        length = b"" if body is None else b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        head = f"{method} {self._base}{target} HTTP/1.1\r\n".encode("ascii")
        try:
            open_socket = self._opened(method, limits)
            self._wait_at_most(open_socket, limits.silence)
            self._used = monotonic()
            open_socket.sendall(b"".join((head, self._head, length, b"\r\n", body or b"")))
            return self._received(method, limits)
        except Lost:
            self.close()
            raise
        except (TimeoutError, BlockingIOError) as error:
            self.close()
            raise Silent(f"silent for {limits.silence:.3g} s") from error
        except (OSError, Garbled, ValueError) as error:
            self.close()
            raise _lost(error, self._access) from error
        except BaseException:
            # Ctrl-C in the middle of an answer: the next one would get the rest of it.
            self.close()
            raise

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _opened(self, method: str, limits: Limits) -> socket.socket:
        """What may be sent a second time goes by a connection that was used just now without a look at it."""
        look = method in ("PATCH", "POST") or monotonic() - self._used > _FRESH
        if self._socket is not None and look and _is_dropped(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connected(limits)
            self._stream = io.BufferedReader(_Received(self._socket))
            self._silence = 0.0
        return self._socket

    def _connected(self, limits: Limits) -> socket.socket:
        try:
            plain = socket.create_connection((self._host, self._port), timeout=limits.connect)
        except TimeoutError as error:
            raise NeverSent(f"no connection within {limits.connect:.3g} s") from error
        except (OSError, UnicodeError) as error:
            raise NeverSent(_words(error)) from error
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise

    def _wait_at_most(self, open_socket: socket.socket, seconds: float) -> None:
        """Without TLS the kernel keeps the time: Python's own time-outs look at the socket before each use of it, and
        the threads of a restore would wait for each other twice as often."""
        if seconds == self._silence:
            return
        if isinstance(open_socket, ssl.SSLSocket):
            open_socket.settimeout(seconds)
        else:
            open_socket.settimeout(None)
            limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
            for one in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                open_socket.setsockopt(socket.SOL_SOCKET, one, limit)
        self._silence = seconds

    def _received(self, method: str, limits: Limits) -> Answer:
        def go_on() -> None:
            if limits.end.passed:
                raise Silent(f"its answer was not whole after {limits.end.seconds:g} s")

        if self._stream is None:
            raise NeverSent("there is no connection")
        answer = read_answer(self._stream, method, go_on)
        if answer.closes:
            self.close()
        return answer


def _fixed_headers(access: Access, authority: str) -> bytes:
    lines = [f"Host: {authority}", "User-Agent: invoke-pipeline", "Accept: application/json"]
    if access.token and access.token_header:
        lines.append(f"{access.token_header}: {header_value(access)}")
    parts = urlsplit(access.url)
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Authorization: Basic {b64encode(pair.encode('latin-1', 'replace')).decode()}")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def _is_dropped(open_socket: socket.socket) -> bool:
    """Whether there is something to read before anything was asked: the server has closed it."""
    poll = select.poll()
    poll.register(open_socket, select.POLLIN)
    return bool(poll.poll(0))


def _lost(error: Exception, access: Access) -> Lost:
    return tls_failure(error, access) if isinstance(error, ssl.SSLError) else Lost(_words(error))


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
