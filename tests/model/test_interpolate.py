"""`${VAR}` as compose fills it in."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.model.interpolate import as_written, fill_secrets, interpolate, secret_mark, secrets_in
from pipeline.model.secret import Secret

VARIABLES = {"SET": "value", "EMPTY": "", "OTHER": "other", "DOLLAR": "$SET"}


def filled(text: str) -> str:
    return interpolate(text, lambda name, optional: VARIABLES.get(name), where="docker-compose.yml: services.app.image")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ("$SET-$SET", "value-value"),
        ("a${SET}b", "avalueb"),
        ("[$MISSING]", "[]"),
        ("$$SET", "$SET"),
        ("$${SET}", "${SET}"),
        ("$$$SET", "$value"),
        ("${SET:-x}", "value"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${MISSING-x}", "x"),
        ("${MISSING:-}", ""),
        ("${SET:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${MISSING+x}", ""),
        ("${SET:?is needed}", "value"),
        ("${EMPTY?is needed}", ""),
        ("${MISSING:-${OTHER}}", "other"),
        ("${MISSING:-${ALSO_MISSING:-${OTHER:-z}}}!", "other!"),
        ("${MISSING:-a $$ b}", "a $ b"),
        ("${MISSING:-http://x/y?z}", "http://x/y?z"),
        ('${MISSING:-{"rate": {"a": 1}}}', '{"rate": {"a": 1}}'),
        ('${SET:-{"rate": 1}}', "value"),
        ("$DOLLAR", "$SET"),
        ("${SET:-${MISSING:?never looked at}}", "value"),
        ("${MISSING:+${MISSING:?never looked at}}", ""),
    ],
)
def test_text_is_filled_in_as_compose_does(text: str, wanted: str) -> None:
    assert filled(text) == wanted


@pytest.mark.parametrize(
    "text", ["$", "a $ b", "$1", "${", "${}", "${SET", "${SET:-x", "${SET!x}", "${1}", "${MISSING:-$}"]
)
def test_a_dollar_that_starts_no_variable_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(BadInput, match=r"docker-compose.yml: services.app.image.*starts no variable") as refused:
        filled(text)

    assert "$$" in refused.value.hint


def test_what_is_required_and_missing_is_refused_with_its_message() -> None:
    with pytest.raises(BadInput, match=r"services.app.image: \$\{MISSING\} is required: ask other for it"):
        filled("${MISSING:?ask ${OTHER} for it}")
    with pytest.raises(BadInput, match=r"\$\{EMPTY\} is required: it is not set"):
        filled("${EMPTY:?}")


def test_every_variable_that_stands_in_a_text_is_asked_for_needed_or_not() -> None:
    asked: list[tuple[str, bool]] = []

    def lookup(name: str, optional: bool) -> str | None:
        asked.append((name, optional))
        return VARIABLES.get(name)

    interpolate("$SET ${SET:-${MISSING}} ${EMPTY+$OTHER}", lookup, where="x")

    assert asked == [("SET", False), ("SET", True), ("MISSING", True), ("EMPTY", True), ("OTHER", False)]


@given(st.text(alphabet="ab$${}:-?+SET_ ", max_size=30))
def test_any_text_is_filled_in_or_refused(text: str) -> None:
    with contextlib.suppress(BadInput):
        assert "\0" not in filled(text)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_what_is_written_down_reads_back_as_it_was(text: str) -> None:
    assert filled(as_written(text)) == text


def test_a_secret_is_written_by_name_and_filled_in_at_the_end() -> None:
    text = f"postgres://app:{secret_mark('PASSWORD')}@db/$x"

    assert secrets_in(text) == ("PASSWORD",)
    assert as_written(text) == "postgres://app:${PASSWORD}@db/$$x"
    assert fill_secrets(text, {"PASSWORD": Secret("${SET}")}) == "postgres://app:${SET}@db/$x"
