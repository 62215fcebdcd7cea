"""Dockerfiles: instructions by step, ARGs, and the images that a build takes from outside."""

from __future__ import annotations

import pytest

from pipeline.errors import BadInput
from pipeline.model.dockerfile import Base, Dockerfile, expand, parse_dockerfile


def parsed(text: str) -> Dockerfile:
    return parse_dockerfile(text.encode(), file="Dockerfile")


def names(text: str, target: str = "", **args: str) -> list[str]:
    return [base.name for base in parsed(text).bases(args, target)]


def test_a_step_of_the_engine_is_an_instruction_with_its_line() -> None:
    found = parsed("# syntax=x\nARG A=1\n\nFROM scratch\n# why\nRUN one \\\n  # two\n\n  && three\nCOPY . /\n")

    assert [(one.keyword, one.line, one.text) for one in found.instructions] == [
        ("ARG", 2, "ARG A=1"),
        ("FROM", 4, "FROM scratch"),
        ("RUN", 6, "RUN one \\"),
        ("COPY", 10, "COPY . /"),
    ]
    assert found.step(3) == found.instructions[2]
    assert found.instructions[2].arguments.split() == ["one", "&&", "three"]
    assert found.step(0) is None
    assert found.step(5) is None


def test_another_escape_character_continues_lines() -> None:
    found = parsed("# escape=`\nFROM scratch\nRUN one `\n two\nRUN three\\\nRUN four\n")

    assert [one.line for one in found.instructions] == [2, 3, 5, 6]


def test_a_directive_below_a_comment_is_a_comment() -> None:
    found = parsed("# hello\n# escape=`\nFROM scratch\nRUN one \\\n two\n")

    assert [one.line for one in found.instructions] == [3, 4]


def test_windows_line_ends_and_a_byte_order_mark_are_read() -> None:
    assert names("\ufeffARG A=x\r\nFROM ${A}\r\n") == ["x"]


def test_a_from_inside_of_a_heredoc_is_text() -> None:
    assert names("FROM a\nRUN <<-'EOF' cat\nFROM b\n\tEOF\nCOPY <<ONE <<TWO /\nFROM c\nONE\nFROM d\nTWO\nFROM e\n") == [
        "a",
        "e",
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("FROM $A", "one"),
        ("FROM ${A}:1", "one:1"),
        ("FROM ${B:-two}", "two"),
        ("FROM ${E:-two}", "two"),
        ("FROM ${E-two}two", "two"),
        ("FROM ${A:+three}", "three"),
    ],
)
def test_a_from_takes_the_arguments_before_it(line: str, found: str) -> None:
    assert names(f"ARG A=one\nARG E=\n{line}\n") == [found]


def test_a_build_argument_wins_over_the_default() -> None:
    assert names('ARG A="one" B=$A-x\nFROM $B\n', A="two") == ["two-x"]


def test_an_argument_inside_of_a_stage_is_unknown_to_from() -> None:
    assert names("FROM a\nARG A=b\nFROM c$A\n") == ["a", "c"]


def test_stages_and_scratch_are_no_outside_images() -> None:
    text = "FROM one AS First\nFROM scratch\nCOPY --from=first a b\nCOPY --from=0 a b\nCOPY --chown=1 --from=two:3 a b\nFROM FIRST\n"

    assert names(text) == ["two:3", "one"]


def test_the_final_stage_s_own_base_comes_last() -> None:
    assert names("FROM a AS one\nFROM b\nCOPY --from=c x y\nFROM one\n") == ["b", "c", "a"]


def test_a_target_ends_the_build_with_its_stage() -> None:
    assert names("FROM a AS one\nFROM b AS two\nFROM c\n", target="TWO") == ["a", "b"]


def test_a_platform_and_the_argument_that_chose_a_base_are_told() -> None:
    found = parsed("ARG IMAGE=a\nARG P=linux/arm64\nFROM --platform=$P ${IMAGE}:1 AS x\n").bases({}, "")

    assert found == (Base(name="a:1", platform="linux/arm64", variable="IMAGE"),)


def test_every_declared_argument_is_known() -> None:
    found = parsed("ARG A\nFROM scratch\nARG version=1 branch='a b'\nRUN echo ARG C\n")

    assert found.declared == {"A", "version", "branch"}


def test_an_unknown_target_is_refused_with_the_ones_that_are_there() -> None:
    with pytest.raises(BadInput, match="no stage 'prod'") as refused:
        parsed("FROM a AS one\nFROM b AS two\n").bases({}, "prod")

    assert refused.value.hint == "Its stages: one, two."


def test_a_file_without_a_from_is_refused() -> None:
    with pytest.raises(BadInput, match="Dockerfile has no FROM"):
        parsed("# nothing\n").bases({}, "")


def test_an_escaped_dollar_is_a_dollar() -> None:
    assert expand("\\$A-$A", {"A": "x"}) == "$A-x"


def test_a_shift_or_a_quoted_word_begins_no_heredoc() -> None:
    found = parsed('FROM a\nRUN echo $((1<<A)) "x <<B y" \'<<C\'\nFROM b\nA\nB\nC\nRUN cat 3<<"D"\nFROM c\nD\n')

    assert [one.line for one in found.instructions if one.heredoc] == [7]
    assert [one.line for one in found.instructions if one.keyword == "FROM"] == [1, 3]


def test_flags_are_the_words_in_front() -> None:
    found = parsed(
        "FROM a\nRUN --mount=type=secret,id=A --mount=type=ssh  --network=none tool --from=x\nCOPY --link a b\n"
    )

    assert found.instructions[1].flags == (("mount", "type=secret,id=A"), ("mount", "type=ssh"), ("network", "none"))
    assert found.instructions[1].mounts == ({"type": "secret", "id": "A"}, {"type": "ssh"})
    assert found.instructions[2].flags == (("link", ""),)


def test_a_syntax_directive_is_told_and_a_comment_is_none() -> None:
    assert parsed("# syntax = docker/dockerfile:1\n# escape=`\nFROM a\n").syntax == "docker/dockerfile:1"
    assert parsed("# hello\n# syntax=docker/dockerfile:1\nFROM a\n").syntax == ""


STAGES = """\
FROM one AS first
FROM two AS unused
COPY --from=five a b
FROM three AS tools
FROM scratch AS files
RUN --mount=type=bind,from=tools,target=/t --mount=from=four true
FROM first
COPY --from=3 a b
"""


def test_buildkit_needs_only_the_stages_that_the_target_is_made_from() -> None:
    found = parsed(STAGES)

    assert found.needed({}, "") == (0, 2, 3, 4)
    assert found.needed({}, "unused") == (1,)
    assert [base.name for base in found.needed_bases({}, "")] == ["three", "four", "one"]
    assert [base.name for base in found.bases({}, "")] == ["two", "five", "three", "four", "one"]


def test_an_argument_chooses_the_stage_that_is_needed() -> None:
    found = parsed("ARG FLAVOUR=small\nFROM one AS small\nFROM two AS large\nFROM ${FLAVOUR}\n")

    assert [base.name for base in found.needed_bases({}, "")] == ["one"]
    assert [base.name for base in found.needed_bases({"FLAVOUR": "large"}, "")] == ["two"]


def test_automatic_platforms_are_buildkit_s_and_empty_where_nobody_tells_them() -> None:
    found = parsed("FROM --platform=$BUILDPLATFORM tools:${TARGETARCH:-any}\n")

    assert found.needed_bases({}, "") == (Base(name="tools:any"),)
    assert found.needed_bases({"TARGETARCH": "arm64", "BUILDPLATFORM": "linux/amd64"}, "") == (
        Base(name="tools:arm64", platform="linux/amd64", variable=""),
    )


def test_the_instruction_of_a_line_in_its_middle_is_found() -> None:
    found = parsed("FROM a\nRUN one && \\\n  two\nRUN three\n")

    assert [getattr(found.at(line), "line", None) for line in (0, 1, 2, 3, 4)] == [None, 1, 2, 2, 4]
