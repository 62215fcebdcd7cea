"""status: what runs where, which stack the gateway serves, whether it does, and what prune would do to the rest."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from pipeline.errors import PipelineError
from pipeline.flows.verify import ask_all
from pipeline.model.drift import find_drift
from pipeline.model.prune_rules import PrunePolicy
from pipeline.model.snapshot import Snapshot
from pipeline.model.span import shown_span
from pipeline.model.status import Asked, status_document
from pipeline.verbs.report import print_document, table
from pipeline.verbs.surveys import policy_of, survey_all
from pipeline.wiring import Session, open_session

_HEAD = ("SERVICE", "BRANCH", "COMMIT", "STACK", "STATE", "AGE", "SERVES", "ANSWERS", "PRUNE")
_WATCH_SECONDS = 2.0
_SHOWN_SUBJECT = 32
_CLEAR = "\x1b[H\x1b[2J"


def status(environment: str | None, *, drift: bool, watch: bool, json: bool, jq: str) -> int:
    """Shows what could be read; a source that could not makes the exit code 5. `watch` goes on until Ctrl-C."""
    session = open_session((), environment)
    session.require_environment()
    try:
        while True:
            code = _show(session, drift=drift, watch=watch, json=json, jq=jq)
            if not watch:
                return code
            session.clock.sleep(_WATCH_SECONDS)
    finally:
        session.end_upkeep()


def _show(session: Session, *, drift: bool, watch: bool, json: bool, jq: str) -> int:
    snapshot = survey_all(session)
    document = status_document(snapshot, _policy(session), _asked(session, snapshot))
    if drift:
        unread = "records" in {source for source, _ in snapshot.missing}
        document["drift"] = [] if unread else [asdict(one) for one in find_drift(snapshot, snapshot.records)]
    if watch and sys.stdout.isatty():
        session.console.result(_CLEAR)
    print_document(session, document, _lines(document), json=json, jq=jq)
    for source, reason in snapshot.missing:
        session.console.tell(f"{source}: not read: {reason}")
    return 5 if snapshot.missing else 0


def _policy(session: Session) -> PrunePolicy:
    """Where the repository cannot be read, what it says of keeping is not known: that is no reason to show nothing."""
    try:
        return policy_of(session)
    except PipelineError:
        return PrunePolicy(grace=session.settings.grace, settle=session.settings.settle)


def _asked(session: Session, snapshot: Snapshot) -> tuple[Asked, ...]:
    try:
        manifests = [manifest for manifest, _ in session.manifests]
        front = session.front
    except PipelineError:
        return ()
    return ask_all(snapshot, manifests, front) if front is not None else ()


def _lines(document: dict[str, Any]) -> list[str]:
    rows = [
        (
            entry["service"],
            entry["branch"],
            f"{entry['version']} {_said(entry)}".rstrip(),
            entry["stack"] + (" (previous)" if entry["previous"] else ""),
            entry["state"],
            "?" if entry["age"] is None else shown_span(entry["age"]),
            ", ".join(entry["serves"]) or "-",
            {True: "yes", False: "LIES", None: "-"}[entry["answers"]],
            entry["prune"] or "?",
        )
        for entry in document["stacks"]
    ]
    unread = "platform" in {one["source"] for one in document["missing"]}
    nothing = "what runs in {} is not known" if unread else "nothing is deployed in {}"
    lines = table(_HEAD, rows) if rows else [nothing.format(document["environment"])]
    lines += [f"{one['service']} lies: {one['answered']}" for one in document["stacks"] if one["answers"] is False]
    lines += [
        f"{', '.join(route['paths'])} leads to {route['upstream'] or 'nowhere'}, which is no stack that runs here"
        for route in document["routes_without_stack"]
    ]
    lines += [
        f"{one['stack']} ({one['state']}) was not made by this toolkit: `invoke adopt` takes it over"
        for one in document["strangers"]
    ]
    drift = [
        f"{one['reason']}: the {one['subject']} of {one['service']}: {one['what']}" for one in document.get("drift", ())
    ]
    return lines + (drift or ["nothing has drifted from its records"] if "drift" in document else [])


def _said(entry: dict[str, Any]) -> str:
    """Subject and author, as far as there is room for them."""
    if not entry["subject"]:
        return ""
    subject = entry["subject"]
    cut = subject if len(subject) <= _SHOWN_SUBJECT else f"{subject[: _SHOWN_SUBJECT - 1]}…"
    return f"{cut} ({entry['author']})" if entry["author"] else cut
