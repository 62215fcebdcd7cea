"""history: what was done to an environment, by whom, from the records on its platform."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.model.history import history_document
from pipeline.verbs.report import print_document, table
from pipeline.wiring import open_session

_HEAD = ("WHEN (UTC)", "WHAT", "SERVICE", "STACK", "BEFORE", "COMMIT", "BY", "TOOK", "OUTCOME")
_SHOWN_SUBJECT = 40


def history(services: Sequence[str], environment: str | None, *, json: bool, jq: str) -> int:
    """Newest first. Stacks that were pruned are in it: records outlive them."""
    session = open_session(tuple(services), environment)
    name = session.require_environment()
    chosen = session.choice.services
    document = history_document(name, session.records.all(), chosen)
    whose = f" to {', '.join(chosen)}" if chosen else ""
    print_document(session, document, _lines(document) or [f"nothing was done{whose} in {name}"], json=json, jq=jq)
    return 0


def _lines(document: dict[str, Any]) -> list[str]:
    rows = [
        (
            datetime.fromtimestamp(one["at"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
            one["verb"],
            one["service"],
            one["stack"] or one["route_before"] or "-",
            one["stack_before"] or "-",
            f"{one['version']} {one['subject'][:_SHOWN_SUBJECT]}".strip() or "-",
            one["actor"] + (f" ({one['pipeline']})" if one["pipeline"] else ""),
            f"{one['seconds']:.1f} s",
            one["outcome"],
        )
        for one in document["records"]
    ]
    return table(_HEAD, rows) if rows else []
