"""A .gitlab-ci.yml as values: its header of inputs, `!reference`, `extends` and what local includes bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import BadInput

GLOBAL = frozenset(
    (
        *("default", "include", "stages", "variables", "workflow", "spec", "pages:deploy"),
        *("image", "services", "cache", "before_script", "after_script"),
    )
)
"""Keys at the top that are no jobs."""

_DEEPEST = 10


@dataclass(frozen=True, slots=True)
class Reference:
    """`!reference [job, key…]`: what stands there."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CiFile:
    """One file: its header (`spec`, empty where there is none) and its content. `plain` is the content as GitLab's
    schema reads it, with references as lists of words."""

    name: str
    header: Mapping[str, Any]
    content: Mapping[str, Any]
    plain: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The jobs as they will be, templates (`.name`) too. `whole`: nothing was left out; of an include from another
    project nothing can be known here."""

    jobs: Mapping[str, Mapping[str, Any]]
    keys: Mapping[str, Any]
    whole: bool

    @property
    def running(self) -> dict[str, Mapping[str, Any]]:
        """Those that can run."""
        return {name: job for name, job in self.jobs.items() if not name.startswith(".")}


def parse_ci(text: str, *, file: str) -> CiFile:
    """Raises BadInput for what is no YAML, and for a file that is no mapping."""
    documents = _documents(text, file)
    header: Mapping[str, Any] = {}
    if len(documents) > 1 and isinstance(documents[0], dict) and "spec" in documents[0]:
        header, *documents = documents
    content = documents[0] if documents else None
    if not isinstance(content, dict) or len(documents) > 1:
        raise BadInput(f"{file}: the file should be one mapping of jobs", hint="For example `build: {script: [make]}`.")
    named = {str(key): value for key, value in content.items()}
    try:
        return CiFile(name=file, header=header, content=named, plain=_plain(named))
    except RecursionError as error:
        raise BadInput(f"{file}: an alias stands inside of itself", hint="Take it out.") from error


def expand(file: CiFile, read: Callable[[str], str]) -> Pipeline:
    """The file with its local includes, `extends` and references filled in. `read` gives a file of the repository."""
    merged, whole = _with_includes(file, read, depth=0)
    jobs = {
        name: job for name, job in merged.items() if name not in GLOBAL and (isinstance(job, dict) or name[0] != ".")
    }
    filled = {name: _filled(_extended(name, merged, ()), merged) for name in jobs if isinstance(merged[name], dict)}
    return Pipeline(jobs=filled, keys={key: merged[key] for key in GLOBAL & set(merged)}, whole=whole)


def _documents(text: str, file: str) -> list[Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """As GitLab reads it: with `!reference`."""

    def reference(loader: yaml.SafeLoader, node: yaml.nodes.Node) -> Reference:
        return Reference(
            tuple(map(str, loader.construct_sequence(node))) if isinstance(node, yaml.SequenceNode) else ()
        )

    Loader.add_constructor("!reference", reference)
    try:
        return list(yaml.load_all(text, Loader=Loader))
    except yaml.YAMLError as error:
        raise BadInput(
            f"{file}: {' '.join(str(error).split())}", hint="Mend the YAML; `!reference` is known."
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Reference):
        return list(value.path)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _with_includes(file: CiFile, read: Callable[[str], str], *, depth: int) -> tuple[dict[str, Any], bool]:
    merged: dict[str, Any] = {}
    whole = True
    includes = file.content.get("include", [])
    for one in includes if isinstance(includes, list) else [includes]:
        name = one.get("local", "") if isinstance(one, dict) else one if isinstance(one, str) else ""
        if not name or "://" in name or "*" in name or "$" in name or depth >= _DEEPEST:
            whole = False
            continue
        included, all_of_it = _with_includes(parse_ci(read(name), file=name), read, depth=depth + 1)
        merged, whole = _over(merged, included), whole and all_of_it
    return _over(merged, file.content), whole


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """As GitLab merges: mappings key by key, all else replaced."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _extended(name: str, jobs: Mapping[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
    """Raises BadInput for a job that extends itself. One that is not there brings nothing."""
    if name in above:
        raise BadInput(f"{' extends '.join((*above, name))}", hint="Take one `extends` out of the circle.")
    job = jobs.get(name)
    if not isinstance(job, dict):
        return {}
    parents = job.get("extends", [])
    merged: dict[str, Any] = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        merged = _over(merged, _extended(str(parent), jobs, (*above, name)))
    return _over(merged, job)


def _filled(value: Any, jobs: Mapping[str, Any], depth: int = 0) -> Any:
    if isinstance(value, Reference):
        return _filled(_at(jobs, value.path), jobs, depth + 1) if depth < _DEEPEST else None
    if isinstance(value, dict):
        return {key: _filled(one, jobs, depth) for key, one in value.items()}
    if not isinstance(value, list):
        return value
    filled: list[Any] = []
    for one in value:
        found = _filled(one, jobs, depth)
        filled.extend(found if isinstance(one, Reference) and isinstance(found, list) else [found])
    return filled


def _at(content: Any, path: tuple[str, ...]) -> Any:
    for word in path:
        content = content.get(word) if isinstance(content, dict) else None
    return content
