"""The expressions that moby makes of ignore patterns, which are Go's, as Python's."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ESCAPES = {
    "d": "0-9", "D": r"\D", "w": r"\w", "W": r"\W", "s": r"\t\n\f\r ", "S": r"\S\x0b",
    "a": r"\a", "f": r"\f", "n": r"\n", "r": r"\r", "t": r"\t", "v": r"\v",
}  # fmt: skip
_ANCHORS = {"A": r"\A", "z": r"\Z", "b": r"\b", "B": r"\B"}
_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ", "upper": "A-Z", "word": r"0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip


def translated(expression: str) -> str:
    """A Go expression in Python's syntax. Raises ValueError for what Go refuses."""
    return "".join(_python(without_surrogates(expression)))


def without_surrogates(text: str) -> str:
    """Go's expressions see each byte that is not UTF-8 as U+FFFD."""
    return text if text.isascii() else re.sub("[\udc80-\udcff]", "\ufffd", text)


def expression_of(pattern: str) -> tuple[str, str]:
    """moby's kind of comparison (`exact`, `prefix`, `suffix` or `expression`), and the Go expression for the last."""
    kind, parts, index, first = "exact", ["^"], 0, True
    while index < len(pattern):
        character, index = pattern[index], index + 1
        if character == "*" and pattern.startswith("*", index):
            index += 2 if pattern.startswith("/", index + 1) else 1
            last = index == len(pattern)
            kind = "suffix" if first else "prefix" if last and kind == "exact" else "expression"
            parts.append(".*" if last else "(.*/)?")
        elif character in "*?[]\\":
            kind = "expression"
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(character, character))
            if character == "\\":
                parts.append(pattern[index])
                index += 1
        else:
            parts.append(f"\\{character}" if character in ".+()|{}$" else character)
        first = False
    return kind, "".join([*parts, "$"])


def _python(expression: str) -> Iterator[str]:
    """A Go expression in Python's syntax: they differ in classes, in some escapes and in `$`."""
    index = 0
    while index < len(expression):
        character, index = expression[index], index + 1
        if character == "[":
            index, one = _python_class(expression, index)
            yield one
        elif character == "\\":
            character, index = expression[index], index + 1
            yield _ANCHORS.get(character) or f"[{_escaped(character)}]"
        elif character == "$":
            yield r"\Z"
        else:
            yield character


def _python_class(expression: str, index: int) -> tuple[int, str]:
    negated = expression.startswith("^", index)
    index += negated
    parts: list[str] = []
    while not (parts and expression.startswith("]", index)):
        named = re.compile(r"\[:(\w*):\]").match(expression, index)
        if named and named[1] not in _POSIX:
            raise ValueError(f"the class {named[0]} is unknown")
        if named:
            parts.append(_POSIX[named[1]])
            index = named.end()
            continue
        index, low = _class_character(expression, index)
        if expression.startswith("-", index) and not expression.startswith("]", index + 1):
            index, high = _class_character(expression, index + 1)
            if not (low[0] == high[0] == "" and low[1] <= high[1]):
                raise ValueError("a range in [] runs backwards")
            parts.append(f"{_literal(low[1])}-{_literal(high[1])}")
        else:
            parts.append(low[0] or _literal(low[1]))
    return index + 1, f"[{'^' * negated}{''.join(parts)}]"


def _class_character(expression: str, index: int) -> tuple[int, tuple[str, str]]:
    """The next index, and the character as a set of its own (`\\d`) or as itself."""
    if index >= len(expression):
        raise ValueError("a [ is not closed")
    character = expression[index]
    if character != "\\":
        return index + 1, ("", character)
    escaped = expression[index + 1]
    return index + 2, (_escaped(escaped), escaped) if escaped.isalnum() else ("", escaped)


def _escaped(character: str) -> str:
    """What an escaped character stands for inside of a class; Go refuses the letters that mean nothing."""
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isascii() and not character.isalnum():
        return _literal(character)
    raise ValueError(f"\\{character} means nothing")


def _literal(character: str) -> str:
    return f"\\U{ord(character):08x}"
