"""Calls of shell functions as lines of a script: every word quoted, a JSON document cut where secrets belong."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping

# A secret mark (model/interpolate.py) as JSON has it. What stands before is an even number of backslashes.
_MARK = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000([A-Za-z_][A-Za-z0-9_]*)\\u0000")


def call(*words: str) -> str:
    """One line: the function and its arguments."""
    return " ".join(map(shlex.quote, words))


def json_pieces(value: Mapping[str, object]) -> tuple[str, ...]:
    """The document in ASCII, sorted, cut at its secret marks: piece, variable, piece, …"""
    pieces = [""]
    for index, part in enumerate(_MARK.split(json.dumps(value, separators=(",", ":"), sort_keys=True))):
        match index % 3:
            case 2:
                pieces += [part, ""]
            case _:
                pieces[-1] += part
    return tuple(pieces)


def digest_of(value: object) -> str:
    """A short digest of what a call makes: it changes with everything but a secret's value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
