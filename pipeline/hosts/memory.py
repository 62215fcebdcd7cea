"""Machines in memory: what a host does, without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Event

from pipeline.errors import BadInput, Refused, Unreachable
from pipeline.hosts.base import STOPPED, Hear
from pipeline.model.host import Facts
from pipeline.model.secret import Secret
from pipeline.model.steps import Folder, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a script does: the lines on its two outputs, its exit code, and whether the connection is lost in it.
    `meanwhile` is called while it runs."""

    out: tuple[str, ...] = ()
    err: tuple[str, ...] = ()
    code: int = 0
    lost: bool = False
    meanwhile: Callable[[], None] = lambda: None


@dataclass(kw_only=True)
class MemoryMachine:
    """One machine; several hosts may be names of it. `ran` lists the scripts that were started, `given` what the last
    of them found in its environment."""

    found: Facts = field(default_factory=lambda: Facts(system="debian 12", free={"/var/lib": 50 << 30}))
    scripts: dict[str, Run] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    given: dict[str, Secret] = field(default_factory=dict)
    folder: str = ""
    files: dict[str, str] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    holder: tuple[str, str] = ("", "")


class MemoryHost:
    """One name of a machine in memory."""

    def __init__(self, name: str, machine: MemoryMachine) -> None:
        self.name = name
        self._stopped = Event()
        self._machine = machine

    def facts(self) -> Facts:
        machine = self._machine
        return replace(machine.found, begun=bool(machine.folder), finished=dict(machine.finished))

    def hold(self, run: str) -> None:
        held, by = self._machine.holder
        if held == run:
            raise BadInput(f"{by} and {self.name} are the same machine", hint="Name each machine once.")
        if held:
            raise Refused(f"{self.name}: another run is at work there", hint="Wait until it has ended.")
        self._machine.holder = (run, self.name)

    def put(self, folder: Folder) -> bool:
        machine = self._machine
        if machine.folder != folder.digest:
            machine.folder, machine.files = folder.digest, dict(folder.sums)
            return True
        for path, told in folder.sums.items():
            if machine.files.get(path) != told:
                raise Refused(f"{self.name}: {path} was changed since it was copied", hint="Remove it there.")
        return False

    def run(self, step: Step, values: Mapping[str, Secret], out: Hear, err: Hear) -> int:
        machine = self._machine
        does = machine.scripts.get(step.script.name, Run())
        if self._stopped.is_set():
            return STOPPED
        machine.ran.append(step.script.name)
        machine.given = dict(values)
        does.meanwhile()
        if does.lost:
            self.close()
            raise Unreachable(f"{self.name}: the connection was lost", hint="Run the same again.")
        if self._stopped.is_set():
            return STOPPED
        for line in does.out:
            out(line)
        for line in does.err:
            err(line)
        if does.code == 0 and step.key:
            machine.finished[step.script.name] = step.key
        return does.code

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        if self._machine.holder[1] == self.name:
            self._machine.holder = ("", "")
