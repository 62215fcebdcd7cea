"""The router against a naive one that looks at every rule, and with very many routes."""

from __future__ import annotations

import re
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lab.gateway.router import Router
from pipeline.lab.gateway.rule import HEADER, HOST, METHOD, PATH, Asked, Rule, guessed_path, rules_of, split_port

_PATHS = ["/", "/a", "/a/b", "/ab", "/a/b/c", "/a/\\d+", "/a/(b|c)", "/a/b.*$", "/%61", "/b"]
_HOSTS = ["x.com", "y.com", "x.com:80", "x.com:81", "*.x.com", "*.com", "x.*", "a.x.com", "*.x.com:81"]
_ASKED_HOSTS = ["x.com", "x.com:80", "x.com:81", "X.COM", "a.x.com", "b.a.x.com", "a.x.com:81", "x.org", "z", ""]


def route(number: int, **fields: Any) -> dict[str, Any]:
    """A route with Kong's defaults."""
    empty = dict.fromkeys(("hosts", "paths", "methods", "headers"))
    return {
        **empty,
        "id": f"{number:08d}-0000-4000-8000-000000000000",
        "protocols": ["http", "https"],
        "regex_priority": 0,
        "created_at": 1000 + number,
        **fields,
    }


def filled_router(routes: list[dict[str, Any]]) -> Router:
    router = Router(guessed_path)
    for one in routes:
        router.put(one, float(one["created_at"]))
    return router


class Naive:
    """Kong's algorithm with a loop where the router has an index."""

    def __init__(self, routes: list[dict[str, Any]]) -> None:
        rules = [rule for one in routes for rule in rules_of(one, float(one["created_at"]), guessed_path) if rule.bits]
        self.rules = sorted(rules, key=lambda rule: rule.order)

    def find(self, asked: Asked) -> Rule | None:
        hits = self.hits(asked)
        bits = sum(bit for bit, hit in hits.items() if hit is not None)
        categories = sorted({rule.bits for rule in self.rules}, key=lambda bits: (-bits.bit_count(), -bits))
        start = categories.index(bits) if bits in categories else 0
        for category in categories[start:] if bits else []:
            everything = [rule for rule in self.rules if rule.bits == category]
            for rule in (*self.reduced(everything, category, hits), *everything):
                if rule.matches(asked):
                    return rule
        return None

    def hits(self, asked: Asked) -> dict[int, Any]:
        full, bare = f"{split_port(asked.host)[0]}:{split_port(asked.host)[1] or 80}", split_port(asked.host)[0]
        plain = {host for rule in self.rules for host in rule.hosts}
        host = asked.host if full in plain or bare in plain else None
        if host is None:
            wildcards = [wildcard for rule in self.rules for wildcard in rule.wildcards]
            host = next((wildcard for wildcard in wildcards if self.covers(wildcard, bare, full)), None)
        names = [header.name for rule in self.rules for header in rule.headers]
        paths = [rule.path for rule in self.rules if rule.path is not None]
        patterns = [path.text for path in paths if path.pattern is not None and path.split(asked.path)]
        prefixes = [path.text for path in paths if path.pattern is None and asked.path.startswith(path.text)]
        path = patterns[0] if patterns else max(prefixes, key=len, default=None)
        method = asked.method if any(asked.method in rule.methods for rule in self.rules) else None
        return {HOST: host, HEADER: next((n for n in names if n in asked.headers), None), PATH: path, METHOD: method}

    def covers(self, wildcard: str, bare: str, full: str) -> bool:
        pattern = re.escape(wildcard).replace("\\*", ".+")
        if split_port(wildcard)[1]:
            return re.fullmatch(pattern, full) is not None
        return re.fullmatch(pattern, bare) is not None

    def reduced(self, rules: list[Rule], category: int, hits: dict[int, Any]) -> list[Rule]:
        def named(bit: int, rule: Rule) -> bool:
            if bit == HOST:
                return hits[bit] in rule.hosts or hits[bit] in rule.wildcards
            if bit == HEADER:
                return any(header.name == hits[bit] for header in rule.headers)
            if bit == PATH:
                return rule.path is not None and rule.path.text == hits[bit]
            return hits[bit] in rule.methods

        lists = {
            bit: [rule for rule in rules if named(bit, rule)]
            for bit in (HOST, HEADER, PATH, METHOD)
            if category & bit and hits[bit] is not None
        }
        if lists.get(HEADER):
            return lists[HEADER]
        return min((lists[bit] for bit in (HOST, PATH, METHOD) if lists.get(bit)), key=len, default=[])


_route_fields = st.fixed_dictionaries(
    {},
    optional={
        "paths": st.lists(st.sampled_from(_PATHS), min_size=1, max_size=3),
        "hosts": st.lists(st.sampled_from(_HOSTS), min_size=1, max_size=2),
        "methods": st.lists(st.sampled_from(["GET", "PUT"]), min_size=1, max_size=2, unique=True),
        "headers": st.dictionaries(
            st.sampled_from(["x-a", "X-B"]), st.lists(st.sampled_from(["1", "2", "~*^[12]$"]), min_size=1, max_size=2)
        ),
        "regex_priority": st.integers(0, 2),
        "created_at": st.integers(1, 3),
    },
)
_requests = st.builds(
    Asked,
    method=st.sampled_from(["GET", "PUT", "POST"]),
    path=st.sampled_from([b"/", b"/a", b"/a/b", b"/a/b/c", b"/a/7", b"/abc", b"/b", b"/zzz", b"/a/c"]),
    host=st.sampled_from(_ASKED_HOSTS),
    headers=st.dictionaries(st.sampled_from(["x-a", "x-b", "x-c"]), st.tuples(st.sampled_from(["1", "2", "3"]))),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_route_fields, max_size=12), st.lists(_requests, min_size=1, max_size=8), st.sets(st.integers(0, 11)))
def test_the_indexed_router_finds_what_a_naive_one_finds(
    fields: list[dict[str, Any]], requests: list[Asked], removed: set[int]
) -> None:
    routes = [route(number, **one) for number, one in enumerate(fields)]
    router = filled_router(routes)
    for number in removed:
        router.remove(route(number)["id"])
    naive = Naive([one for number, one in enumerate(routes) if number not in removed])

    for asked in requests:
        ours, theirs = router.find(asked), naive.find(asked)
        assert (ours.order if ours else None) == (theirs.order if theirs else None)


def asked(path: str, host: str = "h", method: str = "GET", **headers: str) -> Asked:
    named = {name.replace("_", "-"): (value,) for name, value in headers.items()}
    return Asked(method=method, path=path.encode(), host=host, headers=named)


def found(routes: list[dict[str, Any]], request: Asked) -> int | None:
    rule = filled_router(routes).find(request)
    return int(rule.route["id"][:8]) if rule else None


def test_the_longest_prefix_wins_whatever_the_order_of_creation() -> None:
    routes = [route(1, paths=["/m"]), route(2, paths=["/m/long"])]

    assert found(routes, asked("/m/longer")) == 2
    assert found(routes, asked("/mx")) == 1


def test_a_regex_beats_prefixes_and_a_higher_priority_beats_other_regexes() -> None:
    routes = [
        route(1, paths=["/pr/abc/def"]),
        route(2, paths=["/pr/[a-z]+"], regex_priority=1),
        route(3, paths=["/pr/[a-c]+"], regex_priority=5),
    ]

    assert found(routes, asked("/pr/abc/def")) == 3
    assert found(routes, asked("/pr/xyz")) == 2


def test_of_two_equal_routes_the_older_one_wins() -> None:
    routes = [route(1, paths=["/same"], created_at=9), route(2, paths=["/same"], created_at=5)]

    assert found(routes, asked("/same")) == 2


def test_host_and_path_beat_path_and_an_exact_host_beats_a_wildcard() -> None:
    routes = [
        route(1, paths=["/hp"]),
        route(2, paths=["/hp"], hosts=["h1.example.com"]),
        route(3, hosts=["*.w.example.com"]),
        route(4, hosts=["x.w.example.com"]),
    ]

    assert found(routes, asked("/hp", "h1.example.com:8000")) == 2
    assert found(routes, asked("/hp", "H1.EXAMPLE.COM")) == 1
    assert found(routes, asked("/", "x.w.example.com")) == 4
    assert found(routes, asked("/", "a.b.w.example.com")) == 3
    assert found(routes, asked("/", "w.example.com")) is None


def test_a_route_with_the_right_header_beats_one_without() -> None:
    routes = [route(1, paths=["/v"]), route(2, paths=["/v"], headers={"X-Ver": ["2"]})]

    assert found(routes, asked("/v", x_ver="2")) == 2
    assert found(routes, asked("/v", x_ver="3")) == 1


def test_ten_thousand_routes_are_matched_by_looking_at_a_handful_of_rules(monkeypatch: Any) -> None:
    router = filled_router(
        [route(n, paths=[f"/ws/service-{n}"]) for n in range(5000)]
        + [route(n, hosts=[f"h{n}.example.com"], paths=["/"]) for n in range(5000, 9900)]
        + [route(n, hosts=[f"*.w{n}.example.com"]) for n in range(9900, 10000)]
    )
    looked: list[Rule] = []
    matches = Rule.matches

    def counted(rule: Rule, request: Asked) -> bool:
        looked.append(rule)
        return matches(rule, request)

    monkeypatch.setattr(Rule, "matches", counted)  # counts only: the rule's own answer is given

    assert router.find(asked("/ws/service-4321/x")) is not None
    assert router.find(asked("/x", "h7000.example.com")) is not None
    assert router.find(asked("/x", "a.w9950.example.com")) is not None
    assert router.find(asked("/nothing", "nowhere")) is None
    assert len(looked) <= 20


def test_ten_thousand_routes_are_added_and_changed_without_a_rebuild() -> None:
    started = time.monotonic()
    router = filled_router([route(n, paths=[f"/ws/service-{n}"]) for n in range(10000)])
    for n in range(0, 10000, 2):
        router.put(route(n, paths=[f"/moved/{n}"]), 1.0)

    assert router.find(asked("/moved/4000")) is not None
    assert time.monotonic() - started < 30  # generous: a rebuild at each change would take minutes
