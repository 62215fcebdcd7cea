"""`.dockerignore` as the docker command applies it: which paths of a context are left out.

Facts: moby/patternmatcher (patterns, what a parent's match means, ignorefile) and moby/go-archive (which ignored
directories are still entered). Paths and patterns are text with the bytes that are not UTF-8 as surrogates.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import BadInput
from pipeline.model.go_expression import expression_of, translated, without_surrogates

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go's TrimSpace trims; Python's strip() takes the separators 1C to 1F too."""

_LONGEST_LINE = 64 * 1024

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

    def under(self, above: Matched) -> tuple[bool, Matched]:
        """What `match` gives for every path right under `above` that no pattern matches itself."""
        ignored = False
        for pattern, matched in zip(self.patterns, above, strict=False):
            if matched:
                ignored = not pattern.exception
        return ignored, above or (False,) * len(self.patterns)

    def suspects(self) -> Callable[[str, str], object]:
        """A cheap test of a path below the context's first level, given its last part and the whole of it: false only
        where no pattern matches it itself. One set look-up and at most two expressions, however many patterns there
        are."""
        exact: set[str] = set()
        names: list[str] = []
        paths: list[str] = []
        for pattern in self.patterns:
            _sort(pattern.text, exact, names, paths)
        by_name, by_path = _any_of(names), _any_of(paths)
        if not paths:
            return lambda name, path: path in exact or by_name(name) or not path.isascii()
        return lambda name, path: path in exact or by_name(name) or by_path(path) or not path.isascii()

    def ignores(self, path: str) -> bool:
        """Whether `path` is ignored, itself or because of a directory above it."""
        above: Matched = ()
        ignored = False
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            ignored, above = self.match("/".join(parts[:depth]), above)
        return ignored

    def takes_away(self, path: str) -> bool:
        """Whether command and engine hold the Dockerfile or the ignore file at `path` for ignored: of the directories
        above it, a pattern is compared only with the one that is as deep as itself (moby's older Matches)."""
        taken = False
        folders = path.split("/")[:-1]
        for pattern in self.patterns:
            depth = pattern.text.count("/") + 1
            if pattern.matches(path) or (depth <= len(folders) and pattern.matches("/".join(folders[:depth]))):
                taken = not pattern.exception
        return taken

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
    kind, expression = expression_of(pattern)
    if kind == "exact":
        return pattern.__eq__
    if kind == "prefix":
        start = pattern[:-2]
        return lambda path: path.startswith(start)
    if kind == "suffix":
        ending = pattern[2:]
        return lambda path: path.endswith(ending) or (ending[0] == "/" and path == ending[1:])
    compiled = re.compile(translated(expression), re.ASCII)
    return lambda path: compiled.match(without_surrogates(path)) is not None


def _sort(pattern: str, exact: set[str], names: list[str], paths: list[str]) -> None:
    """Adds to one of three what a path below the first level has to be for `pattern` to match it: the path itself, or
    an expression for its last part or for the whole."""
    start, _, last = pattern.rpartition("/")
    kind, expression = expression_of(pattern)
    is_plain = not re.search(r"\*\*|[\[\\]", last)  # a class may match a slash
    if kind == "exact":
        exact.add(pattern)
    elif is_plain and not start:
        return  # only names of the first level
    elif is_plain and start == "**":
        last_kind, last_expression = expression_of(last)
        names.append(re.escape(last) + r"\Z" if last_kind == "exact" else translated(last_expression))
    elif kind == "prefix":
        paths.append(re.escape(pattern[:-2]))
    elif kind == "suffix":
        paths.append(f"(?s:.*){re.escape(pattern[2:].removeprefix('/'))}\\Z")
    else:
        paths.append(translated(expression))


def _any_of(expressions: list[str]) -> Callable[[str], object]:
    return re.compile("|".join(f"(?:{one})" for one in expressions or ["(?!)"]), re.ASCII).match
