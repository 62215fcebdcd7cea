"""What the reporting verbs share: a document, printed as a table, as JSON or through jq."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.edge.documents import as_jq, as_json
from pipeline.wiring import Session


def print_document(session: Session, document: object, lines: Sequence[str], *, json: bool, jq: str) -> None:
    if jq:
        session.console.result(as_jq(document, jq))
    elif json:
        session.console.result(as_json(document))
    else:
        session.console.result("\n".join(lines))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they need to be, two spaces apart."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
