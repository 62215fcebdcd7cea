"""Hosts over SSH: what shell/host.sh does there, asked for from here."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.edge.library import host_library
from pipeline.edge.ssh import Access, SshConnection
from pipeline.edge.ssh_command import Command
from pipeline.edge.ssh_folder import packed
from pipeline.errors import BadInput, Failed, Refused
from pipeline.hosts.base import STOPPED, Hear
from pipeline.model.host import Facts, Foreign, is_full
from pipeline.model.secret import Secret
from pipeline.model.steps import Folder, Step

BASE = "/var/lib/invoke-pipeline/bootstrap"
# All that a command line there shows. The program arrives on standard input, its length first; a part of it is not run.
BOOT = (
    'LC_ALL=C; export LC_ALL; read -r n && host_program=$(head -c "$n"; echo .) && '
    '[ "${#host_program}" -gt "$n" ] && eval "${host_program%.}"'
)
_RANCHERS = ("rancher-agent", "rancher-server")
"""What its own containers are called on a host; those that it makes carry its label."""
_LONGEST = 128 * 1024 - 1
"""Bytes of one variable, `NAME=value` with the end (Linux' MAX_ARG_STRLEN)."""


class SshHost:
    """A machine that is reached over SSH; `source` is the folder here that is copied there."""

    def __init__(self, access: Access, *, environment: str, source: Path, base: str = BASE) -> None:
        self.name = access.name
        self._ssh = SshConnection(access)
        self._environment = environment
        self._source = source
        self._base = f"{base}/{environment.replace('/', '-')}"
        self._become: tuple[str, ...] | None = None
        self._held: Command | None = None
        self._running: Command | None = None
        self._stopped = False
        self._last_words = ""

    def facts(self) -> Facts:
        answers: dict[str, list[list[str]]] = {}
        for kind, *words in self._ask((), "host_facts", doing="it was looked at"):
            answers.setdefault(kind, []).append(words)

        def first(kind: str) -> str:
            return next((words[0] for words in answers.get(kind, ()) if words), "")

        self._become = () if first("user") == "root" else ("sudo", "-n")
        return Facts(
            system=first("system").strip(),
            user=first("user"),
            may_be_root=bool(first("root")),
            missing=tuple(words[0] for words in answers.get("missing", ())),
            engine=first("engine"),
            others=tuple(words[0] for words in answers.get("other", ())),
            containers=tuple(
                Foreign(name=name, image=image, of_rancher=name in _RANCHERS or any(marks[3:]))
                for name, image, *marks in answers.get("container", ())
                if self._environment not in marks
            ),
            free=_free(["free", *words] for words in answers.get("free", ())),
            begun=bool(first("begun")),
            finished={words[0]: words[1] for words in answers.get("finished", ()) if len(words) == 2},
        )

    def hold(self, run: str) -> None:
        self._held = self._start(self._root(), "host_hold", run, self.name, doing="it was held", keep_input=True)
        kind, *words = next((line.split("\t") for out, line in self._held.lines() if out and line), [""])
        if kind == "holding":
            return
        held, self._held = self._held, None
        with self._ended(held):
            if not kind:
                held.code()  # tells when the connection was lost
        if kind == "same":
            raise BadInput(f"{words[0]} and {self.name} are the same machine", hint="Name each machine once.")
        if kind == "other":
            raise Refused(
                f"{self.name}: another run is at work there",
                hint="Wait until it has ended; one whose connection was lost lets go when its machine notices.",
            )
        raise self._broken("the lock could not be taken")

    def put(self, folder: Folder) -> bool:
        answers = self._ask(self._root(), "host_has", folder.digest, doing="the copy was checked")
        changed = [words[1] for words in answers if words[0] == "changed"]
        if changed:
            raise Refused(
                f"{self.name}: {', '.join(changed)} was changed since it was copied",
                hint=f"Find out who did it; then remove {self._base}/folder-{folder.digest} and run the same again.",
            )
        if ["there"] in answers:
            return False
        feed = packed(self._source, folder)
        answers = self._ask(self._root(), "host_put", folder.digest, doing="the folder was copied", feed=feed)
        if ["put"] in answers:
            return True
        if full := is_full(Facts(system="", free=_free(answers))):
            raise Failed(
                f"{self.name}: the disk is full: {full} has no room left for the folder",
                hint="Make room there and run the same again: no half of it is left.",
            )
        raise self._broken("the folder could not be copied whole")

    def run(self, step: Step, values: Mapping[str, Secret], out: Hear, err: Hear) -> int:
        if self._stopped:
            return STOPPED
        words = ("host_run", step.folder, step.script.name, step.key)
        doing = f"{step.script.name} ran"
        command = self._start(self._root(), *words, doing=doing, values=values, keep_input=True)
        with self._ended(command):
            for is_out, line in command.lines():
                (out if is_out else err)(line)
            return command.code()

    def stop(self) -> None:
        self._stopped = True
        running = self._running
        if running is not None:
            running.end_input()

    def close(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.end()
        self._ssh.close()

    def _root(self) -> tuple[str, ...]:
        if self._become is None:
            self.facts()
        return self._become or ()

    def _ask(self, become: tuple[str, ...], *words: str, doing: str, feed: Iterable[bytes] = ()) -> list[list[str]]:
        """The lines of a function's answer, as words."""
        command = self._start(become, *words, doing=doing, feed=feed)
        with self._ended(command):
            lines = list(command.lines())
            command.code()
            self._last_words = next((line for out, line in reversed(lines) if not out), "")
            return [line.split("\t") for out, line in lines if out]

    def _start(
        self,
        become: tuple[str, ...],
        function: str,
        *words: str,
        doing: str,
        feed: Iterable[bytes] = (),
        values: Mapping[str, Secret] | None = None,
        keep_input: bool = False,
    ) -> Command:
        call = shlex.join((function, self._base, *words))
        program = "\n".join((host_library(), *_assignments(values or {}), call, "")).encode("utf-8", "surrogateescape")
        boot = (*become, "sh", "-c", BOOT)
        pieces = _first(f"{len(program)}\n".encode() + program, feed)
        return self._ssh.start(boot, pieces, doing=doing, keep_input=keep_input)

    @contextmanager
    def _ended(self, command: Command) -> Iterator[None]:
        """However the body ends, the command has ended after it: nothing goes on there unseen."""
        self._running = command
        if self._stopped:  # right before
            command.end_input()
        try:
            yield
        finally:
            self._running = None
            command.end()

    def _broken(self, what: str) -> Failed:
        why = f": {self._last_words}" if self._last_words else ""
        return Failed(
            f"{self.name}: {what}{why}",
            hint=f"Is there room in {self._base}, and may it be written? Then run it again.",
        )


def _free(answers: Iterable[list[str]]) -> dict[str, int]:
    return {words[1]: int(words[2]) * 1024 for words in answers if words[0] == "free"}


def _first(piece: bytes, more: Iterable[bytes]) -> Iterator[bytes]:
    yield piece
    yield from more


def _assignments(values: Mapping[str, Secret]) -> Iterator[str]:
    for name, secret in sorted(values.items()):
        value = secret.reveal()
        if "\0" in value or len(name) + 1 + len(value.encode("utf-8", "surrogateescape")) > _LONGEST:
            raise BadInput(
                f"the value of {name} cannot be a variable of a process",
                hint="It may hold no NUL and at most 128 KiB; give scripts a file's path instead.",
            )
        yield f"{name}={shlex.quote(value)}; export {name}"
