"""Finds the route or api of a request as 0.14 does, but by index (source: kong/router.lua and api_router.lua)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.lab.gateway.index import Index, in_both, order_of
from pipeline.lab.gateway.rule import Path, guessed_path
from pipeline.lab.gateway.schema import Entity

_HOST, _URI, _METHOD = 1, 2, 4
_CATEGORIES = (_HOST | _URI | _METHOD, _HOST | _URI, _HOST | _METHOD, _URI | _METHOD, _HOST, _URI, _METHOD)

Order = tuple[float, float, float, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OldRule:
    """A route with its service, or an api as both. `order` decides between rules that look at the same things."""

    order: Order
    route: Entity
    service: Entity
    hosts: frozenset[str]
    paths: tuple[Path, ...]
    methods: frozenset[str]

    @property
    def bits(self) -> int:
        """What the rule looks at."""
        return (_HOST if self.hosts else 0) | (_URI if self.paths else 0) | (_METHOD if self.methods else 0)

    def stripped(self, asked: _Asked) -> bytes | None:
        """What is left of a path without what the rule matches in it, with a slash; None when it does not match."""
        first = [path for path in self.paths if path.text == asked.hit_path]
        for path in (*first, *self.paths):
            found = path.split(asked.path)
            if found is not None and path.pattern is None:
                return found[1] if found[1].startswith(b"/") else b"/" + found[1]
            if found is not None:
                return b"/" + found[1].removeprefix(b"/")
        return None

    def matches(self, asked: _Asked) -> bool:
        """Whether everything that the rule looks at is as it wants."""
        if self.hosts and asked.hit_host not in self.hosts:
            return False
        if self.methods and asked.method not in self.methods:
            return False
        return not self.paths or self.stripped(asked) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request, and of what it asks for that which some rule names: its host or a wildcard, the path to try first."""

    method: str
    path: bytes
    hit_host: str
    wildcard: str | None
    hit_path: bytes


def old_rule(route: Entity, service: Entity, moment: float) -> OldRule:
    """The rule of a route and its service."""
    return OldRule(
        order=(-(route["regex_priority"] or 0), route["created_at"], moment, route["id"]),
        route=route,
        service=service,
        hosts=frozenset(route["hosts"] or ()),
        paths=tuple(_as_written(guessed_path(text), text) for text in dict.fromkeys(route["paths"] or ())),
        methods=frozenset(method.upper() for method in route["methods"] or ()),
    )


def _as_written(path: Path, text: str) -> Path:
    """A prefix is not normalised here."""
    return path if path.pattern is not None else Path(text.encode("utf-8", "surrogateescape"))


class OldRouter:
    """The rules that are served. Adding or removing one costs no more with many than with few."""

    def __init__(self) -> None:
        self._rules: dict[str, OldRule] = {}
        self._by_category = Index[OldRule]()
        self._hosts = Index[OldRule]()
        self._prefixes = Index[OldRule]()
        self._patterns = Index[OldRule]()
        self._methods = Index[OldRule]()
        self._lengths: dict[int, int] = {}

    def put(self, key: str, rule: OldRule) -> None:
        """Serve a rule, in place of what was served under its key."""
        self.remove(key)
        self._rules[key] = rule
        for index, place in self._places(rule):
            index.add(place, rule)
        for length in _lengths_of(rule):
            self._lengths[length] = self._lengths.get(length, 0) + 1

    def remove(self, key: str) -> None:
        """Serve the rule of this key no longer; nothing when it is not served."""
        rule = self._rules.pop(key, None)
        if rule is None:
            return
        for index, place in self._places(rule):
            index.remove(place, rule)
        for length in _lengths_of(rule):
            self._lengths[length] -= 1
            if not self._lengths[length]:
                del self._lengths[length]

    def find(self, method: str, path: bytes, host: str) -> tuple[OldRule, bytes | None] | None:
        """The rule that serves a request, and what is left of the path without what it matches."""
        name = host if ":" not in host[1:] else host[: host.index(":", 1)]
        wildcard = self._wildcard(name) if name not in self._hosts.lists else None
        hit_path = self._hit(path)
        bits = _HOST if name in self._hosts.lists or wildcard is not None else 0
        bits |= (_URI if hit_path is not None else 0) | (_METHOD if method in self._methods.lists else 0)
        asked = _Asked(
            method=method, path=path, hit_host=wildcard or name, wildcard=wildcard, hit_path=hit_path or path
        )
        for category in _CATEGORIES[_CATEGORIES.index(bits) :] if bits else ():
            possible = self._possible(category, asked)
            for rule in (*in_both(self._strongest(category, asked), possible), *possible):
                if rule.matches(asked):
                    return rule, rule.stripped(asked)
        return None

    def _strongest(self, category: int, asked: _Asked) -> list[OldRule]:
        """The rules that Kong tries first: the smallest list of those that what was hit points to."""
        keys = ((_HOST, asked.wildcard), (_URI, asked.hit_path), (_METHOD, asked.method))
        lists = [self._by_category.get((category, bit, key)) for bit, key in keys if category & bit]
        return min((rules for rules in lists if rules), key=len, default=[])

    def _possible(self, category: int, asked: _Asked) -> list[OldRule]:
        """Every rule of a category that can match, in order: by the narrowest thing that the category looks at."""
        keys = ((_HOST, asked.hit_host), (_METHOD, asked.method))
        lists = [self._by_category.get((category, bit, key)) for bit, key in keys if category & bit]
        if category & _URI:
            lists.append(self._with_path(category, asked.path))
        return min(lists, key=len)

    def _with_path(self, category: int, path: bytes) -> list[OldRule]:
        texts = [text for text in self._beginnings(path) if text in self._prefixes.lists]
        lists = [self._by_category.get((category, _URI, text)) for text in texts]
        matching = {rule.order: rule for rule, _ in self._matching(path) if rule.bits == category}
        lists.append(sorted(matching.values(), key=order_of))
        filled = [rules for rules in lists if rules]
        if len(filled) == 1:
            return filled[0]
        return sorted({rule.order: rule for rules in filled for rule in rules}.values(), key=order_of)

    def _wildcard(self, host: str) -> str | None:
        """The wildcard host that covers a host, the first rule's. Kong looks for it without an anchor on the left."""
        covering = [one for one in self._hosts.lists if isinstance(one, str) and "*" in one and _covers(one, host)]
        return min(covering, key=lambda one: self._hosts.get(one)[0].order, default=None)

    def _hit(self, path: bytes) -> bytes | None:
        """The path that is tried first: the very one, the first regular expression that matches, the longest prefix."""
        if path in self._prefixes.lists:
            return path
        matching = min(((rule.order, text) for rule, text in self._matching(path)), default=None)
        if matching is not None:
            return matching[1]
        return next((text for text in self._beginnings(path) if text in self._prefixes.lists), None)

    def _matching(self, path: bytes) -> Iterator[tuple[OldRule, bytes]]:
        """The rules with a regular expression that matches, and its text."""
        for text in self._beginnings(path):
            for rule in self._patterns.get(text):
                for one in rule.paths:
                    if one.pattern is not None and one.prefix == text and one.pattern.match(path):
                        yield rule, one.text

    def _beginnings(self, path: bytes) -> Iterator[bytes]:
        """What a path begins with, in the lengths that rules have, the longest first."""
        return (path[:length] for length in sorted(self._lengths, reverse=True) if length <= len(path))

    def _places(self, rule: OldRule) -> Iterator[tuple[Index[OldRule], object]]:
        """Every index and key under which a rule stands."""
        for host in rule.hosts:
            yield self._hosts, host
            yield self._by_category, (rule.bits, _HOST, host)
        for method in rule.methods:
            yield self._methods, method
            yield self._by_category, (rule.bits, _METHOD, method)
        for path in rule.paths:
            yield self._by_category, (rule.bits, _URI, path.text)
            if path.pattern is None:
                yield self._prefixes, path.text
        for prefix in {path.prefix for path in rule.paths if path.pattern is not None}:
            yield self._patterns, prefix


def _lengths_of(rule: OldRule) -> list[int]:
    return [len(path.text if path.pattern is None else path.prefix) for path in rule.paths]


def _covers(wildcard: str, host: str) -> bool:
    return re.search(".+".join(re.escape(part) for part in wildcard.split("*")) + "$", host) is not None
