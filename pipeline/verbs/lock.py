"""lock: who is changing what just now."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.model.record import Lease, lease_name
from pipeline.model.span import shown_span
from pipeline.verbs.report import print_document, table
from pipeline.wiring import open_session


def lock(services: Sequence[str], environment: str | None, *, break_: bool, json: bool) -> int:
    """Lists the leases of the environment; with `break_` takes those of the named services away."""
    session = open_session(tuple(services), environment)
    name = session.require_environment()
    if break_:
        for work in session.works:
            broken = session.leases.break_(lease_name(name, work.release.service))
            holder = f"taken from {broken.holder}" if broken else "nobody had it"
            session.console.tell(f"{work.release.service}: {holder}")
        return 0
    found = session.leases.all()
    document = {"schema_version": 1, "environment": name, "leases": [_entry(lease) for lease in found]}
    rows = [(lease.name, lease.holder, shown_span(lease.now - lease.taken), _state(lease)) for lease in found]
    lines = table(("LEASE", "HOLDER", "SINCE", "STATE"), rows) if rows else [f"nothing is being changed in {name}"]
    print_document(session, document, lines, json=json, jq="")
    return 0


def _entry(lease: Lease) -> dict[str, object]:
    return {
        "name": lease.name,
        "holder": lease.holder,
        "since_seconds": round(lease.now - lease.taken),
        "expires_in_seconds": round(lease.expires - lease.now),
    }


def _state(lease: Lease) -> str:
    return "run out, free to take" if lease.expired else f"ends in {round(lease.expires - lease.now)} s"
