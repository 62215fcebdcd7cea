"""YAML as this toolkit writes it: block style, sorted, every text but plain words in quotes. Same value, same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z_/-]*")
_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf")
_SCALARS = frozenset((str, int, float, bool, type(None)))
# YAML looks no further than 1024 characters for the colon after a key.
_LONGEST_KEY = 1000
_ESCAPED = "[^ !#-\\[\\]-~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class Raw(str):
    """Text that stands in the file as it is, as a block: a template that is rendered before the YAML is read. `clip`
    tells that what it is rendered to ends in a line end."""

    __slots__ = ("clip",)
    clip: bool

    def __new__(cls, text: str, *, clip: bool = False) -> Raw:
        made = super().__new__(cls, text)
        made.clip = clip
        return made


def yaml_text(value: Mapping[str, object]) -> str:
    return "\n".join(_mapping(value, "")) + "\n"


def _mapping(value: Mapping[str, object], indent: str) -> Iterator[str]:
    for key in sorted(value):
        text = _text(key)
        if len(text) < _LONGEST_KEY:
            yield from _entry(f"{indent}{text}:", value[key], indent)
        else:
            yield f"{indent}? {text}"
            yield from _entry(f"{indent}:", value[key], indent + "  ")


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    """A key with its value. Items of a list stand as deep as the key, fields of a mapping deeper."""
    if type(value) in _SCALARS:
        yield f"{head} {_scalar(value)}"
    elif isinstance(value, Raw):
        yield f"{head} {'|' if value.clip else '|-'}"
        yield f"{indent}  {value.replace('INDENT', str(len(indent) + 2))}"
    elif isinstance(value, Mapping) and value:
        yield head
        yield from _mapping(value, indent + "  ")
    elif isinstance(value, list | tuple) and value:
        yield head
        yield from _items(value, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _items(value: list[object] | tuple[object, ...], indent: str) -> Iterator[str]:
    for one in value:
        if isinstance(one, Mapping) and one:
            lines = _mapping(one, indent + "  ")
            yield f"{indent}- {next(lines)[len(indent) + 2 :]}"
            yield from lines
        elif isinstance(one, list | tuple) and one:
            lines = _items(one, indent + "  ")
            yield f"{indent}- {next(lines)[len(indent) + 2 :]}"
            yield from lines
        else:
            yield from _entry(f"{indent}-", one, indent)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = repr(value)
        return text.replace("e", ".0e", 1) if "e" in text and "." not in text else text
    if isinstance(value, Mapping):
        return "{}"
    return _text(str(value)) if not isinstance(value, list | tuple) else "[]"


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # decK renders `${{ … }}` before it reads the YAML; \x24 is a dollar sign to YAML alone.
    return '"' + _escaped().sub(_escape, text).replace("${{", "\\x24{{") + '"'


@cache
def _escaped() -> re.Pattern[str]:
    """Compiled when it is first used: a set of so many characters takes milliseconds."""
    return re.compile(_ESCAPED)


def _escape(found: re.Match[str]) -> str:
    return _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}"
