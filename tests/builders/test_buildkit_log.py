"""BuildKit's plain progress, as real builders of three versions wrote it: what is passed on, counted and blamed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pipeline.builders.buildkit_log import BuildKitLog
from pipeline.errors import Failed
from pipeline.model.dockerfile import parse_dockerfile

DIGEST = "sha256:930876fe4917bffb188e4fbfde3656b6e88b02f2e7c6a9292dbf5651819112a4"


class Heard:
    """A log that took these lines."""

    def __init__(self, dockerfile: str, output: str, target: str = "") -> None:
        self.told: list[str] = []
        self.dockerfile = parse_dockerfile(dockerfile.encode(), file="web/Dockerfile")
        self.log = BuildKitLog(self.dockerfile, self.told.append, target=target)
        for line in output.splitlines():
            self.log.take(line)

    def failure(self, args: Mapping[str, str] | None = None) -> Failed:
        return self.log.failure(self.dockerfile.needed_bases(args or {}, ""), "package.json: pipeline.images.web")


OLD = f"""\
#1 [internal] load remote build context
#1 {DIGEST}
#1 DONE 0.0s

#3 [internal] load metadata for docker.io/library/base:1
#3 {DIGEST}
#3 DONE 0.0s

#4 [build 1/2] FROM docker.io/library/base:1
#4 {DIGEST}
#4 CACHED

#5 [build 2/2] RUN echo a
#5 {DIGEST}
#5 0.184 a
#5 DONE 0.2s

#6 [stage-1 1/2] WORKDIR /x
#6 {DIGEST}
#6 CACHED

#7 [stage-1 2/2] RUN echo one &&     false
#7 {DIGEST}
#7 0.228 one
#7 0.229
#7 0.230 #7 two 3.0
#7 ERROR: executor failed running [/bin/sh -c echo one &&     false]: exit code: 1
------
 > [stage-1 2/2] RUN echo one &&     false:
------
executor failed running [/bin/sh -c echo one &&     false]: exit code: 1
"""
TWO_STAGES = "FROM base:1 AS build\nRUN echo a\nFROM build\nENV A=b\nWORKDIR /x\nRUN echo one && \\\n    false\n"


def test_lines_are_passed_on_without_the_digests_of_steps() -> None:
    heard = Heard("FROM base:1\n", OLD)

    assert heard.told == [line for line in OLD.splitlines() if line and DIGEST not in line]


def test_steps_have_their_line_their_seconds_and_whether_the_cache_had_them() -> None:
    steps = Heard(TWO_STAGES, OLD).log.steps

    assert [(step.line, step.seconds, step.cached) for step in steps] == [(2, 0.2, False), (5, 0, True), (6, 0, False)]
    assert steps[1].name == "[stage-1 1/2] WORKDIR /x"


def test_a_failing_step_is_told_with_its_line_and_its_last_lines_again() -> None:
    heard = Heard(TWO_STAGES, OLD)

    failure = heard.failure()

    assert str(failure) == (
        "web/Dockerfile:6: step 2 of 2 of stage-1 failed: 'RUN echo one && \\\\': "
        "executor failed running [/bin/sh -c echo one &&     false]: exit code: 1"
    )
    assert "last lines of the step are above" in failure.hint
    assert heard.told[-3:] == ["--- the end of step 2 of 2 of stage-1, web/Dockerfile:6: RUN echo one && \\", "one", "#7 two 3.0"]  # fmt: skip


NEW = """\
#0 building with "far" instance using remote driver

#1 [internal] load remote build context
#1 CACHED

#5 [linux/arm64 stage-0  3/10] RUN true
#5 CACHED

#6 [linux/amd64->arm64 stage-0  2/10] COPY nope /
#6 ERROR: failed to calculate checksum of ref x::y: "/nope": not found
------
 > [linux/amd64->arm64 stage-0  2/10] COPY nope /:
------
WARNING: No output specified with remote driver.
Dockerfile:4
--------------------
   2 |     FROM base
   4 | >>> COPY nope /
--------------------
ERROR: failed to build: failed to solve: failed to compute cache key: "/nope": not found
"""


def test_a_platform_in_a_step_s_name_is_no_stage() -> None:
    dockerfile = "ARG A\nFROM base\n\nCOPY nope /\nRUN true\n" + "RUN x\n" * 7
    heard = Heard(dockerfile, NEW)

    assert [(step.line, step.cached) for step in heard.log.steps] == [(5, True), (4, False)]
    assert str(heard.failure()).startswith("web/Dockerfile:4: step 2 of 10 of stage-0 failed: 'COPY nope /': failed to")


def test_a_step_that_cannot_be_placed_takes_the_line_that_the_builder_says() -> None:
    heard = Heard("FROM base\nRUN one\nRUN two\nCOPY nope \\\n  /\n", NEW.replace("stage-0  2/10", "other 2/3"))

    assert str(heard.failure()).startswith("web/Dockerfile:4: step 2 of 3 of other failed: 'COPY nope")


def test_a_trigger_of_the_base_image_is_its_from_s() -> None:
    output = "#4 [2/3] ONBUILD RUN fine\n#4 ERROR: exit code: 1\n#5 [3/3] RUN fine\n#5 CANCELED\n------\nERROR: exit code: 1\n"

    assert str(Heard("\nFROM base\nRUN fine\n", output).failure()).startswith("web/Dockerfile:2: step 2 of 3 failed")


def test_an_old_builder_counts_triggers_beyond_the_total() -> None:
    output = "#4 [2/2] RUN false\n#4 DONE 0.1s\n#5 [3/2] RUN   fine\n#5 ERROR: exit code: 1\n------\nexit code: 1\n"
    heard = Heard("\nFROM base\nRUN fine\n", output)

    assert [step.line for step in heard.log.steps] == [2, 3]
    assert str(heard.failure()).startswith("web/Dockerfile:3: step 3 of 2 failed")


@pytest.mark.parametrize(
    "last",
    [
        "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: RAN",
        "ERROR: failed to build: failed to solve: dockerfile parse error on line 2: unknown instruction: RAN (did you mean RUN?)",
    ],
)
def test_a_mistake_in_the_dockerfile_is_told_with_its_line(last: str) -> None:
    failure = Heard("FROM base\nRAN x\n", f"#1 [internal] load remote build context\n#1 DONE 0.1s\n{last}").failure()

    assert str(failure).startswith("web/Dockerfile:2: ")
    assert "unknown instruction: RAN" in str(failure)
    assert not str(failure).startswith("web/Dockerfile:2: ERROR")
    assert failure.hint == "Mend the Dockerfile and build again."


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("base", "docker.io/library/base:latest"),
        ("group/base:1", "docker.io/group/base:1"),
        ("r.example.com:5000/base:1", "r.example.com:5000/base:1"),
        ("localhost/base@sha256:0", "localhost/base@sha256:0"),
    ],
)
def test_a_base_image_that_cannot_be_had_is_named_as_it_is_written_with_the_argument_that_replaces_it(
    written: str, asked: str
) -> None:
    output = f"#3 [internal] load metadata for {asked}\n#3 ERROR: no such host\n------\nfailed to solve: no such host\n"

    failure = Heard(f"ARG IMAGE={written}\nFROM $IMAGE\n", output).failure()

    assert str(failure) == (
        f"package.json: pipeline.images.web: the base image {written} is not on the engine and cannot be pulled: no such host"
    )
    assert "set the build arg IMAGE" in failure.hint


def test_a_builder_of_its_own_is_not_said_to_have_the_engine_s_images() -> None:
    output = "#3 [linux/arm64 1/2] FROM r/base:1@sha256:0\n#3 ERROR: not found\n------\nx\n"
    heard = Heard("FROM r/base:1\n", output)

    failure = heard.log.failure(heard.dockerfile.needed_bases({}, ""), "web", apart=True)

    assert str(failure) == "web: the base image r/base:1 cannot be pulled: not found"
    assert failure.hint.startswith("This builder does not see the engine's images")


def test_a_frontend_that_cannot_be_had_is_told_apart_from_a_base_image() -> None:
    output = "#3 resolve image config for docker.io/docker/dockerfile:1\n#3 ERROR: no such host\n------\nx\n"

    failure = Heard("# syntax=docker/dockerfile:1\nFROM base\n", output).failure()

    assert "the frontend docker.io/docker/dockerfile:1 of its `# syntax=` line cannot be pulled: no such host" in str(
        failure
    )
    assert "Leave the line out" in failure.hint


def test_a_cache_that_is_not_there_is_not_to_blame() -> None:
    output = (
        "#5 importing cache manifest from r/none:1\n#5 ERROR: r/none:1: not found\n"
        "#6 [2/2] RUN false\n#6 ERROR: exit code: 1\n------\n > importing cache manifest from r/none:1:\n------\nexit code: 1\n"
    )

    assert str(Heard("FROM base\nRUN false\n", output).failure()).startswith("web/Dockerfile:2: step 2 of 2 failed")


def test_what_fails_after_the_steps_is_told_by_its_name() -> None:
    output = (
        "#9 exporting to image\n#9 ERROR: no space left on device\n------\nfailed to solve: no space left on device\n"
    )

    assert str(Heard("FROM base\n", output).failure()) == "web/Dockerfile: exporting to image: no space left on device"


def test_a_command_that_fails_before_buildkit_begins_is_no_mistake_in_the_dockerfile() -> None:
    failure = Heard("FROM base\n", "unknown flag: --metadata-file\nSee 'docker build --help'.\n").failure()

    assert str(failure) == (
        "web/Dockerfile is not built: the docker command failed before BuildKit began: See 'docker build --help'."
    )
    assert "docker buildx ls" in failure.hint


def test_any_output_is_taken() -> None:
    heard = Heard(
        "FROM base\n", "\n#\n#1\n#1 \n#99999999999999999999 x\n-----\n:1\n-----\n[1/0] x\n#2 [1/2] \n#2 [ 9/2] RUN\n"
    )

    assert isinstance(heard.failure(), Failed)
