"""`.dockerignore` as the docker command applies it: which paths of a context are left out.

Facts: moby/patternmatcher (patterns, what a parent's match means, ignorefile) and moby/go-archive (which ignored
directories are still entered). Paths and patterns are text with the bytes that are not UTF-8 as surrogates.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.errors import BadInput

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go's TrimSpace trims; Python's strip() takes the separators 1C to 1F too."""

_LONGEST_LINE = 64 * 1024

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

Matched = tuple[bool, ...]
"""For each pattern whether a directory, or one above it, matched; empty for the context itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One line, cleaned. `exception` is a line with `!`."""

    text: str
    exception: bool
    matches: Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """The patterns of one ignore file, in their order: the last that matches a path wins."""

    patterns: tuple[Pattern, ...] = ()

    def match(self, path: str, above: Matched = ()) -> tuple[bool, Matched]:
        """Whether `path` is ignored, and what to give as `above` for the paths right under it."""
        if not self.patterns:
            return False, ()
        ignored = False
        results = []
        for index, pattern in enumerate(self.patterns):
            matched = bool(above) and above[index]
            if not matched and pattern.exception == ignored:
                matched = pattern.matches(path)
            results.append(matched)
            if matched:
                ignored = not pattern.exception
        return ignored, tuple(results)

    def ignores(self, path: str) -> bool:
        """Whether `path` is ignored, itself or because of a directory above it."""
        above: Matched = ()
        ignored = False
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            ignored, above = self.match("/".join(parts[:depth]), above)
        return ignored

    def enters(self, directory: str) -> bool:
        """Whether an ignored directory is still searched: when an exception's text begins with it.

        That is the classic docker command's rule: `!**/kept` brings nothing back out of an ignored directory.
        """
        return any(one.exception and f"{one.text}/".startswith(f"{directory}/") for one in self.patterns)

    def but(self, *lines: str) -> Ignore:
        """The same with more lines at the end."""
        return Ignore(patterns=self.patterns + tuple(_pattern(line, "", 0) for line in lines))


def parse_dockerignore(content: bytes, *, file: str) -> Ignore:
    """The patterns in `content`. Raises BadInput naming file, line and pattern where docker would refuse it."""
    patterns = []
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if len(raw) >= _LONGEST_LINE:
            raise _unusable(file, number, "it is longer than 65535 bytes")
        if line := _cleaned(raw.removesuffix(b"\r").decode("utf-8", "surrogateescape")):
            patterns.append(_pattern(line, file, number))
    return Ignore(patterns=tuple(patterns))


def _cleaned(line: str) -> str:
    """The line as a pattern relative to the context; empty for a comment and for nothing."""
    text = "" if line.startswith("#") else line.strip(_SPACE)
    exception = text.startswith("!")
    if exception:
        text = text[1:].strip(_SPACE)
    if text:
        text = _clean_path(text)
        if len(text) > 1:
            text = text.removeprefix("/")
    return f"!{text}" if exception else text


def _clean_path(path: str) -> str:
    """Go's filepath.Clean; Python's normpath would keep a double slash at the start."""
    return posixpath.normpath(re.sub("^/+", "/", path))


def _pattern(line: str, file: str, number: int) -> Pattern:
    text = _clean_path(line.strip(_SPACE))
    if text == "!":
        raise _unusable(file, number, "a ! needs a pattern after it")
    exception = text.startswith("!")
    text = text.removeprefix("!")
    try:
        _check(text)
        return Pattern(text=text, exception=exception, matches=_matcher(text))
    except ValueError as error:
        raise _unusable(file, number, f"{line!r}: {error}") from error


def _unusable(file: str, number: int, why: str) -> BadInput:
    return BadInput(
        f"{file}:{number}: the pattern cannot be used: {why}",
        hint="docker refuses it too: escape a literal [ or \\ with a backslash, and close what is open.",
    )


def _check(pattern: str) -> None:
    """Go's filepath.Match on the pattern's form: classes are closed and not empty, escapes escape something."""
    index = 0
    while index < len(pattern):
        if pattern[index] == "[":
            index = _after_class(pattern, index + 1)
            continue
        if pattern[index] == "\\":
            index += 1
            if index == len(pattern):
                raise ValueError("nothing follows the last backslash")
        index += 1


def _after_class(pattern: str, index: int) -> int:
    index += pattern.startswith("^", index)
    ranges = 0
    while not (ranges and pattern.startswith("]", index)):
        index = _after_class_character(pattern, index)
        if pattern.startswith("-", index):
            index = _after_class_character(pattern, index + 1)
        ranges += 1
    return index + 1


def _after_class_character(pattern: str, index: int) -> int:
    if pattern[index : index + 1] in ("", "-", "]"):
        raise ValueError("a [ is not closed, or begins with - or ]")
    index += pattern[index] == "\\"
    if index + 1 >= len(pattern) or "\udc80" <= pattern[index] <= "\udcff":
        raise ValueError("a [ is not closed, or holds a byte that is not UTF-8")
    return index + 1


def _matcher(pattern: str) -> Callable[[str], bool]:
    """How moby compares: literally, by the text before a last `**` or after a first one, or by an expression."""
    kind, expression = _expression(pattern)
    if kind == "exact":
        return pattern.__eq__
    if kind == "prefix":
        start = pattern[:-2]
        return lambda path: path.startswith(start)
    if kind == "suffix":
        ending = pattern[2:]
        return lambda path: path.endswith(ending) or (ending[0] == "/" and path == ending[1:])
    compiled = re.compile("".join(_python(_without_surrogates(expression))), re.ASCII)
    return lambda path: compiled.match(_without_surrogates(path)) is not None


def _without_surrogates(text: str) -> str:
    """Go's expressions see each byte that is not UTF-8 as U+FFFD."""
    return text if text.isascii() else re.sub("[\udc80-\udcff]", "\ufffd", text)


def _expression(pattern: str) -> tuple[str, str]:
    """moby's kind of comparison, and the Go expression where that is `expression`."""
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
            index, translated = _python_class(expression, index)
            yield translated
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
