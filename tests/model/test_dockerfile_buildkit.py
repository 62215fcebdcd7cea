"""What only BuildKit understands, with its line; what the classic builder takes is not named."""

from __future__ import annotations

import pytest

from pipeline.errors import BadInput
from pipeline.model.dockerfile import parse_dockerfile
from pipeline.model.dockerfile_buildkit import Wanted, buildkit_features, wanted_mounts


def features(text: str, target: str = "") -> list[str]:
    return [str(one) for one in buildkit_features(parse_dockerfile(text.encode(), file="Dockerfile"), target)]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("RUN --mount=type=cache,target=/c --mount=type=ssh true", "RUN --mount"),
        ("RUN --network=none true", "RUN --network"),
        ("RUN --security=insecure true", "RUN --security"),
        ("COPY --chmod=755 a b", "COPY --chmod"),
        ("COPY --from=x --link a b", "COPY --link"),
        ("ADD --checksum=sha256:0 https://e/x /", "ADD --checksum"),
        ("ADD --chmod=755 a b", "ADD --chmod"),
        ("ADD https://e/x.git#main /x", "ADD from git"),
        ("ADD git@e:x.git /x", "ADD from git"),
        ("RUN <<EOF\nFROM no\nEOF", "RUN with a here-document"),
        ("COPY <<a.txt <<b.txt /\n", None),
        ("COPY <<a /x\ntext\na", "COPY with a here-document"),
        ("ONBUILD RUN --mount=type=ssh true", "RUN --mount"),
        ("FROM --platform=$BUILDPLATFORM y", "FROM --platform=$BUILDPLATFORM"),
        ("RUN tool --mount=x", None),
        ("COPY --chown=1:1 --from=x a b", None),
        ("ADD --chown=1 https://e/x.tar.gz /", None),
        ("HEALTHCHECK --interval=5s CMD true", None),
        ("FROM --platform=linux/amd64 y", None),
        ("ARG TARGETARCH", None),
        ("RUN echo $((1<<A))\nRUN A", None),
    ],
)
def test_what_the_classic_builder_refuses_is_named_with_its_line(line: str, what: str | None) -> None:
    assert features(f"FROM x\n\n{line}\n") == ([f"{what}, Dockerfile:3"] if what else [])


def test_a_syntax_directive_alone_asks_for_nothing() -> None:
    assert features("# syntax=docker/dockerfile:1\nFROM x\n") == []


def test_a_platform_argument_of_the_file_s_own_is_no_automatic_one() -> None:
    assert features("ARG BUILDPLATFORM=linux/amd64\nFROM --platform=$BUILDPLATFORM x\n") == []


def test_what_stands_after_the_target_does_not_matter_unless_the_parser_reads_it() -> None:
    text = "FROM x AS one\nRUN --mount=type=ssh a\nFROM x AS two\nRUN --network=none b\nCOPY <<E /\nE\n"

    assert features(text, "one") == ["RUN --mount, Dockerfile:2", "COPY with a here-document, Dockerfile:5"]


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(BadInput, match="no stage 'z'"):
        features("FROM x\n", "z")


def test_mounts_of_secrets_and_of_the_agent_are_told_for_the_needed_stages() -> None:
    text = (
        "FROM x AS unused\nRUN --mount=type=secret,id=NO true\nFROM x\n"
        "RUN --mount=type=secret,id=TOKEN,required=true --mount=type=ssh true\n"
        "RUN --mount=type=secret,target=/etc/KEY,required=false --mount=type=ssh,id=git,required --mount=type=cache,target=/c true\n"
    )
    found = wanted_mounts(parse_dockerfile(text.encode(), file="Dockerfile"), {}, "")

    assert found == (
        Wanted(kind="secret", name="TOKEN", required=True, line=4),
        Wanted(kind="ssh", name="default", required=False, line=4),
        Wanted(kind="secret", name="KEY", required=False, line=5),
        Wanted(kind="ssh", name="git", required=True, line=5),
    )
