"""What the docker command writes while BuildKit builds (`--progress=plain`): lines of a log, steps, and a failure.

Facts (buildkit's progressui, 0.8 to 0.25): every line of a step begins with `#<number> `; the first says its name,
`[<platform> <stage> <i>/<n>] <instruction>` for one of the Dockerfile. Of a stage only what makes a layer is counted:
RUN, COPY, ADD, WORKDIR, before them its FROM (when it is an outside image) and the triggers of that image.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

from pipeline.builders.base import Listener
from pipeline.errors import Failed
from pipeline.model.dockerfile import Base, Dockerfile, Instruction, stage_name

_LINE = re.compile(r"#(\d+) (.*)")
_STEP = re.compile(r"\[\s*(?:[a-z0-9]+/\S+\s+)?(?:(\S+)\s+)?(\d+)/(\d+)\] (\S+)")
_SAID = re.compile(r"\d+\.\d+ (.*)")
_DONE = re.compile(r"DONE (\d+\.\d+)s")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PLACE = re.compile(r"\S.*:(\d+)")
_PARSE_ERROR = re.compile(r"parse error (?:on )?line (\d+)")
_BASE = re.compile(r"\[internal\] load metadata for (\S+)|\[[^\]]*\d+/\d+\] FROM (\S+)")
_FRONTEND = re.compile(r"resolve image config for (?:docker-image://)?(\S+)")
_CACHE = "importing cache manifest from"
_LAYERS = ("RUN", "COPY", "ADD", "WORKDIR")
_REPEATED = 30
_PREFIXES = ("ERROR: ", "failed to build: ", "failed to solve: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildKitStep:
    """One step of the Dockerfile as it went. `line` is 0 when it could not be told."""

    name: str
    line: int
    seconds: float
    cached: bool


@dataclass(slots=True)
class _Vertex:
    """What was heard of one number."""

    name: str
    seconds: float = 0.0
    cached: bool = False
    error: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_REPEATED))


class BuildKitLog:
    """Passes a build's lines on as they come and remembers what they say of its steps."""

    def __init__(self, dockerfile: Dockerfile, log: Listener, *, target: str = "") -> None:
        self.last = ""
        self._dockerfile = dockerfile
        self._target = target
        self._log = log
        self._vertices: dict[int, _Vertex] = {}
        self._place = 0
        self._before = ""

    def take(self, line: str) -> None:
        """One line, without its end."""
        found = _LINE.fullmatch(line)
        if found is not None and not self._heard(int(found[1]), found[2]):
            return
        if line.startswith("-----") and (place := _PLACE.fullmatch(self._before)):
            self._place = int(place[1])
        self._before = line
        if line.strip():
            self.last = line.strip()
            self._log(line)

    @property
    def steps(self) -> tuple[BuildKitStep, ...]:
        """The Dockerfile's, without each stage's FROM, which says nothing about the cache."""
        return tuple(
            BuildKitStep(
                name=one.name,
                line=getattr(self._instruction(one.name), "line", 0),
                seconds=one.seconds,
                cached=one.cached,
            )
            for one in self._vertices.values()
            if (step := _STEP.match(one.name)) and step[4] != "FROM"
        )

    def failure(self, bases: tuple[Base, ...], key: str, *, apart: bool = False) -> Failed:
        """What went wrong, after the command has ended with an error. A failing step's last lines are told again right
        before it, because in a long log they are far from the end of the screen. `apart` is a builder that does not see
        the engine's images."""
        failed = [one for one in self._vertices.values() if one.error and not one.name.startswith(_CACHE)]
        error = _bare(self.last)
        vertex = failed[-1] if failed else None
        if not self._vertices:
            return Failed(
                f"{self._dockerfile.file} is not built: the docker command failed before BuildKit began: {error}",
                hint="Its own words are above; `docker version` and `docker buildx ls` tell more.",
            )
        if vertex is None:
            parsed = _PARSE_ERROR.search(error)
            return self._mistake(error, int(parsed[1]) if parsed else self._place)
        if found := _FRONTEND.match(vertex.name):
            return self._no_frontend(found[1], vertex.error)
        if found := _BASE.match(vertex.name):
            base = _named(found[1] or found[2], bases)
            return _no_base_apart(base, vertex.error, key) if apart else _no_base(base, vertex.error, key)
        if _STEP.match(vertex.name):
            return self._broken(vertex)
        return self._mistake(f"{vertex.name}: {vertex.error}", self._place)

    def _heard(self, number: int, text: str) -> bool:
        """Whether the line is worth passing on: the digest of a step is not."""
        vertex = self._vertices.get(number)
        if vertex is None:
            self._vertices[number] = _Vertex(text)
            return True
        if text == "CACHED":
            vertex.cached = True
        elif text.startswith("ERROR: "):
            vertex.error = text.removeprefix("ERROR: ")
        elif done := _DONE.fullmatch(text):
            vertex.seconds = max(vertex.seconds, float(done[1]))
        elif (said := _SAID.fullmatch(text)) and said[1].strip():
            vertex.lines.append(said[1])
        return not _DIGEST.fullmatch(text)

    def _instruction(self, name: str) -> Instruction | None:
        """The instruction of a step by its place in its stage; a trigger of the base image is its FROM's. Old builders
        count triggers without adding them to the total: the text decides then."""
        step = _STEP.match(name)
        stage = self._stage(step[1] or "") if step else []
        if step is None or not stage:
            return None
        counted = [one for one in stage if one.keyword in _LAYERS]
        place = int(step[2]) - 1 - (int(step[3]) - len(counted))
        text = name[step.start(4) :]
        if 0 <= place < len(counted) and _may_be(counted[place], text):
            return counted[place]
        return next((one for one in counted if _plain(one) and _may_be(one, text)), stage[0])

    def _stage(self, name: str) -> list[Instruction]:
        """BuildKit calls a nameless one stage-<number>, and leaves the name out where there is but one."""
        stages = self._dockerfile.stages()
        names = [stage_name(stage[0]) or f"stage-{index}" for index, stage in enumerate(stages)]
        if name.lower() in names:
            return stages[names.index(name.lower())]
        return [] if name else self._dockerfile.stages(self._target)[-1]

    def _broken(self, vertex: _Vertex) -> Failed:
        found = self._dockerfile.at(self._place) or self._instruction(vertex.name)
        step = _STEP.match(vertex.name)
        number = f"step {step[2]} of {step[3]}" + (f" of {step[1]}" if step[1] else "") if step else "the step"
        where = f"{self._dockerfile.file}:{found.line}" if found else self._dockerfile.file
        text = found.text if found else vertex.name
        self._log(f"--- the end of {number}, {where}: {text}")
        for line in vertex.lines:
            self._log(line)
        return Failed(
            f"{where}: {number} failed: {text!r}: {vertex.error}",
            hint="The last lines of the step are above; mend it and build again: what comes before it is in the cache.",
        )

    def _mistake(self, error: str, line: int) -> Failed:
        where = f"{self._dockerfile.file}:{line}" if line else self._dockerfile.file
        return Failed(f"{where}: {error}", hint="Mend the Dockerfile and build again.")

    def _no_frontend(self, name: str, error: str) -> Failed:
        return Failed(
            f"{self._dockerfile.file}: the frontend {name} of its `# syntax=` line cannot be pulled: {error}",
            hint="Leave the line out: the builder's own frontend reads the file then; or name one that you have.",
        )


def _named(name: str, bases: tuple[Base, ...]) -> Base:
    """The base image as it is written down."""
    return next((one for one in bases if _whole(one.name) == _whole(name)), Base(name=name))


def _no_base(base: Base, error: str, key: str) -> Failed:
    return Failed(
        f"{key}: the base image {base.name} is not on the engine and cannot be pulled: {error}",
        hint=f"Load it into the engine, or {_another(base)}.",
    )


def _no_base_apart(base: Base, error: str, key: str) -> Failed:
    return Failed(
        f"{key}: the base image {base.name} cannot be pulled: {error}",
        hint=f"This builder does not see the engine's images: push it to a registry, or {_another(base)}.",
    )


def _another(base: Base) -> str:
    if not base.variable:
        return "name another in the FROM"
    return f"set the build arg {base.variable} to one that you have (pipeline.build_args in invoke.yaml)"


def _plain(one: Instruction) -> bool:
    """Whether BuildKit writes the instruction as it stands: values and here-documents are put in."""
    return not one.heredoc and not set("$\\`") & set(one.arguments)


def _may_be(one: Instruction, text: str) -> bool:
    if _plain(one):
        return f"{one.keyword} {one.arguments}".split() == text.split()
    return text.split(" ", 1)[0] == one.keyword


def _bare(error: str) -> str:
    for prefix in _PREFIXES:
        error = error.removeprefix(prefix)
    return error


def _whole(name: str) -> str:
    """An image's name as BuildKit writes it, without a digest that it has found out."""
    plain, _, digest = name.partition("@")
    first, slash, _ = plain.partition("/")
    if not slash:
        plain = f"docker.io/library/{plain}"
    elif not ("." in first or ":" in first or first == "localhost"):
        plain = f"docker.io/{plain}"
    return plain if digest or ":" in plain.rpartition("/")[2] else f"{plain}:latest"
