"""A Dockerfile as the builder needs it before the engine reads it: instructions by step, stages, ARGs and base images.

Facts of the format: docs.docker.com/reference/dockerfile and the classic builder, which numbers every instruction (the
ARGs before the first FROM too) as one step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.errors import BadInput

PREDEFINED_ARGS = frozenset(
    name
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (proxy, proxy.lower())
)
"""Usable without being declared, and left out of the engine's cache."""

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*(.+?)\s*$")
_HEREDOC = re.compile(r"<<(-?)([\"']?)([A-Za-z_][A-Za-z0-9_]*)\2")
_VARIABLE = re.compile(r"\\(.)|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_FROM = re.compile(r"(?:--platform=(\S+)\s+)?(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_FROM_FLAG = re.compile(r"--from=(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction: `line` counts from 1, `text` is its first line as written, `arguments` all of it joined."""

    keyword: str
    arguments: str
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """An image that a build takes from outside; `variable` is the ARG that chose it, when one did."""

    name: str
    platform: str = ""
    variable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """`file` is for messages."""

    file: str
    instructions: tuple[Instruction, ...]

    @property
    def declared(self) -> frozenset[str]:
        """The names of every ARG, before the first stage and in the stages."""
        return frozenset(
            name for one in self.instructions if one.keyword == "ARG" for name, _ in _assignments(one.arguments)
        )

    def bases(self, args: Mapping[str, str], target: str) -> tuple[Base, ...]:
        """The outside images of the stages up to `target` (all when empty), the final stage's own base last.

        The classic builder makes every stage up to the target, needed or not. Raises BadInput for an unknown target.
        """
        stages = self._stages(target)
        variables = self._globals(args)
        roots: dict[str, Base | None] = {}
        found: dict[Base, None] = {}
        final: Base | None = None
        for index, stage in enumerate(stages):
            base = _base(stage[0].arguments, variables)
            final = roots[base.name.lower()] if base.name.lower() in roots else _outside(base)
            roots[str(index)] = roots[_stage_name(stage[0]) or str(index)] = final
            copied = (_outside(Base(name=name)) for name in _copied_from(stage) if name.lower() not in roots)
            found.update((image, None) for image in (final, *copied) if image is not None)
        if final is not None:
            found[final] = found.pop(final)
        return tuple(found)

    def step(self, number: int) -> Instruction | None:
        """The instruction of the engine's `Step <number>/…`."""
        return self.instructions[number - 1] if 0 < number <= len(self.instructions) else None

    def _stages(self, target: str) -> list[list[Instruction]]:
        stages: list[list[Instruction]] = []
        for one in self.instructions:
            if one.keyword == "FROM":
                stages.append([])
            if stages:
                stages[-1].append(one)
        if not stages:
            raise BadInput(f"{self.file} has no FROM", hint="A Dockerfile begins with a base image: FROM <image>.")
        names = [_stage_name(stage[0]) for stage in stages]
        if not target:
            return stages
        if target.lower() not in names:
            known = ", ".join(name for name in names if name) or "none has a name (FROM … AS <name>)"
            raise BadInput(f"{self.file} has no stage {target!r}", hint=f"Its stages: {known}.")
        return stages[: names.index(target.lower()) + 1]

    def _globals(self, args: Mapping[str, str]) -> dict[str, str]:
        """The ARGs before the first FROM, the only ones that a FROM may use."""
        values: dict[str, str] = {}
        for one in self.instructions:
            if one.keyword == "FROM":
                break
            for name, default in _assignments(one.arguments):
                values[name] = args.get(name, expand(default, values))
        return values


def parse_dockerfile(text: bytes, *, file: str) -> Dockerfile:
    """The instructions in `text`. What is not understood is kept as it stands: the engine is the judge of it."""
    lines = text.decode("utf-8", "surrogateescape").removeprefix("\ufeff").split("\n")
    return Dockerfile(file=file, instructions=tuple(_instructions([line.rstrip("\r") for line in lines])))


def expand(text: str, values: Mapping[str, str]) -> str:
    """`text` with $NAME, ${NAME}, ${NAME:-default} and ${NAME:+alternative} replaced; an unknown name is empty."""

    def replace(found: re.Match[str]) -> str:
        escaped, plain, braced, operator, word = found.groups()
        if escaped is not None:
            return str(escaped)
        value = values.get(plain or braced, "")
        missing = not value if (operator or "").startswith(":") else (plain or braced) not in values
        if operator and operator.endswith("-") and missing:
            return expand(word, values)
        if operator and operator.endswith("+"):
            return "" if missing else expand(word, values)
        return value

    return _VARIABLE.sub(replace, text)


def _instructions(lines: list[str]) -> Iterator[Instruction]:
    escape = _escape_character(lines)
    continued = re.compile(re.escape(escape) + r"[ \t]*$")
    index = 0
    while index < len(lines):
        first, start = lines[index].strip(), index
        index += 1
        if not first or first.startswith("#"):
            continue
        parts = [first]
        while continued.search(parts[-1]) and index < len(lines):
            parts[-1] = continued.sub("", parts[-1])
            line, index = lines[index], index + 1
            if line.strip() and not line.lstrip().startswith("#"):
                parts.append(line)
            else:
                parts[-1] += escape
        whole = "".join([*parts[:-1], continued.sub("", parts[-1])])
        keyword, _, arguments = whole.replace("\t", " ").partition(" ")
        index = _after_heredocs(keyword.upper(), arguments, lines, index)
        yield Instruction(keyword=keyword.upper(), arguments=arguments.strip(), line=start + 1, text=first)


def _escape_character(lines: list[str]) -> str:
    """Directives stand above everything else; the first line that is none ends them."""
    for line in lines:
        found = _DIRECTIVE.match(line.strip())
        if not found:
            break
        if found[1].lower() == "escape":
            return found[2]
    return "\\"


def _after_heredocs(keyword: str, arguments: str, lines: list[str], index: int) -> int:
    """Where the instruction after these heredocs begins: what looks like a FROM inside of one is text."""
    if keyword not in ("RUN", "COPY", "ADD"):
        return index
    for dash, _, word in _HEREDOC.findall(arguments):
        for end in range(index, len(lines)):
            if (lines[end].lstrip("\t") if dash else lines[end]) == word:
                index = end + 1
                break
    return index


def _assignments(arguments: str) -> Iterator[tuple[str, str]]:
    """The NAME=default words of an ARG, unquoted."""
    for word in re.findall(r"(?:\"[^\"]*\"|'[^']*'|\\.|\S)+", arguments):
        name, _, default = word.partition("=")
        yield name, re.sub(r"\"([^\"]*)\"|'([^']*)'", lambda quoted: quoted[1] or quoted[2] or "", default)


def _base(arguments: str, variables: Mapping[str, str]) -> Base:
    found = _FROM.match(arguments)
    if found is None:
        return Base(name="")
    used = _VARIABLE.search(found[2])
    return Base(
        name=expand(found[2], variables).strip("\"'"),
        platform=expand(found[1] or "", variables),
        variable=(used[2] or used[3] or "") if used else "",
    )


def _outside(base: Base) -> Base | None:
    return None if base.name.lower() in ("", "scratch") else base


def _stage_name(start: Instruction) -> str:
    found = _FROM.match(start.arguments)
    return (found[3] or "").lower() if found else ""


def _copied_from(stage: list[Instruction]) -> Iterator[str]:
    for one in stage:
        if one.keyword in ("COPY", "ADD") and (found := _FROM_FLAG.search(one.arguments)):
            yield found[1]
