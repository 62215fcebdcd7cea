"""The rules of Kong's schemas, with its exact messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pipeline.lab.gateway.schema import Rule
from pipeline.lab.gateway.uris import normalised

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9.\-_~\u0080-\U0010ffff]*")
_SERVICE_PATH = re.compile(r"/[A-Za-z0-9.\-_~/%:@!$&'()*+,;=]*")
_PLAIN_PATH = re.compile(r"[a-zA-Z0-9.\-_~/%]*")
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_HOST_NAME = re.compile(r"[A-Za-z0-9\-_.]+")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


def is_uuid(text: object) -> bool:
    """Whether a text is a uuid in its long form, in either case."""
    return isinstance(text, str) and UUID.fullmatch(text) is not None


def between(low: int, high: int) -> Rule:
    """A number's closed range."""
    return Rule(
        lambda value: None if low <= value <= high else f"value should be between {low} and {high}",
        "between",
        [low, high],
    )


def greater_than(low: int) -> Rule:
    """An open lower bound."""
    return Rule(lambda value: None if value > low else f"value must be greater than {low}", "gt", low)


def one_of(*choices: Any) -> Rule:
    """A closed list of values."""
    message = "expected one of: " + ", ".join(str(choice) for choice in choices)
    return Rule(lambda value: None if value in choices else message, "one_of", list(choices))


def null_only(message: str = "value must be null") -> Rule:
    """Only null is allowed here."""
    return Rule(lambda value: None if value is None else message, "eq", None)


def length_min(size: int) -> Rule:
    """A lower bound on the length."""
    return Rule(lambda value: None if len(value) >= size else f"length must be at least {size}", "len_min", size)


NOT_EMPTY = Rule(length_min(1).check)
"""As length_min(1), where Kong's own description does not mention it."""


def starts_with(prefix: str) -> Rule:
    """A text's beginning."""
    return Rule(
        lambda value: None if value.startswith(prefix) else f"should start with: {prefix}", "starts_with", prefix
    )


NO_EMPTY_SEGMENTS = Rule(
    lambda value: "must not have empty segments" if "//" in value else None,
    "match_none",
    [{"pattern": "//", "err": "must not have empty segments"}],
)

UPPER_CASE = Rule(lambda value: None if re.fullmatch(r"[A-Z]+", value) else f"invalid value: {value}", "match", "^%u+$")


def invalid_utf8_at(text: str) -> int | None:
    """The 1-based byte position of the first byte that is not UTF-8 (they are kept as surrogates), or None."""
    for index, character in enumerate(text):
        if "\udc80" <= character <= "\udcff":
            return len(text[:index].encode("utf-8")) + 1
    return None


def _utf8_name(value: str) -> str | None:
    position = invalid_utf8_at(value)
    if position is not None:
        return f"invalid utf-8 character sequence detected at position {position}"
    if _NAME.fullmatch(value):
        return None
    return f"invalid value '{value}': the only accepted ascii characters are alphanumerics or ., -, _, and ~"


NAME = Rule(_utf8_name)


def _tag_of(characters: re.Pattern[str]) -> Rule:
    def check(value: str) -> str | None:
        if invalid_utf8_at(value) is None and characters.fullmatch(value):
            return None
        return f"invalid tag '{value}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"

    return Rule(check)


TAG = _tag_of(re.compile(r"[!-+\-.0-~\u0080-\U0010ffff]*"))
SPACED_TAG = _tag_of(re.compile(r"[ !-+\-.0-~\u0080-\U0010ffff]*"))


def bad_escape(path: str) -> str | None:
    """The first `%` of a path that begins no escape, with what follows it; None when there is none."""
    rest = re.sub(r"%[0-9A-Fa-f]{2}", "___", path)
    start = rest.find("%")
    return rest[start : start + 3] if start >= 0 else None


def _escape_violation(path: str) -> str | None:
    wrong = bad_escape(path)
    return f"invalid url-encoded value: '{wrong}'" if wrong is not None else None


def _service_path(value: str) -> str | None:
    if not _SERVICE_PATH.fullmatch(value):
        return f"invalid path: '{value}' (characters outside of the reserved list of RFC 3986 found)"
    return _escape_violation(value)


SERVICE_PATH = Rule(_service_path)


def is_plain_path(path: str) -> bool:
    """Whether a route's path is a prefix; anything else is a regular expression (2.8)."""
    return _PLAIN_PATH.fullmatch(path) is not None


def python_pattern(pattern: str) -> str:
    """A PCRE pattern in Python's spelling."""
    return re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern)


_PCRE_WORDS: Sequence[tuple[str, str]] = (
    ("missing ), unterminated subpattern", 'missing ) in "{0}"'),
    ("unterminated character set", 'missing terminating ] for character class in "{0}"'),
    ("nothing to repeat", 'nothing to repeat in "{0}" at "{1}"'),
    ("multiple repeat", 'nothing to repeat in "{0}" at "{1}"'),
    ("unbalanced parenthesis", 'unmatched parentheses in "{0}" at "{1}"'),
    ("bad escape (end of pattern)", '\\ at end of pattern in "{0}"'),
    ("bad character range", 'range out of order in character class in "{0}" at "{1}"'),
)


def _route_path(value: str) -> str | None:
    return _escape_violation(value) if is_plain_path(value) else _bad_regex(value)


def _marked_route_path(value: str) -> str | None:
    """Since 3.0 a regular expression is marked by `~`, and a prefix has to be in its normal form."""
    bad_escape = _escape_violation(value) if _SERVICE_PATH.fullmatch(value.removeprefix("~")) else None
    if bad_escape is not None or value.startswith("~"):
        return bad_escape or _bad_regex(value[1:])
    normal = normalised(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
    return None if value == normal else f"non-normalized path, consider use '{normal}' instead"


def _bad_regex(value: str) -> str | None:
    words = pcre_error(value)
    return f"invalid regex: '{value}' (PCRE returned: {words})" if words is not None else None


def pcre_error(pattern: str) -> str | None:
    """What PCRE says of a regular expression that is none; None for one that is."""
    try:
        # Kong matches bytes.
        re.compile(python_pattern(pattern).encode("utf-8", "surrogateescape"))
    except re.error as error:
        words = next((there for ours, there in _PCRE_WORDS if error.msg.startswith(ours)), error.msg + ' in "{0}"')
        return "pcre_compile() failed: " + words.format(pattern, pattern[error.pos or 0 :])
    return None


ROUTE_PATH = Rule(_route_path)
MARKED_ROUTE_PATH = Rule(_marked_route_path)
MARKED_OR_SLASH = Rule(
    lambda value: None if value.startswith(("/", "~/")) else "should start with: / (fixed path) or ~/ (regex path)",
    "match_any",
    {"patterns": ["^/", "^~/"], "err": "should start with: / (fixed path) or ~/ (regex path)"},
)


def is_host(text: str) -> bool:
    """Whether a text is an IPv4 address or made of the characters of a host name."""
    if _IPV4.fullmatch(text):
        return all(int(part) < 256 for part in text.split("."))
    return _HOST_NAME.fullmatch(text) is not None


def _service_host(value: str) -> str | None:
    if _IPV6.fullmatch(value) or re.fullmatch(r"\[[0-9A-Fa-f:.]+\]", value):
        return None if value.count(":") > 1 else "must not have a port"
    name, colon, port = value.rpartition(":")
    if colon and is_host(name) and port.isdigit():
        return "must not have a port"
    return None if is_host(value) else f"invalid value: {value}"


SERVICE_HOST = Rule(_service_host)

_LABEL_WILDCARD = re.compile(r"\*\.[^*]*|[^*]*\.\*|[^*]*")

ONE_WILDCARD = Rule(
    lambda value: "invalid wildcard: must have at most one wildcard" if value.count("*") > 1 else None,
    "match_all",
    [{"pattern": "^[^*]*%*?[^*]*$", "err": "invalid wildcard: must have at most one wildcard"}],
)
WILDCARD_AT_END = Rule(
    lambda value: (
        None if _LABEL_WILDCARD.fullmatch(value) else "invalid wildcard: must be placed at leftmost or rightmost label"
    ),
    "match_any",
    {
        "patterns": ["^%*%.", "%.%*$", "^[^*]*$"],
        "err": "invalid wildcard: must be placed at leftmost or rightmost label",
    },
)


def _route_host(value: str) -> str | None:
    bare = value.replace("*", "abc", 1)
    if re.fullmatch(r"\[[0-9A-Fa-f:.]+\](?::\d+)?", bare) or (_IPV6.fullmatch(bare) and bare.count(":") > 1):
        return None
    name, colon, port = bare.rpartition(":")
    if colon and port.isdigit() and int(port) < 65536:
        bare = name
    return None if is_host(bare) else f"invalid hostname: {value}"


ROUTE_HOST = Rule(_route_host)

NOT_HOST_HEADER = Rule(
    lambda value: (
        "cannot contain 'host' header, which must be specified in the 'hosts' attribute"
        if value.lower() == "host"
        else None
    ),
    "match_none",
    [
        {
            "pattern": "^[Hh][Oo][Ss][Tt]$",
            "err": "cannot contain 'host' header, which must be specified in the 'hosts' attribute",
        }
    ],
)
