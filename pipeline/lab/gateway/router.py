"""Finds the route of a request as Kong 2.8 and 3.4 (traditional) do, by category, but by index and not one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.lab.gateway.index import Index, in_both, order_of
from pipeline.lab.gateway.rule import HEADER, HOST, METHOD, PATH, Asked, PathReader, Rule, rules_of, split_port
from pipeline.lab.gateway.schema import Entity

_HTTP_PROTOCOLS = frozenset({"http", "https", "grpc", "grpcs"})


class _Category:
    """All rules that look at the same things."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.size = 0
        self.by_host = Index[Rule]()
        self.by_path = Index[Rule]()
        self.by_header = Index[Rule]()
        self.by_method = Index[Rule]()

    @property
    def rank(self) -> tuple[int, int]:
        """Categories that look at more come first, then those with the weightier things."""
        return (-self.bits.bit_count(), -self.bits)

    def keys(self, rule: Rule) -> Iterator[tuple[Index[Rule], object]]:
        """Every index and key under which a rule stands."""
        for host in (*rule.hosts, *rule.wildcards):
            yield self.by_host, host
        if rule.path is not None:
            yield self.by_path, rule.path.text
        for name in {header.name for header in rule.headers}:
            yield self.by_header, name
        for method in rule.methods:
            yield self.by_method, method


class Router:
    """The routes that are served. Adding or removing one costs no more with many than with few."""

    def __init__(self, path_of: PathReader) -> None:
        self._path_of = path_of
        self._rules: dict[str, list[Rule]] = {}
        self._categories: dict[int, _Category] = {}
        self._ranked: list[_Category] = []
        self._prefix_lengths: dict[int, int] = {}
        self._lengths: list[int] = []
        self._prefixes = Index[Rule]()
        self._patterns = Index[Rule]()
        self._pattern_lengths: dict[int, int] = {}
        self._hosts = Index[Rule]()
        self._wildcards = Index[Rule]()
        self._headers = Index[Rule]()
        self._methods = Index[Rule]()

    def put(self, route: Entity, moment: float) -> None:
        """Serve a route, in place of what was served under its id."""
        self.remove(route["id"])
        if not _HTTP_PROTOCOLS.intersection(route["protocols"]):
            return
        rules = [rule for rule in rules_of(route, moment, self._path_of) if rule.bits]
        self._rules[route["id"]] = rules
        for rule in rules:
            self._add(rule)

    def remove(self, key: str) -> None:
        """Serve the route of this id no longer; nothing when it is not served."""
        for rule in self._rules.pop(key, ()):
            self._drop(rule)

    def find(self, asked: Asked) -> Rule | None:
        """The rule that serves a request."""
        if not asked.path:
            return None
        hits = _Hits(self, asked)
        start = next((at for at, one in enumerate(self._ranked) if one.bits == hits.bits), 0)
        if not hits.bits:
            return None
        for category in self._ranked[start:]:
            possible = hits.all_of(category)
            found = _first(in_both(hits.strongest(category), possible), asked) or _first(possible, asked)
            if found is not None:
                return found
        return None

    # -- what Hits asks

    def prefixes(self, path: bytes) -> Iterator[bytes]:
        """The plain paths that a request's path begins with, the longest first."""
        for length in self._lengths:
            if length <= len(path) and path[:length] in self._prefixes.lists:
                yield path[:length]

    def patterns(self, path: bytes) -> list[Rule]:
        """The rules whose regular expression matches, in order."""
        found: list[Rule] = []
        for length in self._pattern_lengths:
            for rule in self._patterns.get(path[:length]):
                if rule.path is not None and rule.path.split(path) is not None:
                    found.append(rule)
        return sorted(found, key=order_of)

    def has_host(self, host: str) -> bool:
        """Whether a route names exactly this host."""
        return host in self._hosts.lists

    def wildcards(self, asked: Asked) -> list[tuple[Rule, str]]:
        """The wildcard hosts that cover the request's, each with its first rule, in order."""
        if not self._wildcards.lists:
            return []
        found = [
            (self._wildcards.get(wildcard)[0], wildcard)
            for wildcard in covering(asked)
            if wildcard in self._wildcards.lists
        ]
        return sorted(found, key=lambda pair: pair[0].order)

    def header_names(self, asked: Asked) -> list[str]:
        """The headers of the request that routes look at, in the order of those routes."""
        found = [(self._headers.get(name)[0].order, name) for name in asked.headers if name in self._headers.lists]
        return [name for _, name in sorted(found)]

    def has_method(self, method: str) -> bool:
        """Whether a route names this method."""
        return method in self._methods.lists

    # -- keeping

    def _global_keys(self, rule: Rule) -> Iterator[tuple[Index[Rule], object]]:
        for host in rule.hosts:
            yield self._hosts, host
        for wildcard in rule.wildcards:
            yield self._wildcards, wildcard
        for name in {header.name for header in rule.headers}:
            yield self._headers, name
        for method in rule.methods:
            yield self._methods, method
        if rule.path is not None and rule.path.pattern is None:
            yield self._prefixes, rule.path.text
        elif rule.path is not None:
            yield self._patterns, rule.path.prefix

    def _add(self, rule: Rule) -> None:
        category = self._categories.get(rule.bits)
        if category is None:
            category = self._categories[rule.bits] = _Category(rule.bits)
            self._ranked = sorted(self._categories.values(), key=lambda one: one.rank)
        category.size += 1
        for index, key in (*category.keys(rule), *self._global_keys(rule)):
            index.add(key, rule)
        self._count(rule, 1)

    def _drop(self, rule: Rule) -> None:
        category = self._categories[rule.bits]
        category.size -= 1
        for index, key in (*category.keys(rule), *self._global_keys(rule)):
            index.remove(key, rule)
        if not category.size:
            del self._categories[rule.bits]
            self._ranked = sorted(self._categories.values(), key=lambda one: one.rank)
        self._count(rule, -1)

    def _count(self, rule: Rule, step: int) -> None:
        if rule.path is None:
            return
        plain = rule.path.pattern is None
        counts = self._prefix_lengths if plain else self._pattern_lengths
        length = len(rule.path.text if plain else rule.path.prefix)
        counts[length] = counts.get(length, 0) + step
        if not counts[length]:
            del counts[length]
        self._lengths = sorted(self._prefix_lengths, reverse=True)


class _Hits:
    """What of a request is named by any route at all, and the rules that this makes candidates."""

    def __init__(self, router: Router, asked: Asked) -> None:
        self._asked = asked
        self._headers = router.header_names(asked)
        self._wildcards = [name for _, name in router.wildcards(asked)]
        plain_host = router.has_host(asked.full_host) or router.has_host(asked.bare_host)
        self._wildcard = self._wildcards[0] if self._wildcards and not plain_host else None
        self._patterns = router.patterns(asked.path)
        self._prefixes = list(router.prefixes(asked.path))
        self.bits = (HEADER if self._headers else 0) | (METHOD if router.has_method(asked.method) else 0)
        self.bits |= HOST if plain_host or self._wildcard else 0
        self.bits |= PATH if self._patterns or self._prefixes else 0

    def strongest(self, category: _Category) -> list[Rule]:
        """The rules that Kong tries first: the smallest list of those that what was hit points to."""
        if category.bits & HEADER and self._headers:
            named = category.by_header.get(self._headers[0])
            if named:
                return named
        lists: list[list[Rule]] = []
        if category.bits & HOST:
            lists.append(category.by_host.get(self._wildcard or self._asked.host))
        if category.bits & PATH and (self._patterns or self._prefixes):
            lists.append(category.by_path.get(self._path_hit()))
        if category.bits & METHOD:
            lists.append(category.by_method.get(self._asked.method))
        return min((rules for rules in lists if rules), key=len, default=[])

    def all_of(self, category: _Category) -> list[Rule]:
        """Every rule of a category that can match, in order: by the narrowest thing that the category looks at."""
        choices: list[list[list[Rule]]] = []
        if category.bits & PATH:
            texts = {rule.path.text for rule in self._patterns if rule.path is not None} | set(self._prefixes)
            choices.append([category.by_path.get(text) for text in texts])
        if category.bits & HOST:
            hosts = {self._asked.bare_host, self._asked.full_host, *self._wildcards}
            choices.append([category.by_host.get(host) for host in hosts])
        if category.bits & HEADER:
            choices.append([category.by_header.get(name) for name in self._headers])
        if category.bits & METHOD:
            choices.append([category.by_method.get(self._asked.method)])
        return _united(min(choices, key=lambda lists: sum(map(len, lists))))

    def _path_hit(self) -> bytes:
        first = self._patterns[0].path if self._patterns else None
        return first.text if first is not None else self._prefixes[0]


def covering(asked: Asked) -> Iterator[str]:
    """Every wildcard that could cover the request's host."""
    for host in (asked.bare_host, asked.full_host):
        name, port = split_port(host)
        suffix = f":{port}" if port else ""
        for at, character in enumerate(name):
            if character == "." and at:
                yield f"*{name[at:]}{suffix}"
            if character == "." and at < len(name) - 1:
                yield f"{name[: at + 1]}*{suffix}"


def _united(lists: Iterable[list[Rule]]) -> list[Rule]:
    filled = [rules for rules in lists if rules]
    if len(filled) == 1:
        return filled[0]
    return sorted({rule.order: rule for rules in filled for rule in rules}.values(), key=order_of)


def _first(rules: Iterable[Rule], asked: Asked) -> Rule | None:
    return next((rule for rule in rules if rule.matches(asked)), None)
