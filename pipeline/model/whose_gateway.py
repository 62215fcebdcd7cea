"""Whose a gateway is: one is never taken for another environment's."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.errors import Refused
from pipeline.model.ci import REVIEW, family
from pipeline.model.route import tag_word


def refuse_other_environment(environment: str, named: Iterable[str]) -> None:
    """Raises Refused where entities name another environment (`named`, as in tags). Reviews share a gateway, each with
    names and a host of its own."""
    others = {*named} - {tag_word(environment), ""}
    if family(environment) == REVIEW:
        others = {other for other in others if not other.startswith(f"{REVIEW}.")}
    if others:
        raise Refused(
            f"this gateway carries the environment {', '.join(sorted(others))}, and {environment} was asked for",
            hint=f"Name the gateway of {environment} (KONG_ADMIN_URL, invoke.yaml), or choose with -e.",
        )
