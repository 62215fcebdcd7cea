"""Variables in a compose file's values: texts are filled in wherever they stand, secrets only in an environment."""

from __future__ import annotations

from pipeline.model.compose_values import Place, as_map, as_text, wrong
from pipeline.model.interpolate import Lookup, interpolate, secrets_in


def fill_environment(value: object, lookup: Lookup, at: Place) -> dict[str, str]:
    """NAME → text. `- NAME` and `NAME:` take the value from the environment; a variable that is unset is left out."""
    if isinstance(value, list):
        words = [_filled(as_text(item, at), lookup, at) for item in value]
        pairs: dict[str, str | None] = {word.partition("=")[0]: word.partition("=")[2] for word in words}
        pairs |= {word: None for word in words if "=" not in word}
    else:
        taken = as_map(value, at)
        keys = value if isinstance(value, dict) else {}
        pairs = {name: _filled(text, lookup, at) for name, text in taken.items()}
        pairs |= {str(name): None for name, given in keys.items() if given is None}
    found = {}
    for name, text in pairs.items():
        if not name or set(name) & {"=", "\0"}:
            raise wrong(at, f"has the name {name!r}", "Write NAME: value.")
        passed = lookup(name, False) if text is None else text
        if passed is not None:
            found[name] = _checked(passed, at)
    return found


def fill(value: object, lookup: Lookup, at: Place) -> object:
    """Everything but the environment: a secret there would be seen by everyone who lists containers or images."""
    if isinstance(value, str):
        filled = _filled(value, lookup, at)
        if names := secrets_in(filled):
            raise wrong(at, f"holds the secret {names[0]}", "Secrets may only be used under environment.")
        return filled
    if isinstance(value, list):
        return [fill(item, lookup, at) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, lookup, at) for key, item in value.items()}
    return value


def _filled(text: str, lookup: Lookup, at: Place) -> str:
    if "\0" in text:
        raise wrong(at, f"has a NUL in {text!r}", "No container can be given one.")
    return _checked(interpolate(text, lookup, where=str(at)), at)


def _checked(filled: str, at: Place) -> str:
    """A variable of the process may hold any bytes, a container's definition only text. The value is not shown."""
    if not filled.isascii() and filled != filled.encode(errors="replace").decode():
        raise wrong(at, "has bytes that are no UTF-8", "Look at the values of the variables that stand there.")
    return filled
