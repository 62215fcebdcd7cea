"""A Dockerfile as the builder needs it before the engine reads it: instructions by step, stages, ARGs and base images.

Facts of the format: docs.docker.com/reference/dockerfile and the classic builder, which numbers every instruction (the
ARGs before the first FROM too) as one step.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pipeline.errors import BadInput

PREDEFINED_ARGS = frozenset(
    name
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (proxy, proxy.lower())
)
"""Usable without being declared, and left out of the engine's cache."""

PLATFORM_ARGS = frozenset(
    f"{whose}{part}" for whose in ("TARGET", "BUILD") for part in ("PLATFORM", "OS", "ARCH", "VARIANT")
)
"""BuildKit's own: a FROM may use them undeclared, a stage that declares them gets their values."""

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*(.+?)\s*$")
# A word of its own, as BuildKit's parser has it: `$((1<<A))` and "a <<B" begin none.
_HEREDOC = re.compile(r"(?:^|(?<=\s))\d*<<(-?)([\"']?)([A-Za-z_][A-Za-z0-9_]*)\2(?=\s|$)")
_QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'")
_VARIABLE = re.compile(r"\\(.)|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_FROM = re.compile(r"(?:--platform=(\S+)\s+)?(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=((?:\"[^\"]*\"|'[^']*'|\\.|\S)*))?(?:\s+|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction: `line` counts from 1, `text` is its first line as written, `arguments` all of it joined, without
    the here-documents that follow when `heredoc`."""

    keyword: str
    arguments: str
    line: int
    text: str
    heredoc: bool = False

    @property
    def flags(self) -> tuple[tuple[str, str], ...]:
        """The `--name=value` words in front, in their order; a name may stand twice."""
        found = []
        place = 0
        while flag := _FLAG.match(self.arguments, place):
            found.append((flag[1], (flag[2] or "").strip("\"'")))
            place = flag.end()
        return tuple(found)

    @property
    def mounts(self) -> tuple[dict[str, str], ...]:
        """What each `--mount` of a RUN says; a word without a value is there with an empty one."""
        if self.keyword != "RUN":
            return ()
        return tuple(
            {key.lower(): end for key, _, end in (word.partition("=") for word in value.split(","))}
            for name, value in self.flags
            if name == "mount"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """An image that a build takes from outside; `variable` is the ARG that chose it, when one did."""

    name: str
    platform: str = ""
    variable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """`file` is for messages; `syntax` the frontend image that a `# syntax=` directive names: BuildKit pulls it and
    has it read the file, the classic builder takes the line for a comment."""

    file: str
    instructions: tuple[Instruction, ...]
    syntax: str = ""

    @property
    def declared(self) -> frozenset[str]:
        """The names of every ARG, before the first stage and in the stages."""
        return frozenset(
            name for one in self.instructions if one.keyword == "ARG" for name, _ in assignments(one.arguments)
        )

    def bases(self, args: Mapping[str, str], target: str) -> tuple[Base, ...]:
        """The outside images of the stages up to `target` (all when empty), the final stage's own base last.

        The classic builder makes every stage up to the target, needed or not. Raises BadInput for an unknown target.
        """
        stages = self.stages(target)
        return self._bases(args, stages, range(len(stages)))

    def needed_bases(self, args: Mapping[str, str], target: str) -> tuple[Base, ...]:
        """`bases` as BuildKit has them: those of the stages that the target is made from. `args` may have the values of
        PLATFORM_ARGS; without one, `FROM --platform=$BUILDPLATFORM` is the builder's own platform: an empty one."""
        return self._bases(args, self.stages(target), self.needed(args, target))

    def needed(self, args: Mapping[str, str], target: str) -> tuple[int, ...]:
        """The numbers of the stages that BuildKit makes for `target`, in the order of the file."""
        stages = self.stages(target)
        variables = self._globals(args)
        names: dict[str, int] = {}
        uses: list[list[int]] = []
        for index, stage in enumerate(stages):
            wanted = (_base(stage[0].arguments, variables).name, *_copied_from(stage))
            uses.append([names[one.lower()] for one in wanted if one.lower() in names])
            names[str(index)] = names[stage_name(stage[0]) or str(index)] = index
        found = {len(stages) - 1}
        for index in range(len(stages) - 1, -1, -1):
            if index in found:
                found.update(uses[index])
        return tuple(sorted(found))

    def step(self, number: int) -> Instruction | None:
        """The instruction of the engine's `Step <number>/…`."""
        return self.instructions[number - 1] if 0 < number <= len(self.instructions) else None

    def at(self, line: int) -> Instruction | None:
        """The instruction that the line belongs to."""
        return next((one for one in reversed(self.instructions) if one.line <= line), None)

    def stages(self, target: str = "") -> list[list[Instruction]]:
        """The instructions of each stage from its FROM on, up to `target` (all when empty). Raises BadInput for an
        unknown target and where there is no stage."""
        stages: list[list[Instruction]] = []
        for one in self.instructions:
            if one.keyword == "FROM":
                stages.append([])
            if stages:
                stages[-1].append(one)
        if not stages:
            raise BadInput(f"{self.file} has no FROM", hint="A Dockerfile begins with a base image: FROM <image>.")
        names = [stage_name(stage[0]) for stage in stages]
        if not target:
            return stages
        if target.lower() not in names:
            known = ", ".join(name for name in names if name) or "none has a name (FROM … AS <name>)"
            raise BadInput(f"{self.file} has no stage {target!r}", hint=f"Its stages: {known}.")
        return stages[: names.index(target.lower()) + 1]

    def _bases(
        self, args: Mapping[str, str], stages: list[list[Instruction]], chosen: Collection[int]
    ) -> tuple[Base, ...]:
        variables = self._globals(args)
        roots: dict[str, Base | None] = {}
        found: dict[Base, None] = {}
        final: Base | None = None
        for index, stage in enumerate(stages):
            base = _base(stage[0].arguments, variables)
            final = roots[base.name.lower()] if base.name.lower() in roots else _outside(base)
            roots[str(index)] = roots[stage_name(stage[0]) or str(index)] = final
            copied = (_outside(Base(name=name)) for name in _copied_from(stage) if name.lower() not in roots)
            if index in chosen:
                found.update((image, None) for image in (final, *copied) if image is not None)
        if final is not None:
            found[final] = found.pop(final)
        return tuple(found)

    def _globals(self, args: Mapping[str, str]) -> dict[str, str]:
        """The ARGs before the first FROM, the only ones that a FROM may use."""
        values = {name: value for name, value in args.items() if name in PLATFORM_ARGS}
        for one in self.instructions:
            if one.keyword == "FROM":
                break
            for name, default in assignments(one.arguments):
                values[name] = args.get(name, expand(default, values))
        return values


def parse_dockerfile(text: bytes, *, file: str) -> Dockerfile:
    """The instructions in `text`. What is not understood is kept as it stands: the engine is the judge of it."""
    lines = text.decode("utf-8", "surrogateescape").removeprefix("\ufeff").split("\n")
    lines = [line.rstrip("\r") for line in lines]
    syntax = _directives(lines).get("syntax", "")
    return Dockerfile(file=file, instructions=tuple(_instructions(lines)), syntax=syntax)


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
    escape = _directives(lines).get("escape", "\\")
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
        after = _after_heredocs(keyword.upper(), arguments, lines, index)
        yield Instruction(
            keyword=keyword.upper(),
            arguments=arguments.strip(),
            line=start + 1,
            text=first,
            heredoc=after > index,
        )
        index = after


def _directives(lines: list[str]) -> dict[str, str]:
    """Directives stand above everything else; the first line that is none ends them."""
    found: dict[str, str] = {}
    for line in lines:
        directive = _DIRECTIVE.match(line.strip())
        if not directive:
            break
        found.setdefault(directive[1].lower(), directive[2])
    return found


def _after_heredocs(keyword: str, arguments: str, lines: list[str], index: int) -> int:
    """Where the instruction after these heredocs begins: what looks like a FROM inside of one is text."""
    if keyword not in ("RUN", "COPY", "ADD"):
        return index
    for dash, _, word in _HEREDOC.findall(_QUOTED.sub(_without_spaces, arguments)):
        for end in range(index, len(lines)):
            if (lines[end].lstrip("\t") if dash else lines[end]) == word:
                index = end + 1
                break
    return index


def _without_spaces(quoted: re.Match[str]) -> str:
    return re.sub(r"\s", "_", quoted[0])


def assignments(arguments: str) -> Iterator[tuple[str, str]]:
    """The NAME=default words of an ARG, unquoted."""
    for word in re.findall(r"(?:\"[^\"]*\"|'[^']*'|\\.|\S)+", arguments):
        name, _, default = word.partition("=")
        yield name, re.sub(r"\"([^\"]*)\"|'([^']*)'", lambda quoted: quoted[1] or quoted[2] or "", default)


def _base(arguments: str, variables: Mapping[str, str]) -> Base:
    found = _FROM.match(arguments)
    if found is None:
        return Base(name="")
    used = _VARIABLE.search(found[2])
    variable = (used[2] or used[3] or "") if used else ""
    return Base(
        name=expand(found[2], variables).strip("\"'"),
        platform=expand(found[1] or "", variables),
        variable="" if variable in PLATFORM_ARGS else variable,
    )


def _outside(base: Base) -> Base | None:
    return None if base.name.lower() in ("", "scratch") else base


def stage_name(start: Instruction) -> str:
    found = _FROM.match(start.arguments)
    return (found[3] or "").lower() if found else ""


def _copied_from(stage: list[Instruction]) -> Iterator[str]:
    for one in stage:
        if one.keyword in ("COPY", "ADD"):
            yield from (value for name, value in one.flags if name == "from")
        yield from (mount["from"] for mount in one.mounts if "from" in mount)
