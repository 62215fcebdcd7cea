"""A gateway is not taken for another environment's; reviews share one."""

from __future__ import annotations

import pytest

from pipeline.errors import Refused
from pipeline.model.whose_gateway import refuse_other_environment


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ("stage", []),
        ("stage", ["stage", ""]),
        ("review/one", ["review.one"]),
        ("review/one", ["review.one", "review.two"]),
    ],
)
def test_its_own_gateway_and_one_that_reviews_share_are_taken(environment: str, named: list[str]) -> None:
    refuse_other_environment(environment, named)


@pytest.mark.parametrize(
    ("environment", "named", "told"),
    [
        ("stage", ["stage", "production"], "carries the environment production, and stage was asked for"),
        ("stage", ["review.one"], r"carries the environment review\.one, and stage"),
        ("review/one", ["review.one", "stage"], "carries the environment stage, and review/one"),
        ("local", ["stage", "production"], "carries the environment production, stage, and local"),
    ],
)
def test_another_environments_is_refused_by_name(environment: str, named: list[str], told: str) -> None:
    with pytest.raises(Refused, match=told):
        refuse_other_environment(environment, named)
