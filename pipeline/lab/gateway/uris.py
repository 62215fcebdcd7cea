"""Paths: how Kong normalises what clients send, joins it to a service's path and escapes it again."""

from __future__ import annotations

import re

_RESERVED = frozenset(b"!*'();:@&=+$,/?%#[]")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE = re.compile(rb"[^!#$&'()*+,/:;=?@\[\]A-Za-z0-9\-._~%]")


def normalised(path: bytes) -> bytes:
    """A path with needless escapes undone, dot segments resolved and repeated slashes merged (2.8)."""
    if b"%" in path:
        path = _ESCAPED.sub(_unescaped, path)
    if b"." not in path and b"//" not in path:
        return path
    kept: list[bytes] = []
    segments = path.split(b"/")
    for segment in segments[1:] if path.startswith(b"/") else segments:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    ends_as_folder = segments[-1] in (b"", b".", b"..")
    return b"/" + b"/".join(kept) + (b"/" if ends_as_folder and kept else b"")


def _unescaped(match: re.Match[bytes]) -> bytes:
    byte = int(match[1], 16)
    return match[0].upper() if byte in _RESERVED else bytes((byte,))


def escaped(path: bytes) -> bytes:
    """A path that is safe on a request line; escapes that are there stay."""
    return _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], path)


def without_leading_dots(rest: bytes) -> bytes:
    """What follows a stripped prefix may not climb out of the service's path."""
    if rest in (b".", b".."):
        return b""
    if rest.startswith(b"./"):
        return rest[2:]
    return rest[3:] if rest.startswith(b"../") else rest


def joined(base: bytes, rest: bytes, path: bytes, *, strip: bool, concatenates: bool) -> bytes:
    """The upstream's path: `base` is the service's, `rest` what follows the matched prefix, `path` the whole.

    `concatenates` is path_handling v1; v0 puts exactly one slash between the two.
    """
    if concatenates:
        if not strip:
            return base + path[1:]
        return base[:-1] + rest if base.endswith(b"/") and rest.startswith(b"/") else base + rest
    trimmed = base.removesuffix(b"/")
    if not strip:
        return base if path == b"/" else trimmed + path
    if rest:
        return trimmed + b"/" + rest.removeprefix(b"/")
    as_folder = len(path) > 1 and path.endswith(b"/")
    return trimmed + b"/" if as_folder or not trimmed else trimmed
