"""Documents that people wrote (manifest, settings) into structs: what does not fit is named with its whole path."""

from __future__ import annotations

import difflib
import re
from typing import Any, TypeVar

import msgspec

from pipeline.errors import BadInput

Kind = TypeVar("Kind")
_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_ITEM = "[...]"


def convert(content: object, kind: type[Kind], *, file: str, above: str = "", documented: str) -> Kind:
    """`content` (parsed JSON or YAML) as a `kind`. `above` is the path of `content` in the file, `documented` where its
    keys are listed. Raises BadInput naming file and path, and for an unknown key the known one that looks like it."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise _refused(str(error), content, kind, file, above, documented) from error


def _refused(message: str, content: object, kind: type, file: str, above: str, documented: str) -> BadInput:
    found = _MESSAGE.fullmatch(message)
    what, path = (found["what"], found["path"] or "") if found else (message, "")
    where = (above + _named(path, content, kind)).removeprefix(".")
    unknown = _UNKNOWN.fullmatch(what)
    if unknown is None:
        return BadInput(f"{file}: {where or 'the file'}: {what}", hint=documented)
    known = _known_keys(kind, path)
    close = difflib.get_close_matches(unknown[1], known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(sorted(known))}."
    return BadInput(f"{file}: {f'{where}.{unknown[1]}'.removeprefix('.')} is an unknown key", hint=hint)


def _named(path: str, content: object, kind: type) -> str:
    """The path with the key in place of its first `[...]`: the item of a mapping that does not fit by itself."""
    before, found, after = path.partition(_ITEM)
    if not found:
        return path
    keys = tuple(part for part in before.split(".") if part)
    items = _at(content, keys)
    wrong = (key for key, value in items.items() if not _fits(_with(content, keys, {key: value}), kind))
    return f"{before}.{next(wrong, _ITEM)}{after}"


def _at(content: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        content = content[key]
    return content


def _with(content: Any, keys: tuple[str, ...], collection: object) -> Any:
    """A copy of the document with another collection at `keys`."""
    if not keys:
        return collection
    return content | {keys[0]: _with(content[keys[0]], keys[1:], collection)}


def _fits(content: object, kind: type) -> bool:
    try:
        msgspec.convert(content, kind)
    except msgspec.ValidationError:
        return False
    return True


def _known_keys(kind: type, path: str) -> tuple[str, ...]:
    found: Any = msgspec.inspect.type_info(kind)
    for part in re.findall(r"\[\.\.\.\]|\[[0-9]+\]|[^.\[\]]+", path):
        found = _struct_in(found)
        if isinstance(found, msgspec.inspect.StructType):
            found = next(field.type for field in found.fields if field.encode_name == part)
        else:
            found = getattr(found, "value_type", None) or getattr(found, "item_type", found)
    found = _struct_in(found)
    return tuple(field.encode_name for field in getattr(found, "fields", ()))


def _struct_in(found: Any) -> Any:
    """The struct (or the collection) of a union: the part that can have keys."""
    if isinstance(found, msgspec.inspect.UnionType):
        return next((one for one in found.types if hasattr(one, "fields")), found.types[0])
    return found
