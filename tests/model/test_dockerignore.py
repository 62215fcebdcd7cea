"""`.dockerignore` rules as facts; tests/builders compares random ones with the docker command itself."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.model.dockerignore import Ignore, parse_dockerignore


def ignore(content: str | bytes) -> Ignore:
    text = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    return parse_dockerignore(text, file=".dockerignore")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a", "a"),
        ("a", "a/b/c"),
        ("/a", "a"),
        ("./a/", "a"),
        ("a/../b", "b"),
        ("//a", "a"),
        ("  a\t", "a"),
        ("a\r", "a"),
        ("\u00a0a", "a"),
        ("*", "a"),
        ("*.py", "a.py"),
        ("a?c", "abc"),
        ("a?c", "a\nc"),
        ("**", "a/b"),
        ("**/a", "a"),
        ("**/a", "x/y/a"),
        ("**a", "x/ya"),
        ("a/**", "a/b/c"),
        ("a**", "ab/c"),
        ("a/**/b", "a/b"),
        ("a/**/b", "a/x/y/b"),
        ("**/*.py", "a/b.py"),
        ("[ab]", "b"),
        ("[a-c]x", "bx"),
        ("[^a]", "b"),
        ("[\\]]", "]"),
        ("[[:alpha:]]", "q"),
        ("\\*", "*"),
        ("\\[a\\]", "[a]"),
        (" #a", "#a"),
        ("\\#a", "#a"),
        ("a+b", "a+b"),
        ("*+(b)", "a+(b)"),
        ("é*", "éa"),
        ("\udcff", "\udcff"),
        ("?\udcff", "a\udcff"),
        ("a b", "a b"),
        ("a\nb", "b"),
    ],
)
def test_a_pattern_ignores(pattern: str, path: str) -> None:
    assert ignore(pattern).ignores(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a", "b/a"),
        ("a", "ab"),
        ("#a", "#a"),
        ("a?c", "a/c"),
        ("*.py", "a/b.py"),
        ("a/*", "a"),
        ("a/**", "a"),
        ("[^a]", "a"),
        ("\\*", "a"),
        ("A", "a"),
        ("", "a"),
        (".", "a"),
        ("/", "a"),
        ("../a", "a"),
    ],
)
def test_a_pattern_does_not_ignore(pattern: str, path: str) -> None:
    assert not ignore(pattern).ignores(path)


def test_the_last_pattern_that_matches_wins() -> None:
    found = ignore("*.md\n!README*.md\nREADME-secret.md\n")

    assert [name for name in ("a.md", "README.md", "README-secret.md") if found.ignores(name)] == [
        "a.md",
        "README-secret.md",
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_pattern() -> None:
    found = ignore(b"\xef\xbb\xbfa\r\nb\r\n")

    assert found.ignores("a")
    assert found.ignores("b")


def test_only_a_hash_in_the_first_column_is_a_comment() -> None:
    found = ignore("#a\n #b\n")

    assert not found.ignores("#a")
    assert found.ignores("#b")


def test_an_ignored_folder_is_entered_only_where_an_exception_begins_with_it() -> None:
    found = ignore("a\nb\n!a/kept\n!**/kept\n")

    assert found.enters("a")
    assert not found.enters("b")


def test_a_dockerfile_is_taken_away_by_a_pattern_for_a_folder_above_that_is_as_deep_as_the_pattern() -> None:
    assert ignore("a").takes_away("a/b/Dockerfile")
    assert ignore("a/b").takes_away("a/b/Dockerfile")
    assert ignore("**/Dockerfile").takes_away("a/b/Dockerfile")
    assert not ignore("**/a").takes_away("a/Dockerfile")
    assert not ignore("a\n!a/b").takes_away("a/b/Dockerfile")


def test_a_parent_s_match_holds_below_it_until_an_exception_matches() -> None:
    found = ignore("a\n!a/b\n")

    assert found.ignores("a/c/b")
    assert not found.ignores("a/b")
    assert not found.ignores("a/b/c")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("!", "needs a pattern after it"),
        ("! ", "needs a pattern after it"),
        ("!/", "needs a pattern after it"),
        ("[", "not closed"),
        ("a[", "not closed"),
        ("[]", "begins with"),
        ("[]a]", "begins with"),
        ("[-a]", "begins with"),
        ("[a", "not closed"),
        ("[a\\", "not closed"),
        ("a\\", "nothing follows"),
        ("[c-a]", "runs backwards"),
        ("[[:vowel:]]", "unknown"),
        ("\\q", "means nothing"),
        ("x" * 65536, "longer"),
    ],
)
def test_what_docker_refuses_is_refused_with_its_line(pattern: str, why: str) -> None:
    with pytest.raises(BadInput, match=rf"^\.dockerignore:2: the pattern cannot be used: .*{why}"):
        ignore(f"a\n{pattern}\n")


NAMES = ("a", "b", "ab", "a.b", "[a]", "a*", "\\a", "a\nb", "é", "\udcff")
SEGMENTS = (*NAMES, "*", "**", "?", "a*", "*.b", "**a", "a**", "[ab]", "[^a]", "a[^b]c", "\\a", "\\W", "\\*", "..")
PATTERNS = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4).map("/".join)
PATHS = st.lists(st.sampled_from(NAMES), min_size=2, max_size=4).map("/".join)


@given(patterns=st.lists(st.tuples(st.sampled_from(["", "!"]), PATTERNS).map("".join), max_size=5), path=PATHS)
@example(patterns=["**/a[^b]c"], path="x/a/c")
@example(patterns=["**/*.py", "!**/a", "b/**"], path="b/a\nb/a")
def test_what_a_path_s_cheap_test_lets_pass_is_ignored_as_its_folder_says(patterns: list[str], path: str) -> None:
    found = ignore("\n".join(patterns))
    folder, _, name = path.rpartition("/")
    above: tuple[bool, ...] = ()
    for depth in range(1, folder.count("/") + 2):
        _, above = found.match("/".join(folder.split("/")[:depth]), above)

    if not found.suspects()(name, path):
        assert found.match(path, above) == found.under(above)


def test_a_path_that_no_pattern_matches_is_not_suspected() -> None:
    found = ignore("node_modules\n*.log\n**/*.pyc\n**/.cache\na/b\n!a/b/kept\ndocs/**\n")

    suspected = found.suspects()

    assert not suspected("main.py", "src/main.py")
    assert not suspected("node_modules", "src/node_modules")
    assert suspected("main.pyc", "src/main.pyc")
    assert suspected("b", "a/b")
    assert suspected("x", "docs/x")
