"""Host: a machine that a generated folder is applied to, whatever it is reached by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from pipeline.model.host import Facts
from pipeline.model.secret import Secret
from pipeline.model.steps import Folder, Step

Hear = Callable[[str], None]
STOPPED = 143
"""The exit code of a script that was ended, as a shell has it for SIGTERM."""


class Host(Protocol):
    """One thread works with it at a time; `stop` may come from any. `name` is as the user wrote it.

    Every method raises Unreachable when the machine does not answer or the connection is lost."""

    name: str

    def facts(self) -> Facts:
        """What is there. Changes nothing."""

    def hold(self, run: str) -> None:
        """Keeps other runs away until `close`, or until the connection is lost; `run` names this one. Raises BadInput
        when the same run holds the machine already (it has two names), Refused when another one does."""

    def put(self, folder: Folder) -> bool:
        """Copies the folder, checks every file there, and only then lets it take its place; gives whether anything had
        to be copied. Raises Refused naming a file that was changed since it was copied."""

    def run(self, step: Step, values: Mapping[str, Secret], out: Hear, err: Hear) -> int:
        """Runs a script of the folder that was put, hears its lines as they come, and gives its exit code. One that
        ended with 0 is remembered under the step's key. Its end is waited for: when it was stopped, too."""

    def stop(self) -> None:
        """Ends what runs there, with all that it started; `run` then comes back. No script is started any more."""

    def close(self) -> None:
        """Lets go. A second call does nothing."""
