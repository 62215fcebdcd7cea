"""What in a Dockerfile only BuildKit understands, and what it asks of whoever builds: secrets and the ssh agent.

Tried on the classic builder of engine 20.10 and read in that of 23.0: flags of RUN, `--chmod` and an automatic platform
in a FROM are refused by both; `--link` and a here-document by 20.10, while 23.0 reads them and does not do them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.model.dockerfile import PLATFORM_ARGS, Dockerfile, Instruction, assignments

_CLASSIC_FLAGS = {"COPY": ("chown", "from"), "ADD": ("chown",), "RUN": ()}
_GIT = re.compile(r"(?:git@|git://|ssh://|https?://\S+\.git(?:$|[#?]))")
_VARIABLE = re.compile(r"\$\{?(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """Something that only BuildKit understands; shows as `RUN --mount, Dockerfile:7`."""

    what: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.what}, {self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A `RUN --mount` that takes something from whoever builds: `kind` is secret or ssh, `name` its id. A build stops
    at a required one that it is not given, and goes on without any other."""

    kind: str
    name: str
    required: bool
    line: int


def buildkit_features(dockerfile: Dockerfile, target: str = "") -> tuple[Feature, ...]:
    """What the classic builder would refuse or do wrong on the way to `target`, in the order of the file, each once per
    instruction.

    A `# syntax=` line is none of them: the classic builder takes it for a comment, and most files that have one build
    there (`Dockerfile.syntax` tells it). Nor is an `ARG TARGETARCH`: it is empty there, which a file may cater for.
    """
    known = {name for one in _before_stages(dockerfile) for name, _ in assignments(one.arguments)}
    last = dockerfile.stages(target)[-1][-1].line
    found = {
        (what, one.line): Feature(what=what, file=dockerfile.file, line=one.line)
        for one in dockerfile.instructions
        for what in _features(_unwrapped(one), known)
        # A here-document is read by the parser, wherever it stands.
        if one.line <= last or one.heredoc
    }
    return tuple(found.values())


def wanted_mounts(dockerfile: Dockerfile, args: Mapping[str, str], target: str) -> tuple[Wanted, ...]:
    """The secrets and agents that the stages which BuildKit makes for `target` mount."""
    stages = dockerfile.stages(target)
    return tuple(
        Wanted(kind=mount["type"], name=_id(mount), required=_required(mount), line=one.line)
        for index in dockerfile.needed(args, target)
        for one in stages[index]
        for mount in one.mounts
        if mount.get("type") in ("secret", "ssh")
    )


def _features(one: Instruction, known: set[str]) -> Iterator[str]:
    if one.heredoc:
        yield f"{one.keyword} with a here-document"
    for flag, value in one.flags:
        if flag not in _CLASSIC_FLAGS.get(one.keyword, (flag,)):
            yield f"{one.keyword} --{flag}"
        used = {found[1] for found in _VARIABLE.finditer(value)}
        if one.keyword == "FROM" and used & (PLATFORM_ARGS - known):
            yield f"FROM --{flag}={value}"
    if one.keyword == "ADD" and any(_GIT.match(word) for word in one.arguments.split()):
        yield "ADD from git"


def _unwrapped(one: Instruction) -> Instruction:
    """What an ONBUILD puts off."""
    if one.keyword != "ONBUILD":
        return one
    keyword, _, arguments = one.arguments.partition(" ")
    return Instruction(keyword=keyword.upper(), arguments=arguments.strip(), line=one.line, text=one.text)


def _before_stages(dockerfile: Dockerfile) -> Iterator[Instruction]:
    for one in dockerfile.instructions:
        if one.keyword == "FROM":
            return
        yield one


def _id(mount: Mapping[str, str]) -> str:
    """As BuildKit's frontend has it: a secret is named by its target's last part when by nothing else."""
    if mount.get("id"):
        return mount["id"]
    if mount["type"] == "ssh":
        return "default"
    target = next((mount[key] for key in ("target", "dst", "destination") if mount.get(key)), "")
    return posixpath.basename(target)


def _required(mount: Mapping[str, str]) -> bool:
    return "required" in mount and mount["required"].lower() in ("", "true", "1")
