from __future__ import annotations

import pytest

from pipeline.model.plain_fields import wants_schema


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("rate-limiting", {"minute": 5, "policy": "local", "limit_by": "ip", "redis_password": None, "redis_host": ""}),
        ("cors", {"origins": ["https://a.example.com"], "credentials": True}),
        ("of-our-own", {"size": 5, "on": True, "list": [], "nested": {"number": 1}}),
        ("of-our-own", None),
    ],
)
def test_numbers_flags_and_what_is_known_to_be_plain_want_no_schema(name: str, config: object) -> None:
    assert not wants_schema(name, config)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("rate-limiting", {"policy": "redis", "redis_host": "h"}),
        ("cors", {"origins": ["*"], "a_field_of_a_later_version": "text"}),
        ("of-our-own", {"policy": "local"}),
        ("http-log", {"headers": {"authorization": ["Bearer x"]}}),
    ],
)
def test_any_other_text_does(name: str, config: object) -> None:
    assert wants_schema(name, config)
