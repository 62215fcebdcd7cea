"""The steps of a generated folder (docs/bootstrap.md), and which of them a machine still needs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from pipeline.errors import BadInput, Refused

SUMS = "SHA256SUMS"
ENVIRONMENT = "environment.json"
VARIABLES = "variables.env.example"
_REMAKE = "Make the folder anew with `invoke bootstrap`."
_SCRIPT = re.compile(r"[0-9]{2}-[a-z0-9-]+\.sh")
_VERIFIES = "-verify.sh"
_SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_VARIABLE = re.compile(r"(#?)(?:export )?([A-Za-z_][A-Za-z0-9_]*)=.*")
_NOT_READ = (ENVIRONMENT, "README.md", VARIABLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One numbered script. `everywhere`: on each host, at once; else on the first one, after those before it."""

    name: str
    everywhere: bool

    @property
    def verifies(self) -> bool:
        """It compares, and changes nothing: there is no end to remember."""
        return self.name.endswith(_VERIFIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """What can be supplied, and what the folder says of it."""

    name: str
    required: bool
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A generated folder: `sums` are the checksums of its files by path, `digest` is that of SHA256SUMS itself."""

    environment: str
    sums: Mapping[str, str]
    digest: str
    scripts: tuple[Script, ...]
    variables: tuple[Variable, ...]

    def key(self, script: Script, names: Iterable[str]) -> str:
        """What a finished step is remembered by: the script, all that scripts read, and which variables were given."""
        read = {path: told for path, told in self.sums.items() if not _SCRIPT.fullmatch(path) and path not in _NOT_READ}
        lines = [*(f"{told}  {path}" for path, told in sorted(read.items())), self.sums[script.name], *sorted(names)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A script on one host, and why it is run there, or left."""

    script: Script
    folder: str
    key: str
    runs: bool
    reason: str


def parse_sums(text: str) -> dict[str, str]:
    """SHA256SUMS, by path. Raises BadInput for a line or a path that a generated folder cannot have."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _SUM.fullmatch(line)
        parts = match[2].split("/") if match else [""]
        if match is None or any(part in ("", ".", "..") for part in parts) or match[2] == SUMS or match[2] in found:
            raise BadInput(f"{SUMS}: line {number} is no checksum of a file: {line[:120]!r}", hint=_REMAKE)
        found[match[2]] = match[1]
    return found


def refuse_changed(wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raises Refused naming the first file that is missing or not as SHA256SUMS has it."""
    for path, told in wanted.items():
        if found.get(path) != told:
            what = "was changed since it was written" if path in found else "is missing"
            raise Refused(f"{path} {what}: {SUMS} has {told[:12]}…", hint=_REMAKE)


class _Step(msgspec.Struct):
    script: str
    hosts: str


class _Environment(msgspec.Struct):
    environment: str
    steps: list[_Step]


def parse_folder(sums: bytes, environment: bytes, variables: str, present: Iterable[str]) -> Folder:
    """The folder from its own files' contents. `present` are the names of the numbered scripts that are there.

    Raises BadInput for what is no generated folder, Refused for a script that SHA256SUMS does not cover."""
    checksums = parse_sums(sums.decode(errors="replace"))
    try:
        described = msgspec.json.decode(environment, type=_Environment)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"{ENVIRONMENT} cannot be read: {error}", hint=_REMAKE) from error
    scripts = tuple(_script(step) for step in described.steps)
    names = [script.name for script in scripts]
    for name in sorted(present):
        if name not in checksums:
            raise Refused(f"{name} is not in {SUMS}", hint=f"Nobody wrote it with the others. {_REMAKE}")
    missing = [name for name in names if name not in checksums or name not in present]
    if missing or len(set(names)) != len(names) or set(present) != set(names):
        shown = ", ".join(missing or sorted(set(present) ^ set(names)) or names)
        raise BadInput(f"{ENVIRONMENT}: the steps are not the scripts that are there: {shown}", hint=_REMAKE)
    if not scripts or not scripts[-1].verifies:
        raise BadInput(f"{ENVIRONMENT}: the last step should be a NN{_VERIFIES}", hint=_REMAKE)
    return Folder(
        environment=described.environment,
        sums=checksums,
        digest=hashlib.sha256(sums).hexdigest(),
        scripts=scripts,
        variables=parse_variables(variables),
    )


def is_script(name: str) -> bool:
    return bool(_SCRIPT.fullmatch(name))


def parse_variables(text: str) -> tuple[Variable, ...]:
    """variables.env.example: `NAME=` has to be supplied, `#NAME=` can be; the comments above say what it is."""
    found: list[Variable] = []
    about: list[str] = []
    for line in text.splitlines():
        match = _VARIABLE.fullmatch(line.strip())
        if match:
            found.append(Variable(name=match[2], required=not match[1], about=" ".join(about)))
        about = [*about, line.strip("# ")] if line.startswith("# ") and not match else []
    return tuple(found)


def plan_steps(
    folder: Folder, finished: Mapping[str, str], names: Iterable[str], *, first: bool, again: bool
) -> tuple[Step, ...]:
    """What one host still needs, in order. A step that ended well with these very files and variables is left; from
    the first that did not, all are run (`again`: all of them), because each builds on those before."""
    given, behind, steps = tuple(names), again, []
    for script in folder.scripts:
        if not (script.everywhere or first):
            continue
        key = folder.key(script, given)
        reason = _reason(script, finished.get(script.name, ""), key, behind=behind)
        behind = behind or (bool(reason) and not script.verifies)
        steps.append(
            Step(
                script=script,
                folder=folder.digest,
                key="" if script.verifies else key,
                runs=bool(reason),
                reason=reason or "finished before",
            )
        )
    return tuple(steps)


def _reason(script: Script, finished: str, key: str, *, behind: bool) -> str:
    if script.verifies:
        return "compares what is there with what should be"
    if not finished:
        return "not finished yet"
    if finished != key:
        return "changed since it finished"
    return "run again" if behind else ""


def _script(step: _Step) -> Script:
    if step.hosts not in ("every", "first") or not is_script(step.script):
        raise BadInput(
            f"{ENVIRONMENT}: a step has script {step.script!r} and hosts {step.hosts!r}",
            hint=f"Known: every, first. {_REMAKE}",
        )
    return Script(name=step.script, everywhere=step.hosts == "every")
