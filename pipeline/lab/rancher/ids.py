"""Ids: `1s5` is number 5, and the letters are decoration."""

from __future__ import annotations

import re

_NUMBERED = re.compile(r"1[a-z]*([0-9]+)")
_KEYED = re.compile(r"1[a-z]*!(.+)")

SHORT = {
    "account": "a",
    "stack": "st",
    "service": "s",
    "instance": "i",
    "host": "h",
    "secret": "se",
    "credential": "c",
    "certificate": "c",
    "storagePool": "sp",
    "volume": "v",
    "serviceConsumeMap": "scm",
    "serviceExposeMap": "sem",
    "genericObject": "go",
    "setting": "as",
}
"""First letter and capitals of the base type; Cattle overrides stack and secret."""


def shown_id(table: str, number: int | str, *, v1: bool = False) -> str:
    """The id as clients see it; a stack was an environment in v1."""
    if isinstance(number, str):
        return f"1{SHORT[table]}!{number}"
    return f"1{'e' if v1 and table == 'stack' else SHORT[table]}{number}"


def parsed_id(text: str) -> int | str | None:
    """The number, or a name that is a key itself; None for what cannot be an id."""
    if found := _NUMBERED.fullmatch(text):
        return int(found[1])
    if found := _KEYED.fullmatch(text):
        return found[1]
    return text if text[:1].isalpha() else None
