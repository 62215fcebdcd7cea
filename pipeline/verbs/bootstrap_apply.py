"""bootstrap --host: a generated folder is applied to machines over SSH, and what then runs is compared with it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.command import PENDING
from pipeline.edge.ssh_ask import ask, has_terminal
from pipeline.edge.ssh_folder import read_folder, size_of
from pipeline.errors import Failed
from pipeline.flows import bootstrap_apply as flow
from pipeline.hosts.base import Host
from pipeline.model.host import LEAST_FREE, parse_hosts
from pipeline.model.host_keys import parse_pins
from pipeline.model.secret import Secret
from pipeline.model.steps import Folder, Variable
from pipeline.model.steps_values import find_values
from pipeline.model.steps_verification import Verification
from pipeline.verbs.several import parse_number
from pipeline.wiring import Session, open_hosts


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says of applying: fingerprints (`--host-key`), finished steps too (`--again`), hosts worked
    on at once (`--jobs`), and only the plan (`--check`)."""

    host_keys: Sequence[str] = ()
    again: bool = False
    jobs: str = ""
    check: bool = False


def apply(session: Session, path: Path, hosts: Sequence[str], flags: Flags = Flags()) -> int:
    """Gives 0 when every host is as the folder says, 2 for pending steps (--check). Raises Failed for differences."""
    names = parse_hosts(hosts)
    pins = parse_pins(flags.host_keys, names)
    at_once = parse_number("--jobs", flags.jobs, least=1) if flags.jobs else 8
    folder = read_folder(path)
    order = flow.Order(
        folder=folder,
        values=_values(session, folder, check=flags.check),
        run=secrets.token_hex(8),
        again=flags.again,
        at_once=at_once,
        least_free=LEAST_FREE + 2 * size_of(path, folder),
    )
    opened = open_hosts(names, environment=folder.environment, source=path, pins=pins)
    try:
        return _apply(session, order, opened, check=flags.check)
    finally:
        for host in opened:
            host.close()


def _apply(session: Session, order: flow.Order, hosts: Sequence[Host], *, check: bool) -> int:
    telling = flow.Telling(
        tell=lambda host, text: session.console.teller(host)(text),
        complain=lambda _host, error: session.console.error(error),
    )
    plan = flow.plan(order, hosts, telling)
    for host, steps in plan.steps.items():
        for step in steps:
            telling.tell(host, f"{'run  ' if step.runs else 'leave'} {step.script.name}: {step.reason}")
    if check:
        return PENDING if plan.pending else 0
    return _compared(session, order.folder, flow.apply(order, plan, hosts, telling))


def _compared(session: Session, folder: Folder, verified: Mapping[str, Verification]) -> int:
    count = 0
    for host, verification in verified.items():
        tell = session.console.teller(host)
        for difference in verification.differences:
            tell(f"differs: {difference}")
        for left_out in verification.not_compared:
            tell(f"not compared: {left_out}")
        count += len(verification.differences)
        if not verification.differences:
            found = ", ".join(f"{number} {kind}" for kind, number in sorted(verification.found.items()))
            session.console.result(f"{host}: {folder.environment} is as {folder.scripts[-1].name} wants it ({found})")
    if count:
        raise Failed(
            f"{folder.environment} differs from environment.json in {count} points",
            hint="They are named above. Mend them and run the same again, or with --again: every step anew.",
        )
    return 0


def _values(session: Session, folder: Folder, *, check: bool) -> Mapping[str, Secret]:
    """The variables' values. For --check it is enough to know that they will be given."""
    asks = _ask if has_terminal() else None
    given = find_values(folder.variables, session.variables, folder.environment, _promise if check else asks)
    session.console.mask(given.hidden)
    return given.values


def _ask(variable: Variable) -> str:
    return ask(variable.name, variable.about)


def _promise(variable: Variable) -> str:
    return f"the value of {variable.name}"
