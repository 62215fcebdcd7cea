"""Sizes in bytes, as people read and write them."""

from __future__ import annotations

import pytest

from pipeline.model.size import parse_size, shown_size


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (71_123_456, "71.1 MB"), (123_456_789, "123 MB"),
     (999_600, "1.0 MB"), (10_000_000_000, "10.0 GB"), (5e15, "5000 TB")],
)  # fmt: skip
def test_a_size_is_shown_in_about_three_figures(count: float, shown: str) -> None:
    assert shown_size(count) == shown


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500_000_000), ("1.5 GB", 1_500_000_000), ("1000", 1000), ("2k", 2000), ("7B", 7),
     ("", None), ("MB", None), ("-1", None), ("5 apples", None), ("1e9", None)],
)  # fmt: skip
def test_a_size_is_read_as_people_write_it(text: str, size: int | None) -> None:
    assert parse_size(text) == size
