"""The router of 0.14 against a naive one that goes through every rule as Kong does, and with very many."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lab.gateway.old_router import OldRouter, OldRule, old_rule

_HOST, _URI, _METHOD = 1, 2, 4
_CATEGORIES = (7, 3, 5, 6, 1, 2, 4)
_PATHS = ["/", "/a", "/a/b", "/ab", "/a/b/c", "/a/\\d+", "/a/(b|c)", "/a/b.*$", "/%61", "/b"]
_HOSTS = ["x.com", "y.com", "*.x.com", "*.com", "x.*", "a.x.com"]


def rule(number: int, **fields: Any) -> OldRule:
    """The rule of a route with Kong's defaults."""
    empty = dict.fromkeys(("hosts", "paths", "methods"))
    key = f"{number:08d}-0000-4000-8000-000000000000"
    route = {**empty, "id": key, "regex_priority": 0, "created_at": 1000 + number, **fields}
    return old_rule(route, {}, float(number))


def filled_router(rules: list[OldRule]) -> OldRouter:
    router = OldRouter()
    for one in rules:
        router.put(one.route["id"], one)
    return router


class Naive:
    """kong/router.lua with its loops."""

    def __init__(self, rules: list[OldRule]) -> None:
        self.rules = sorted(rules, key=lambda one: one.order)

    def find(self, method: str, path: bytes, host: str) -> OldRule | None:
        name = host.partition(":")[0]
        wildcard = None if self.names(name) else self.wildcard(name)
        hit = self.hit(path)
        bits = _HOST if self.names(name) or wildcard else 0
        bits |= _URI if hit is not None else 0
        bits |= _METHOD if any(method in one.methods for one in self.rules) else 0
        for category in _CATEGORIES[_CATEGORIES.index(bits) :] if bits else ():
            everything = [one for one in self.rules if one.bits == category]
            lists = [
                [one for one in everything if category & _HOST and wildcard in one.hosts],
                [one for one in everything if category & _URI and (hit or path) in {p.text for p in one.paths}],
                [one for one in everything if category & _METHOD and method in one.methods],
            ]
            for one in (*min((some for some in lists if some), key=len, default=[]), *everything):
                if self.matches(one, method, path, wildcard or name):
                    return one
        return None

    def names(self, host: str) -> bool:
        return any(host in one.hosts for one in self.rules)

    def wildcard(self, host: str) -> str | None:
        for one in self.rules:
            for wildcard in one.hosts:
                left, star, right = wildcard.partition("*")
                if star and not left and host.endswith(right) and len(host) > len(right):
                    return wildcard
                if star and left and left in host[:-1]:
                    return wildcard
        return None

    def hit(self, path: bytes) -> bytes | None:
        plain = {p.text for one in self.rules for p in one.paths if p.pattern is None}
        if path in plain:
            return path
        for one in self.rules:
            found = sorted(p.text for p in one.paths if p.pattern is not None and p.pattern.match(path))
            if found:
                return found[0]
        return max((text for text in plain if path.startswith(text)), key=len, default=None)

    def matches(self, one: OldRule, method: str, path: bytes, host: str) -> bool:
        return (
            (not one.hosts or host in one.hosts)
            and (not one.methods or method in one.methods)
            and (not one.paths or any(p.split(path) is not None for p in one.paths))
        )


_fields = st.fixed_dictionaries(
    {},
    optional={
        "paths": st.lists(st.sampled_from(_PATHS), min_size=1, max_size=3),
        "hosts": st.lists(st.sampled_from(_HOSTS), min_size=1, max_size=1),
        "methods": st.lists(st.sampled_from(["GET", "PUT"]), min_size=1, max_size=2, unique=True),
        "regex_priority": st.integers(0, 2),
        "created_at": st.integers(1, 3),
    },
)
_requests = st.tuples(
    st.sampled_from(["GET", "PUT", "POST"]),
    st.sampled_from([b"/", b"/a", b"/a/b", b"/a/b/c", b"/a/7", b"/abc", b"/b", b"/zzz", b"/a/c", b"/%61"]),
    st.sampled_from(["x.com", "x.com:80", "X.COM", "a.x.com", "b.a.x.com", "x.org", "z", ""]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_fields, max_size=12), st.lists(_requests, min_size=1, max_size=8), st.sets(st.integers(0, 11)))
def test_the_indexed_router_finds_what_the_loops_of_0_14_find(
    fields: list[dict[str, Any]], requests: list[tuple[str, bytes, str]], removed: set[int]
) -> None:
    rules = [rule(number, **one) for number, one in enumerate(fields)]
    router = filled_router(rules)
    for number in removed:
        router.remove(rule(number).route["id"])
    naive = Naive([one for number, one in enumerate(rules) if number not in removed])

    for asked in requests:
        ours, theirs = router.find(*asked), naive.find(*asked)
        assert (ours[0].order if ours else None) == (theirs.order if theirs else None)


def test_ten_thousand_apis_are_matched_by_looking_at_a_handful(monkeypatch: Any) -> None:
    router = filled_router(
        [rule(n, paths=[f"/ws/service-{n}"]) for n in range(5000)]
        + [rule(n, hosts=[f"h{n}.example.com"], paths=["/"]) for n in range(5000, 10000)]
    )
    looked: list[OldRule] = []
    matches = OldRule.matches

    def counted(one: OldRule, asked: Any) -> bool:
        looked.append(one)
        return matches(one, asked)

    monkeypatch.setattr(OldRule, "matches", counted)  # counts only: the rule's own answer is given

    assert router.find("GET", b"/ws/service-4321/x", "h") is not None
    assert router.find("GET", b"/x", "h7000.example.com") is not None
    assert router.find("GET", b"nothing", "nowhere") is None
    assert len(looked) <= 20
