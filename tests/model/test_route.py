from __future__ import annotations

import pytest

from pipeline.model.route import (
    FoundRoute,
    Owner,
    Route,
    overlaps,
    owner_of,
    owner_tags,
    same_upstream,
    stack_of_upstream,
    tag_word,
)


def wanted(**fields: object) -> Route:
    return Route(
        **{  # type: ignore[arg-type]  # the fields of Route
            "service": "cities",
            "environment": "review/x",
            "stack": "cities-x-0a1b2c3d",
            "uri": "/ws/cities",
            "upstream": "http://proxy.cities-x-0a1b2c3d",
            **fields,
        }
    )


def found(**fields: object) -> FoundRoute:
    return FoundRoute(
        **{  # type: ignore[arg-type]  # the fields of FoundRoute
            "id": "1",
            "name": "",
            "paths": ("/other", "/ws/cities"),
            "hosts": (),
            "methods": (),
            "strip_uri": True,
            "preserve_host": False,
            "upstream": "",
            "owner": Owner(),
            **fields,
        }
    )


def test_tags_of_ownership_can_be_read_back() -> None:
    owner = owner_of(owner_tags(wanted()))

    assert owner == Owner(environment="review.x", service="cities", stack="cities-x-0a1b2c3d")
    assert owner.ours


def test_tags_hold_nothing_that_an_older_server_refuses() -> None:
    assert not set(":/, ") & set("".join(owner_tags(wanted(environment="review/a,b c"))))
    assert tag_word("review/x") == "review.x"


def test_an_entity_without_the_tag_pipeline_is_nobodys() -> None:
    assert not owner_of(("service.cities", "env.local")).ours
    assert not owner_of(()).ours


@pytest.mark.parametrize(
    ("upstream", "stack"),
    [
        ("http://proxy.cities-master-0a1b2c3d:80", "cities-master-0a1b2c3d"),
        ("http://proxy.cities-master-0a1b2c3d", "cities-master-0a1b2c3d"),
        ("http://api.example.com", ""),
        ("http://localhost:8080", ""),
        ("", ""),
    ],
)
def test_the_stack_is_read_from_the_upstream(upstream: str, stack: str) -> None:
    assert stack_of_upstream(upstream) == stack


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://a:80", "http://a", True),
        ("https://a", "https://a:443", True),
        ("http://a:443", "http://a", False),
        ("http://a:8080", "http://a:80", False),
    ],
)
def test_a_protocols_own_port_makes_no_difference(one: str, other: str, same: bool) -> None:
    assert same_upstream(one, other) is same


@pytest.mark.parametrize(
    ("ours", "theirs", "meet"),
    [
        ({}, {}, True),
        ({"uri": "/ws"}, {}, False),
        ({"hosts": ("a",)}, {"hosts": ("b", "a")}, True),
        ({"hosts": ("a",)}, {"hosts": ("b",)}, False),
        ({"hosts": ("a",)}, {}, False),
        ({"methods": ("GET", "PUT")}, {"methods": ("PUT",)}, True),
        ({"methods": ("GET",)}, {"methods": ("PUT",)}, False),
    ],
)
def test_routes_overlap_where_both_would_answer_on_equal_terms(
    ours: dict[str, object], theirs: dict[str, object], meet: bool
) -> None:
    assert overlaps(wanted(**ours), found(**theirs)) is meet
