"""`${{ env "DECK_…" }}` in a decK file: rendered as decK does it, but that a value can never become YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from pipeline.errors import BadInput
from pipeline.model.secret_fields import Variable

Find = Callable[[str], str | None]
"""The text of a variable; None when it is not set."""

_TEMPLATE = re.compile(r'\$\{\{-?\s*env\s+"([^"]+)"((?:\s*\|\s*[a-zA-Z]+(?:\s+[0-9]+)?)*)\s*-?\}\}')
_HINT = 'Only ${{ env "DECK_NAME" }} with toInt, toFloat, toBool and indent is understood.'


class _Loader(yaml.SafeLoader):
    """Dates stay texts: no entity has one."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def loaded(text: str, *, file: str, find: Find) -> dict[str, Any]:
    """The file's content with its variables' values. A text that is nothing but a variable that is not set becomes a
    Variable; in the middle of another text, or where a number is wanted, a missing one is BadInput."""
    stem = "VARIABLE"
    while stem in text:
        stem += "X"
    found: list[tuple[str, str]] = []

    def mark(template: re.Match[str]) -> str:
        found.append((template[1], template[2]))
        return f"{stem}{len(found) - 1}END"

    marked = _TEMPLATE.sub(mark, text)
    if "${{" in marked:
        line = marked[: marked.index("${{")].count("\n") + 1
        raise BadInput(f"{file}, line {line}: an expression that is not understood", hint=_HINT)
    try:
        content = yaml.load(marked, Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        raise BadInput(f"{file} is not YAML: {' '.join(str(error).split())}", hint="Mend the file.") from error
    if not isinstance(content, dict) or "_format_version" not in content:
        raise BadInput(f"{file} has no _format_version: it is no decK state file", hint="Name a file of `invoke dump`.")
    pattern = re.compile(f"{stem}([0-9]+)END")
    filled = _filled(content, _Values(file, pattern, found, find))
    return dict(filled) if isinstance(filled, Mapping) else {}


class _Values:
    """What the marks in a text stand for."""

    def __init__(self, file: str, pattern: re.Pattern[str], found: list[tuple[str, str]], find: Find) -> None:
        self._file = file
        self._pattern = pattern
        self._found = found
        self._find = find

    def of(self, text: str) -> object:
        whole = self._pattern.fullmatch(text.rstrip("\n"))
        if whole is None:
            return self._pattern.sub(lambda mark: self._required(int(mark[1])), text)
        name, filters = self._found[int(whole[1])]
        value = self._find(name)
        if "toInt" in filters or "toFloat" in filters or "toBool" in filters:
            return self._converted(int(whole[1]), filters)
        if value is None:
            return Variable(name)
        # A block that ends in a line end gives its value one, however many it has.
        return value.rstrip("\n") + "\n" if text.endswith("\n") else value

    def _required(self, index: int) -> str:
        name = self._found[index][0]
        value = self._find(name)
        if value is None:
            raise BadInput(f"{self._file} wants the variable {name}, which is not set", hint=f"Set {name}.")
        return value

    def _converted(self, index: int, filters: str) -> object:
        text = self._required(index)
        try:
            if "toInt" in filters:
                return int(text)
            return float(text) if "toFloat" in filters else {"true": True, "false": False}[text.lower()]
        except (ValueError, KeyError) as error:
            name = self._found[index][0]
            raise BadInput(f"{self._file}: {name} is not what {filters.strip(' |')} takes", hint=_HINT) from error


def _filled(value: object, values: _Values) -> object:
    if isinstance(value, str):
        return values.of(value)
    if isinstance(value, dict):
        return {
            str(_filled(key, values) if isinstance(key, str) else key): _filled(one, values)
            for key, one in value.items()
        }
    return [_filled(one, values) for one in value] if isinstance(value, list) else value
