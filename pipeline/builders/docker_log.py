"""What a Docker engine streams while it builds, pulls and pushes: its messages as lines of a log, and as a failure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping

from pipeline.builders.base import Listener
from pipeline.edge.engine import engine_errors
from pipeline.errors import Failed, Unreachable
from pipeline.model.address import EngineAddress
from pipeline.model.dockerfile import Dockerfile

Message = Mapping[str, object]

_STEP = re.compile(r"Step (\d+)/(\d+) : (\S+)")
_REPEATED = 30
_FROM_THE_CACHE = " ---> Using cache"
_RED = re.compile(r"\x1b\[(?:91|0)m")
"""The engine paints what a step writes to stderr."""


class BuildLog:
    """Passes a build's lines on as they come, and remembers the step that they belong to, how many `steps` there are
    and how many were `cached`, and the image at the end."""

    def __init__(self, dockerfile: Dockerfile, log: Listener) -> None:
        self.image = ""
        self.step = ""
        self.steps = 0
        self.cached = 0
        self._dockerfile = dockerfile
        self._log = log
        self._number = 0
        self._partial = ""
        self._lines: deque[str] = deque(maxlen=_REPEATED)

    def take(self, message: Message) -> None:
        """One message of the stream. Raises Failed when it is the engine's error."""
        if (error := error_in(message)) is not None:
            self._end_line()
            raise self._failure(error)
        if isinstance(aux := message.get("aux"), Mapping) and "ID" in aux:
            self.image = str(aux["ID"])
        lines = (self._partial + _RED.sub("", str(message.get("stream", "")))).split("\n")
        self._partial = lines.pop()
        for line in lines:
            self._line(line.rstrip("\r"))
        if (progress := progress_line(message)) is not None:
            self._line(progress)

    def _line(self, line: str) -> None:
        if found := _STEP.match(line):
            self._number, self.steps = int(found[1]), int(found[2])
            self.step = f"step {found[1]} of {found[2]}"
            self._lines.clear()
        elif line.strip():
            self.cached += line == _FROM_THE_CACHE
            self._lines.append(line)
        self._log(line)

    def _end_line(self) -> None:
        if self._partial:
            self._line(self._partial)
            self._partial = ""

    def _failure(self, error: str) -> Failed:
        """The engine's error with the Dockerfile's line; the step's last lines are told again right before it, because
        in a long log, or among those of other builds, they are far from the end of the screen."""
        step = self._dockerfile.step(self._number)
        if step is None:
            return Failed(f"{self._dockerfile.file}: {error}", hint="Mend the Dockerfile and build again.")
        where = f"{self._dockerfile.file}:{step.line}"
        self._log("\n".join([f"--- the end of {self.step}, {where}: {step.text}", *self._lines]))
        return Failed(
            f"{where}: {self.step} failed: {step.text!r}: {error}",
            hint="The last lines of the step are above; mend it and build again: what comes before it is in the cache.",
        )


def messages_of(stream: Iterator[Message], address: EngineAddress, doing: str) -> Iterator[Message]:
    """The stream, with the ways in which it may break off as Unreachable: they come from below requests, undressed."""
    from http.client import HTTPException

    from docker.errors import APIError, StreamParseError
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    while True:
        with engine_errors(address, doing):
            try:
                message = next(stream, None)
            except APIError:  # an answer, though docker-py gives it only now
                raise
            except (HTTPError, HTTPException, RequestException, StreamParseError, OSError) as error:
                raise gone(address, doing, str(error)) from error
        if message is None:
            return
        yield message


def gone(address: EngineAddress, doing: str, why: str) -> Unreachable:
    """The engine went away in the middle of something."""
    return Unreachable(
        f"{address} went away in the middle ({doing}): {why}; nothing was tagged",
        hint="See whether the engine still runs (`docker info`) and has room on its disk, then run the same again.",
    )


def error_in(message: Message) -> str | None:
    """The engine's in-band error: it has answered 200 before it knew."""
    if "error" not in message:
        return None
    detail = message.get("errorDetail")
    found = detail.get("message") if isinstance(detail, Mapping) else None
    return str(found or message["error"])


def progress_line(message: Message) -> str | None:
    """A pull's or a push's status; its progress bars are left out."""
    status = message.get("status")
    if not status or message.get("progressDetail"):
        return None
    return f"{message['id']}: {status}" if message.get("id") else str(status)
