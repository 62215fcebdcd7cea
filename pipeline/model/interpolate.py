"""`${VAR}` in compose files, as compose fills it in; a secret stays a mark until its container is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pipeline.errors import BadInput
from pipeline.model.secret import Secret

Lookup = Callable[[str, bool], str | None]
"""The value of a variable, or None when it is unset; the flag says that the place has something for that case."""

_MARK = re.compile("\x00([A-Za-z_][A-Za-z0-9_]*)\x00")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")


def interpolate(text: str, lookup: Lookup, *, where: str) -> str:
    """`text` with $VAR, ${VAR}, ${VAR:-default}, ${VAR-default}, ${VAR:?message}, ${VAR?message}, ${VAR:+other},
    ${VAR+other} and $$ replaced, as compose does it: what is unset becomes empty, a default is interpolated itself, and
    only when it is needed. `lookup` is asked for every variable that stands in the text, needed or not.

    Raises BadInput, naming `where`, for what is required and missing, and for what compose would not take either.
    """
    return _fill(text, 0, lookup, where, inside=False)[0]


def secret_mark(name: str) -> str:
    """What stands for a secret's value in a definition. No argument and no variable can hold NULs."""
    return f"\x00{name}\x00"


class Marks(dict[str, Secret]):
    """Secrets that are their own marks: what `fill_secrets` fills with them stays as it was."""

    def __missing__(self, name: str) -> Secret:
        return Secret(secret_mark(name))


def secrets_in(text: str) -> tuple[str, ...]:
    return tuple(_MARK.findall(text))


def as_written(text: str) -> str:
    """A definition's text as it may be written down, in the syntax that `interpolate` reads: `${NAME}` where a secret
    goes, `$$` for a dollar sign."""
    return _MARK.sub(r"${\1}", text.replace("$", "$$"))


def fill_secrets(text: str, secrets: Mapping[str, Secret]) -> str:
    """The text that a container gets. Only platform drivers call this, right before they send it."""
    return _MARK.sub(lambda found: secrets[found[1]].reveal(), text)


def _fill(text: str, at: int, lookup: Lookup, where: str, *, inside: bool) -> tuple[str, int]:
    """Text from `at` filled in up to the end, or, inside braces, up to the closing one; and where that is."""
    done: list[str] = []
    depth = 0
    while at < len(text):
        char = text[at]
        if inside and depth == 0 and char == "}":
            break
        if char != "$":
            # Braces of a default's own, as in ${LIMITS:-{"rate": 5}}, are counted.
            depth += (char == "{") - (char == "}")
            done.append(char)
            at += 1
        elif text[at + 1 : at + 2] == "$":
            done.append("$")
            at += 2
        elif text[at + 1 : at + 2] == "{":
            value, at = _braced(text, at + 2, lookup, where)
            done.append(value)
        elif name := _NAME.match(text, at + 1):
            done.append(lookup(name[0], False) or "")
            at = name.end()
        else:
            raise _invalid(text, where)
    return "".join(done), at


def _braced(text: str, at: int, lookup: Lookup, where: str) -> tuple[str, int]:
    name = _NAME.match(text, at)
    if name is None:
        raise _invalid(text, where)
    at = name.end()
    operator = next((op for op in _OPERATORS if text.startswith(op, at)), "")
    value = lookup(name[0], bool(operator))
    there = value is not None and (bool(value) or not operator.startswith(":"))
    needed = there if operator.endswith("+") else not there
    word = ""
    if operator:
        word, at = _fill(text, at + len(operator), lookup if needed else _mention(lookup), where, inside=True)
    if text[at : at + 1] != "}":
        raise _invalid(text, where)
    if operator.endswith("?") and needed:
        raise BadInput(
            f"{where}: ${{{name[0]}}} is required: {as_written(word) or 'it is not set'}",
            hint=f"Set the environment variable {name[0]} and run this again.",
        )
    if operator and needed:
        return word, at + 1
    return ("" if operator.endswith("+") else value or ""), at + 1


def _mention(lookup: Lookup) -> Lookup:
    """Asks for what stands in a word that is not needed, and lets nothing in it be missing."""

    def mentioned(name: str, _: bool) -> str:
        return lookup(name, True) or "set"

    return mentioned


def _invalid(text: str, where: str) -> BadInput:
    return BadInput(
        f"{where}: {text!r} has a $ that starts no variable",
        hint="Write $$ for a dollar sign, ${NAME}, ${NAME:-default} or ${NAME:?message} for a variable.",
    )
