"""A machine that an environment is built on: how it is named, what is found on it, and why it may not be taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.errors import BadInput

SYSTEMS = ("debian 12",)
"""What was tried. docs/bootstrap-hosts.md lists the same."""
LEAST_FREE = 5 << 30
"""Bytes: an engine and some images take more than half of it."""
_HALF_DONE = 1 << 20
_HOST = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_WRONG = "Write user@host, user@host:port, or a Host of ssh_config; [::1]:22 for IPv6."


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A container that is not of this environment; `of_rancher`: a Rancher's own, or one that it made."""

    name: str
    image: str
    of_rancher: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a machine says of itself, without anything being changed there.

    `system` is os-release's ID and VERSION_ID; `may_be_root` whether its user is root or becomes it without a
    password; `missing` the commands that applying needs and it has not; `engine` is empty, "docker", or "silent" for a
    docker that does not answer; `others` are other engines and clusters; `free` are bytes per folder; `begun` whether
    an earlier run has taken the machine for this environment; `finished` the keys of the steps that have ended well, by
    script."""

    system: str
    user: str = "root"
    may_be_root: bool = True
    missing: tuple[str, ...] = ()
    engine: str = ""
    others: tuple[str, ...] = ()
    containers: tuple[Foreign, ...] = ()
    free: Mapping[str, int] = field(default_factory=dict)
    begun: bool = False
    finished: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a machine is not taken, and what to do about it."""

    what: str
    hint: str


def parse_hosts(given: Sequence[str]) -> tuple[str, ...]:
    """The names as given, checked. Raises BadInput for none, for one that no machine can have, and for one twice."""
    if not given:
        raise BadInput("no host is named", hint="Name the machines to build on: --host user@host, again for several.")
    for name in given:
        if not _HOST.fullmatch(name):
            raise BadInput(f"--host {name!r} cannot be a machine's name", hint=_WRONG)
    twice = next((name for name in given if given.count(name) > 1), "")
    if twice:
        raise BadInput(f"--host {twice} is named twice", hint="Name each machine once.")
    return tuple(given)


def objections(facts: Facts, *, environment: str, least_free: int = LEAST_FREE) -> tuple[Objection, ...]:
    """Everything that speaks against building the environment there; none on a bare machine, and on one that holds
    parts of this very environment. There a run that stopped halfway has used some room, and may have left an engine
    that does not answer yet."""
    return tuple(_objections(facts, environment, _HALF_DONE if facts.begun else least_free))


def is_full(facts: Facts) -> str:
    """The folder with no room left (a write of a mebibyte would fail), else empty."""
    return next((folder for folder, free in sorted(facts.free.items()) if free < _HALF_DONE), "")


def _objections(facts: Facts, environment: str, least_free: int) -> Iterator[Objection]:
    if facts.system not in SYSTEMS:
        yield Objection(
            what=f"it runs {facts.system or 'an unknown system'}",
            hint=f"Install one that this was tried on: {', '.join(SYSTEMS)}.",
        )
    if not facts.may_be_root:
        yield Objection(
            what=f"{facts.user} may not become root",
            hint=f"Log in as root, or give {facts.user} `NOPASSWD: ALL` in sudoers and check with `sudo -n true`.",
        )
        return
    if facts.missing:
        yield Objection(
            what=f"it has no {', '.join(facts.missing)}", hint="Install them: they are part of every Debian system."
        )
    if facts.others:
        yield Objection(
            what=f"something else runs containers there: {', '.join(facts.others)}",
            hint="Take a bare machine: two engines on one would share its ports and firewall.",
        )
    if facts.engine == "silent" and not facts.begun:
        yield Objection(
            what="a docker is there and does not answer, so what it runs cannot be seen",
            hint="Start it (`systemctl start docker`), or remove it with its data.",
        )
    yield from _foreign(facts, environment)
    for folder, free in sorted(facts.free.items()):
        if free < least_free:
            yield Objection(
                what=f"{folder} has {_shown(free)} left, and {_shown(least_free)} are wanted",
                hint="Make room or take a larger disk.",
            )


def _foreign(facts: Facts, environment: str) -> Iterator[Objection]:
    """A machine that an earlier run made a Rancher's host has what Rancher runs on each."""
    found = [one for one in facts.containers if not (one.of_rancher and facts.begun)]
    if found:
        shown = ", ".join(f"{one.name} ({one.image})" for one in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        yield Objection(
            what=f"{len(found)} containers there are not of {environment}: {shown}{more}",
            hint="Take a bare machine, or remove them with `docker rm -f NAME`.",
        )


def _shown(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
