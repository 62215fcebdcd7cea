"""status: what runs where, and which stack the gateway serves."""

from __future__ import annotations

from typing import Any

from pipeline.flows.survey import survey
from pipeline.model.snapshot import status_document
from pipeline.verbs.report import age, print_document, table
from pipeline.wiring import open_session

_HEAD = ("SERVICE", "BRANCH", "COMMIT", "STACK", "STATE", "AGE", "SERVES")


def status(environment: str | None, *, json: bool, jq: str) -> int:
    """Shows what could be read; a source that could not makes the exit code 5."""
    session = open_session((), environment)
    name = session.require_environment()
    snapshot = survey(name, lambda: session.platform, lambda: session.gateway)
    document = status_document(snapshot, now=session.clock.now())
    print_document(session, document, _lines(document), json=json, jq=jq)
    for source, reason in snapshot.missing:
        session.console.tell(f"{source}: not read: {reason}")
    return 5 if snapshot.missing else 0


def _lines(document: dict[str, Any]) -> list[str]:
    rows = [
        (
            entry["service"],
            entry["branch"],
            entry["version"],
            entry["stack"],
            entry["state"],
            age(entry["age"]),
            ", ".join(entry["serves"]) or "-",
        )
        for entry in document["stacks"]
    ]
    lines = table(_HEAD, rows) if rows else [f"nothing is deployed in {document['environment']}"]
    lines += [
        f"{', '.join(route['paths'])} leads to {route['upstream'] or 'nowhere'}, which is no stack that runs here"
        for route in document["routes_without_stack"]
    ]
    return lines
