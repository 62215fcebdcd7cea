"""One route as the router sees it: a rule with at most one path, its place in the order, and whether it matches."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.lab.gateway.rules import is_plain_path, python_pattern
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.uris import normalised, without_leading_dots

HOST, HEADER, PATH, METHOD = 0x40, 0x20, 0x10, 0x08
_REGEX, _PLAIN_HOSTS, _WILDCARD_PORT = 0x01, 0x02, 0x04

Order = tuple[int, int, int, int, int, float, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the router looks at in a request. `path` is normalised; header names and values are in lower case."""

    method: str
    path: bytes
    host: str
    headers: Mapping[str, tuple[str, ...]]
    port: str = "80"

    @property
    def bare_host(self) -> str:
        """The host without a port."""
        return split_port(self.host)[0]

    @property
    def full_host(self) -> str:
        """The host with its port, given or not."""
        name, port = split_port(self.host)
        return f"{name}:{port or self.port}"


def split_port(host: str) -> tuple[str, str]:
    """A host's name and port; the port is empty when there is none."""
    if host.startswith("["):
        name, bracket, rest = host.partition("]")
        return name + bracket, rest[1:] if rest.startswith(":") else ""
    name, _, port = host.partition(":")
    return (name, port) if port.isdigit() else (host, "")


@dataclass(frozen=True, slots=True)
class Path:
    """A route's path: `text` is the prefix, or (with a pattern) the regular expression as it was written."""

    text: bytes
    pattern: re.Pattern[bytes] | None = None
    prefix: bytes = b""

    def split(self, path: bytes) -> tuple[bytes, bytes] | None:
        """The matched part of a request's path and what follows it, or None."""
        if self.pattern is None:
            return (self.text, path[len(self.text) :]) if path.startswith(self.text) else None
        found = self.pattern.match(path)
        return (path[: found.end()], path[found.end() :]) if found else None


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """A route's condition on one header: one of the values, or a pattern."""

    name: str
    values: frozenset[str]
    pattern: re.Pattern[str] | None

    def matches(self, sent: tuple[str, ...]) -> bool:
        """Whether any of the values that were sent will do."""
        return any(value in self.values or (self.pattern is not None and self.pattern.search(value)) for value in sent)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """One route with one of its paths. `bits` say what it looks at; rules with the same bits are a category."""

    route: Entity
    order: Order
    bits: int
    hosts: frozenset[str]
    wildcards: tuple[str, ...]
    headers: tuple[HeaderRule, ...]
    path: Path | None
    methods: frozenset[str]

    def matches(self, asked: Asked) -> bool:
        """Whether everything that the rule looks at is as it wants."""
        if self.bits & HOST and not self._host_matches(asked):
            return False
        if self.bits & METHOD and asked.method not in self.methods:
            return False
        if self.path is not None and self.path.split(asked.path) is None:
            return False
        return all(header.matches(asked.headers.get(header.name, ())) for header in self.headers)

    def _host_matches(self, asked: Asked) -> bool:
        if asked.bare_host in self.hosts or asked.full_host in self.hosts:
            return True
        return any(wildcard_matches(wildcard, asked) for wildcard in self.wildcards)

    def parts(self, path: bytes) -> tuple[bytes | None, bytes]:
        """The matched prefix (None without a path) and what follows it."""
        found = self.path.split(path) if self.path is not None else None
        if found is None:
            return None, path[1:]
        return found[0], without_leading_dots(found[1])


def wildcard_matches(wildcard: str, asked: Asked) -> bool:
    """Whether `*.a.com` or `a.*` covers the request's host; one with a port looks at the port too."""
    name, port = split_port(wildcard)
    host = asked.full_host if port else asked.bare_host
    if wildcard.startswith("*"):
        suffix = wildcard[1:]
        return host.endswith(suffix) and len(host) > len(suffix)
    prefix = name[:-1]
    bare, given = split_port(host)
    return bare.startswith(prefix) and len(bare) > len(prefix) and (not port or given == port)


def rules_of(route: Entity, moment: float, path_of: PathReader) -> list[Rule]:
    """The rules of a route: one for each path, or one when it has none."""
    paths = list(dict.fromkeys(route.get("paths") or ())) or [None]
    return [_rule(route, moment, path, index, path_of) for index, path in enumerate(paths)]


def _rule(route: Entity, moment: float, path_text: str | None, index: int, path_of: PathReader) -> Rule:
    named = route.get("hosts") or ()
    plain = frozenset(host for host in named if "*" not in host)
    wildcards = tuple(host for host in named if "*" in host)
    headers = tuple(_header_rule(name, values) for name, values in (route.get("headers") or {}).items())
    path = path_of(path_text) if path_text is not None else None
    methods = frozenset(route.get("methods") or ())
    bits = (HOST if named else 0) | (HEADER if headers else 0) | (PATH if path else 0) | (METHOD if methods else 0)
    weight = _REGEX if path is not None and path.pattern is not None else 0
    if plain and not wildcards:
        weight |= _PLAIN_HOSTS
    if any(split_port(host)[1] for host in wildcards):
        weight |= _WILDCARD_PORT
    length = len((path_text or "").encode("utf-8", "surrogateescape")) if path and path.pattern is None else 0
    priority = (route.get("regex_priority") or 0) if weight & _REGEX else 0
    order = (-weight, -len(headers), -priority, -length, route["created_at"], moment, route["id"], index)
    return Rule(
        route=route,
        order=order,
        bits=bits,
        hosts=plain,
        wildcards=wildcards,
        headers=headers,
        path=path,
        methods=methods,
    )


def _header_rule(name: str, values: list[str]) -> HeaderRule:
    pattern = None
    if len(values) == 1 and values[0].startswith("~*"):
        # What is no regular expression matches nothing: Kong logs it and goes on.
        with contextlib.suppress(re.error):
            pattern = re.compile(python_pattern(values[0][2:]))
    return HeaderRule(name.lower(), frozenset(value.lower() for value in values), pattern)


PathReader = Callable[[str], Path]


def guessed_path(text: str) -> Path:
    """A prefix, or a regular expression when it has a character that no plain path has (2.8)."""
    raw = text.encode("utf-8", "surrogateescape")
    return Path(normalised(raw)) if is_plain_path(text) else _pattern(raw, text)


def marked_path(text: str) -> Path:
    """A prefix, or a regular expression after `~` (since 3.0)."""
    raw = text.encode("utf-8", "surrogateescape")
    return _pattern(raw, text[1:]) if text.startswith("~") else Path(normalised(raw))


def _pattern(text: bytes, pattern: str) -> Path:
    """A regular expression, compiled, with the literal text that a request has to begin with."""
    raw = pattern.encode("utf-8", "surrogateescape")
    return Path(text, re.compile(python_pattern(pattern).encode("utf-8", "surrogateescape")), _literal_prefix(raw))


def _literal_prefix(pattern: bytes) -> bytes:
    if b"|" in pattern:
        return b""
    literal = re.match(rb"[A-Za-z0-9\-_~/%]*", pattern)
    prefix = literal[0] if literal else b""
    follows = pattern[len(prefix) : len(prefix) + 1]
    return prefix[:-1] if follows in (b"*", b"?", b"{") else prefix
