"""What one task of a chain says for all of them."""

from __future__ import annotations

import pytest

from pipeline.command import environment_of_chain


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("build deploy register -e stage", "stage"),
        ("build deploy register --environment stage", "stage"),
        ("build -s cities deploy register --environment=stage", "stage"),
        ("build deploy register -estage", "stage"),
        ("build -e stage deploy register", "stage"),
        ("build -e stage deploy -e stage", "stage"),
        ("build -e stage deploy -e production", ""),
        ("build deploy register", ""),
        ("-e build", ""),
        ("build deploy -e", ""),
        ("deploy -e stage", ""),
    ],
)
def test_an_environment_that_a_later_task_names_holds_for_the_first(line: str, found: str) -> None:
    assert environment_of_chain(line.split(), "build") == found
