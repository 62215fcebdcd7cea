"""The part of Go's text/template that compose files of Rancher use; what is not known here is an error, as there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_TAG = re.compile(r"\{\{(-?)(.*?)(-?)\}\}", re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|\(|\)|\||[^\s()|"`]+')
NO_TEMPLATING = "# notemplating"


class TemplateError(Exception):
    """The words are Go's in spirit, not to the letter."""


@dataclass(slots=True)
class _Block:
    """What stands between two tags: text, an expression, or a condition with its branches."""

    text: str = ""
    pipeline: str = ""
    branches: list[tuple[str, list[_Block]]] = field(default_factory=list)


def expanded(text: str, values: Mapping[str, Any]) -> str:
    """The text with its tags filled in. A first line `# notemplating` leaves everything as it is."""
    if text.split("\n", 1)[0].strip() == NO_TEMPLATING or "{{" not in text:
        return text
    tokens = list(_tokens(text))
    blocks, rest = _blocks(tokens, 0)
    if rest != len(tokens):
        raise TemplateError(f"template: unexpected {{{{{tokens[rest][1]}}}}}")
    return _filled(blocks, values)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position, trim = 0, False
    for tag in _TAG.finditer(text):
        plain = text[position : tag.start()]
        plain = plain.lstrip() if trim else plain
        yield "text", plain.rstrip() if tag[1] else plain
        if not tag[2].strip().startswith("/*"):
            yield "tag", tag[2].strip()
        position, trim = tag.end(), bool(tag[3])
    rest = text[position:]
    if "{{" in rest:
        raise TemplateError("template: unclosed action")
    yield "text", rest.lstrip() if trim else rest


def _blocks(tokens: Sequence[tuple[str, str]], at: int) -> tuple[list[_Block], int]:
    found: list[_Block] = []
    while at < len(tokens):
        kind, text = tokens[at]
        word = text.split(" ", 1)[0] if kind == "tag" else ""
        if word in ("end", "else"):
            return found, at
        if word == "if":
            block, at = _condition(tokens, at)
            found.append(block)
        elif kind == "text":
            found.append(_Block(text=text))
        else:
            found.append(_Block(pipeline=text))
        at += 1
    return found, at


def _condition(tokens: Sequence[tuple[str, str]], at: int) -> tuple[_Block, int]:
    block = _Block()
    test = tokens[at][1].removeprefix("if").strip()
    while True:
        inner, at = _blocks(tokens, at + 1)
        block.branches.append((test, inner))
        if at >= len(tokens):
            raise TemplateError("template: unexpected EOF")
        tag = tokens[at][1]
        if tag == "end":
            return block, at
        test = tag.removeprefix("else").strip().removeprefix("if").strip() or "true"


def _filled(blocks: Sequence[_Block], values: Mapping[str, Any]) -> str:
    parts = []
    for block in blocks:
        if block.pipeline:
            parts.append(_text(_evaluated(block.pipeline, values)))
        parts.append(block.text)
        for test, inner in block.branches:
            if _evaluated(test, values):
                parts.append(_filled(inner, values))
                break
    return "".join(parts)


def _evaluated(pipeline: str, values: Mapping[str, Any]) -> Any:
    words = _WORD.findall(pipeline)
    value, rest = _pipe(words, 0, values)
    if rest != len(words):
        raise TemplateError(f"template: unexpected {words[rest]!r} in {pipeline!r}")
    return value


def _pipe(words: Sequence[str], at: int, values: Mapping[str, Any]) -> tuple[Any, int]:
    piped: list[Any] = []
    while True:
        arguments: list[Any] = []
        name = words[at] if at < len(words) and words[at] in _FUNCTIONS else ""
        at += bool(name)
        while at < len(words) and words[at] not in ("|", ")"):
            value, at = _operand(words, at, values)
            arguments.append(value)
        if not name and len(arguments) != 1:
            raise TemplateError("template: missing value for command")
        try:
            result = _FUNCTIONS[name](*arguments, *piped) if name else arguments[0]
        except (TypeError, ValueError, IndexError) as error:
            raise TemplateError(f"template: wrong arguments for {name}") from error
        if at >= len(words) or words[at] == ")":
            return result, at
        piped, at = [result], at + 1


def _operand(words: Sequence[str], at: int, values: Mapping[str, Any]) -> tuple[Any, int]:
    word = words[at]
    if word == "(":
        value, after = _pipe(words, at + 1, values)
        if after >= len(words):
            raise TemplateError("template: unclosed left paren")
        return value, after + 1
    if word[0] in '"`':
        return re.sub(r"\\(.)", r"\1", word[1:-1]) if word[0] == '"' else word[1:-1], at + 1
    if word.startswith("."):
        return _field(word, values), at + 1
    if re.fullmatch(r"-?\d+", word):
        return int(word), at + 1
    if word in ("true", "false"):
        return word == "true", at + 1
    raise TemplateError(f'template: function "{word}" not defined')


def _field(path: str, values: Mapping[str, Any]) -> Any:
    found: Any = values
    for name in path.split(".")[1:]:
        found = found.get(name) if isinstance(found, Mapping) and name else found
    return found


def _text(value: Any) -> str:
    if value is None:
        return "<no value>"
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "contains": lambda part, text: part in text,
    "default": lambda other, value=None: value or other,
    "eq": lambda one, *others: any(one == other for other in others),
    "hasPrefix": lambda part, text: text.startswith(part),
    "hasSuffix": lambda part, text: text.endswith(part),
    "index": lambda found, *keys: found.get(keys[0]) if isinstance(found, Mapping) else found[keys[0]],
    "int": int,
    "lower": lambda text: str(text).lower(),
    "ne": lambda one, other: one != other,
    "not": lambda value: not value,
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "printf": lambda shape, *values: re.sub("%[vsd]", "%s", shape) % values,
    "quote": lambda value: '"' + _text(value).replace("\\", "\\\\").replace('"', '\\"') + '"',
    "replace": lambda old, new, text: text.replace(old, new),
    "split": lambda separator, text: {f"_{number}": part for number, part in enumerate(text.split(separator))},
    "splitList": lambda separator, text: text.split(separator),
    "trim": lambda text: str(text).strip(),
    "upper": lambda text: str(text).upper(),
}
