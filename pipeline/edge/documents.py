"""JSON documents on stdout, whole or as a jq expression makes of them."""

from __future__ import annotations

import json

from pipeline.errors import BadInput


def as_json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def as_jq(document: object, expression: str) -> str:
    """One line per result, as the jq command prints with -r. Raises BadInput for an expression that jq refuses."""
    import jq

    try:
        results = jq.compile(expression).input_value(document).all()
    except ValueError as error:
        raise BadInput(
            f"--jq {expression!r}: {error}", hint="Try it with the jq command on the --json output."
        ) from error
    return "\n".join(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in results)
