"""A value that is typed on the terminal, unseen."""

from __future__ import annotations

import getpass
import sys

from pipeline.errors import BadInput


def has_terminal() -> bool:
    return sys.stdin.isatty()


def ask(name: str, about: str) -> str:
    """Asks until something is typed. Raises BadInput when the terminal ends."""
    try:
        while not (value := getpass.getpass(f"{name} ({about}): " if about else f"{name}: ")):
            continue
    except EOFError as error:
        raise BadInput(f"{name} was not typed", hint=f"Set it in the environment: export {name}=…") from error
    return value
