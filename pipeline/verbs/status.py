"""status: what runs where, and which stack the gateway serves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.errors import PipelineError
from pipeline.flows.survey import survey
from pipeline.model.drift import find_drift
from pipeline.model.record import Record
from pipeline.model.snapshot import status_document
from pipeline.verbs.report import age, print_document, table
from pipeline.wiring import Session, open_session

_HEAD = ("SERVICE", "BRANCH", "COMMIT", "STACK", "STATE", "AGE", "SERVES")


def status(environment: str | None, *, drift: bool, json: bool, jq: str) -> int:
    """Shows what could be read; a source that could not makes the exit code 5."""
    session = open_session((), environment)
    name = session.require_environment()
    snapshot = survey(name, lambda: session.platform, lambda: session.gateway)
    document = status_document(snapshot, now=session.clock.now())
    missing = list(snapshot.missing)
    if drift:
        records, reason = _records(session)
        missing += [("records", reason)] if reason else []
        document["drift"] = [] if reason else [asdict(one) for one in find_drift(snapshot, records)]
        document["missing"] = [{"source": source, "reason": why} for source, why in missing]
    print_document(session, document, _lines(document), json=json, jq=jq)
    for source, reason in missing:
        session.console.tell(f"{source}: not read: {reason}")
    return 5 if missing else 0


def _records(session: Session) -> tuple[tuple[Record, ...], str]:
    """Every record, or why there are none."""
    try:
        return session.records.all(), ""
    except PipelineError as error:
        return (), error.what


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
    drift = [
        f"{one['reason']}: the {one['subject']} of {one['service']}: {one['what']}" for one in document.get("drift", ())
    ]
    return lines + (drift or ["nothing has drifted from its records"] if "drift" in document else [])
