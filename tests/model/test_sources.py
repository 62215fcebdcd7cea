"""What an image is made from: what changes it, what is told of a change, which image is another's base."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.model.image import Recipe
from pipeline.model.sources import (
    BaseImage,
    Sources,
    decode_parts,
    encode_parts,
    in_order,
    sibling_of,
    what_changed,
)

ONE = Sources(
    content="c" * 64,
    dockerfile="d" * 64,
    target="",
    args={"A": "1"},
    bases=(BaseImage(name="python:3", identity="sha256:1"),),
)
CHANGES: list[dict[str, Any]] = [
    {"content": "e" * 64},
    {"dockerfile": "e" * 64},
    {"target": "first"},
    {"args": {"A": "2"}},
    {"args": {}},
    {"args": {"A": "1", "B": ""}},
    {"options": ("secret TOKEN",)},
    {"bases": ()},
    {"bases": (BaseImage(name="python:3", identity="sha256:2"),)},
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_an_image_changes_its_fingerprint_and_one_of_its_parts(change: dict[str, Any]) -> None:
    other = replace(ONE, **change)

    assert other.fingerprint != ONE.fingerprint
    assert other.parts != ONE.parts


def test_what_is_only_for_people_changes_nothing() -> None:
    assert replace(ONE, files=7, size=7).fingerprint == ONE.fingerprint


def test_the_order_of_args_changes_nothing() -> None:
    assert replace(ONE, args={"A": "1", "B": "2"}).fingerprint == replace(ONE, args={"B": "2", "A": "1"}).fingerprint


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_two_different_lists_of_options_never_make_one_fingerprint(one: list[str], two: list[str]) -> None:
    same = replace(ONE, options=tuple(one)).fingerprint == replace(ONE, options=tuple(two)).fingerprint

    assert same == (one == two)


def test_a_label_of_parts_is_read_back_and_holds_no_value_of_an_arg() -> None:
    label = encode_parts(replace(ONE, args={"TOKEN": "hunter2"}).parts)

    assert decode_parts(label) == replace(ONE, args={"TOKEN": "hunter2"}).parts
    assert "hunter2" not in label


@pytest.mark.parametrize("label", ["", "nonsense", "[]", '{"content": 1}'])
def test_a_label_that_is_not_ours_says_nothing(label: str) -> None:
    assert decode_parts(label) == {}


def test_what_a_base_is_can_be_learned_later() -> None:
    unknown = replace(ONE, bases=(BaseImage(name="python:3", identity=""), BaseImage(name="b", identity="2")))

    known = unknown.knowing({"python:3": "sha256:1"})

    assert unknown.unknown_bases == ("python:3",)
    assert known.unknown_bases == ()
    assert known.bases == (BaseImage(name="python:3", identity="sha256:1"), BaseImage(name="b", identity="2"))


def told(now: Sources, differing: tuple[str, ...] | None = None) -> str:
    return what_changed(now, ONE.parts, differing=differing, dockerfile="Dockerfile")


def test_files_that_nobody_can_name_differ_all_the_same() -> None:
    assert told(replace(ONE, content="e" * 64)) == "files differ"


def test_at_most_three_files_are_named() -> None:
    now = replace(ONE, content="e" * 64)

    assert told(now, ("a",)) == "1 file differs: a"
    assert told(now, ("a", "b", "c")) == "3 files differ: a, b, c"
    assert told(now, tuple("abcde")) == "5 files differ: a, b, c, and 2 more"


def test_a_changed_dockerfile_is_not_told_twice() -> None:
    now = replace(ONE, content="e" * 64, dockerfile="e" * 64)

    assert told(now, ("Dockerfile",)) == "the Dockerfile changed"


def test_a_base_under_another_name_is_another_and_under_the_same_one_it_moved() -> None:
    assert told(replace(ONE, bases=(BaseImage(name="python:3", identity="new"),))) == "base image moved: python:3"
    assert told(replace(ONE, bases=(BaseImage(name="python:4", identity="new"),))) == "another base image: python:4"


PREFIX = "registry.example.com:5000/group"


def recipe(name: str) -> Recipe:
    return Recipe(service=name, compose_service="app", reference=f"{PREFIX}/{name}:main-0a1b2c3d", context="/x")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("base", "base"),
        ("base:latest", "base"),
        (f"{PREFIX}/base", "base"),
        ("base:main-0a1b2c3d", None),
        ("base@sha256:1", None),
        ("other/base", None),
        ("python", None),
        ("app", None),  # itself
    ],
)
def test_a_base_without_a_tag_may_be_an_image_of_the_same_run(name: str, found: str | None) -> None:
    recipes = [recipe("app"), recipe("base")]

    other = sibling_of(name, recipes[0], recipes)

    assert (other.service if other else None) == found


def test_keys_come_after_what_they_need_and_otherwise_in_their_order() -> None:
    assert in_order({"c": ["a"], "b": [], "a": ["b"]}) == ("b", "a", "c")
    assert in_order({"c": [], "b": [], "a": []}) == ("c", "b", "a")


def test_a_circle_is_named_from_where_it_begins() -> None:
    with pytest.raises(BadInput, match="each other's base: a → b → a"):
        in_order({"x": ["a"], "a": ["b"], "b": ["a"]})
