"""The terminal: results to stdout, progress and errors to stderr, and no secret on either."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from pipeline.edge.masking import Mask
from pipeline.errors import BadInput, PipelineError
from pipeline.model.secret import Secret


class Console:
    """Where a verb tells. Values of known secrets are masked wherever they stand, in a container's log for instance."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._mask = Mask()
        self._lock = threading.Lock()
        self._keeping: list[list[str]] = []

    def mask(self, secrets: Iterable[Secret]) -> None:
        """From now on these are shown as [secret]."""
        self._mask.add(secrets)

    def masked(self, text: str) -> str:
        """As it may be written into a report."""
        return self._mask(text)

    def result(self, text: str) -> None:
        self._print(text, self._out)

    def tell(self, text: str) -> None:
        self._print(text, self._err)

    @contextmanager
    def keeping(self) -> Iterator[list[str]]:
        """All that is told during the body, as it is shown: masked."""
        told: list[str] = []
        self._keeping.append(told)
        try:
            yield told
        finally:
            self._keeping.remove(told)

    def teller(self, prefix: str, mark: str = ": ") -> Callable[[str], None]:
        """`tell` with a word in front of every line."""
        return lambda text: self.tell("\n".join(f"{prefix}{mark}{line}" for line in text.split("\n")))

    @property
    def interactive(self) -> bool:
        """Whether somebody sits there who can be asked."""
        return sys.stdin.isatty()

    def confirm(self, question: str) -> bool:
        """Whether somebody says yes. Raises BadInput where nobody can be asked."""
        if not self.interactive:
            raise BadInput(f"{question} There is no terminal to ask on", hint="Add --yes, as a CI job does.")
        self._print(f"{question} [y/N] ", self._err)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def choose(self, question: str, options: Sequence[str]) -> int | None:
        """Which of the options somebody picks, from 0, the first when they just press Enter; None for none of them."""
        for number, option in enumerate(options, 1):
            self._print(f"{number:>3}  {option}", self._err)
        self._print(f"{question} [1] ", self._err)
        answer = sys.stdin.readline().strip() or "1"
        return int(answer) - 1 if answer.isdecimal() and 1 <= int(answer) <= len(options) else None

    def error(self, error: PipelineError, prefix: str = "") -> None:
        """Two lines: what happened, and what to do next."""
        where = f"{prefix}: " if prefix else ""
        self.tell(f"error: {where}{_one_line(error.what)}\nnext:  {_one_line(error.hint)}")

    def _print(self, text: str, stream: TextIO) -> None:
        """What the terminal cannot show is shown by its code: a log is no reason to stop."""
        encoding = getattr(stream, "encoding", None) or "utf-8"
        masked = self._mask(text)
        with self._lock:  # several builds tell at once: a text stays whole
            for told in self._keeping if stream is self._err else ():
                told.append(masked)
            print(masked.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _one_line(text: str) -> str:
    """Control characters (a branch may hold them) cannot move the cursor of whoever reads."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text.replace("\n", " "))
