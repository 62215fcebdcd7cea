"""How paths are normalised, joined and escaped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lab.gateway.uris import escaped, joined, normalised


@pytest.mark.parametrize(
    ("sent", "normal"),
    [
        (b"/m//x", b"/m/x"),
        (b"//m", b"/m"),
        (b"/m/../m/x", b"/m/x"),
        (b"/%6d/x", b"/m/x"),
        (b"/m/%2e%2e/x", b"/x"),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a/b/..", b"/a/"),
        (b"/../..", b"/"),
        (b"/a/.", b"/a/"),
        (b"/a/", b"/a/"),
        (b"/", b"/"),
        (b"/%C3%BC", b"/\xc3\xbc"),
        (b"/a.b/c..d", b"/a.b/c..d"),
    ],
)
def test_a_path_is_normalised_as_kong_does(sent: bytes, normal: bytes) -> None:
    assert normalised(sent) == normal


@given(st.text(alphabet="/.abm%2eF", max_size=20).map(lambda text: ("/" + text).encode()))
def test_a_normal_path_has_neither_dot_segments_nor_empty_ones(path: bytes) -> None:
    segments = normalised(path).split(b"/")

    assert b".." not in segments[1:]
    assert b"." not in segments[1:]
    assert b"" not in segments[1:-1]


def test_escapes_that_are_there_stay_and_unsafe_bytes_are_escaped() -> None:
    assert escaped(b"/a%20b\xc3\xbc c") == b"/a%20b%C3%BC%20c"


@pytest.mark.parametrize("base", [b"/", b"/base", b"/base/"])
@pytest.mark.parametrize(("rest", "path"), [(b"", b"/p"), (b"/", b"/p/"), (b"/x", b"/p/x"), (b"x", b"/px")])
def test_exactly_one_slash_stands_between_a_services_path_and_the_rest(base: bytes, rest: bytes, path: bytes) -> None:
    whole = joined(base, rest, path, strip=True, concatenates=False)

    assert whole.startswith(b"/")
    assert b"//" not in whole
    assert whole.endswith(rest.removeprefix(b"/")) or not rest
