"""A rehearsal: the same environment under a throw-away name, with ports of its own; and what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from pipeline.model.address import LOOPBACK
from pipeline.model.inventory import Inventory, with_services
from pipeline.model.remap import renamed
from pipeline.model.route import GatewayState
from pipeline.model.stack import Port, StackService

_PREFIX = "rehearsal-"
_NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{8}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """One script of a rehearsal: how long it took, how it ended, the last that it said when that was badly."""

    script: str
    seconds: float
    code: int
    last: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a rehearsal did. `found` is the verification's own document; `differences` are the snapshots'."""

    environment: str
    steps: tuple[StepRun, ...]
    found: Mapping[str, Any]
    differences: tuple[str, ...]
    counts: Mapping[str, int]

    @property
    def passed(self) -> bool:
        ended = all(step.code == 0 for step in self.steps)
        return ended and bool(self.found) and not (self.differences or self.found.get("differences"))

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)


def rehearsal_name(word: str) -> str:
    """`word` is eight hexadecimal digits."""
    return f"{_PREFIX}{word}"


def is_rehearsal(environment: str) -> bool:
    return _NAME.fullmatch(environment) is not None


def staged(
    inventory: Inventory, state: GatewayState, environment: str, *, admin: int, proxy: int, host: str = LOOPBACK
) -> tuple[Inventory, GatewayState]:
    """The environment under that name. Published ports are the engine's choice, for those of the original are taken;
    the lab gateway's are given, and published where `host` is reached."""
    named, state = renamed(inventory, state, environment)
    stacks = tuple(with_services(stack, tuple(map(_on_any_port, stack.definition.services))) for stack in named.stacks)
    lab = named.lab
    if lab is not None:
        ports = {8001: admin, 8000: proxy}
        given = tuple(_on_port(one, ports.get(one.container, 0)) for one in lab.service.ports)
        if host != LOOPBACK:
            given = tuple(msgspec.structs.replace(one, address="") for one in given)
        service = msgspec.structs.replace(lab.service, ports=given)
        urls = (f"http://{host}:{port}" for port in (admin, proxy))
        lab = replace(lab, service=service, admin=next(urls), proxy=next(urls))
    return replace(named, stacks=stacks, lab=lab), state


def report_document(rehearsal: Rehearsal) -> dict[str, object]:
    return {
        "schema_version": 1,
        "environment": rehearsal.environment,
        "passed": rehearsal.passed,
        "seconds": round(rehearsal.seconds, 1),
        "rebuilt": dict(rehearsal.counts),
        "steps": [
            {"script": one.script, "seconds": round(one.seconds, 1), "exit_code": one.code} for one in rehearsal.steps
        ],
        "verification": dict(rehearsal.found),
        "differences": list(rehearsal.differences),
    }


def report_text(rehearsal: Rehearsal) -> str:
    """The report as Markdown."""
    end = "passed" if rehearsal.passed else "FAILED"
    counts = ", ".join(f"{count} {kind}" for kind, count in rehearsal.counts.items())
    lines = [
        f"# Rehearsal of {rehearsal.environment}: {end}",
        "",
        f"Rebuilt from its scripts alone: {counts}, in {rehearsal.seconds:.1f} s.",
        "",
        "| script | seconds | exit code |",
        "|---|---|---|",
        *(f"| {one.script} | {one.seconds:.1f} | {one.code} |" for one in rehearsal.steps),
    ]
    for one in rehearsal.steps:
        if one.last:
            lines += ["", f"The end of {one.script}:", "", "```", *one.last, "```"]
    found = rehearsal.found
    if found:
        lines += [
            "",
            "Verified: " + ", ".join(f"{count} {kind}" for kind, count in sorted(found["found"].items())) + ".",
        ]
        lines += [f"- not compared: {text}" for text in found["not_compared"]]
    differences = [*found.get("differences", ()), *rehearsal.differences]
    lines += ["", *(f"- {text}" for text in differences or ["Nothing differs."])]
    return "\n".join(lines) + "\n"


def verification(lines: tuple[str, ...]) -> dict[str, Any]:
    """The document that 70-verify.sh printed; empty when it did not get that far."""
    for line in reversed(lines):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    return {}


def _on_any_port(service: StackService) -> StackService:
    return msgspec.structs.replace(service, ports=tuple(_on_port(one, 0) for one in service.ports))


def _on_port(port: Port, host: int) -> Port:
    return msgspec.structs.replace(port, host=host)
