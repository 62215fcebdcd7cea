"""The repository on disk: where it begins, which services it holds, its settings files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import BadInput

_MANIFESTS = ("config/package.json", "package.json")
_ROOT_SIGNS = ("invoke.yaml", "invoke.local.yaml", "tasks.py", ".git", *_MANIFESTS)
_SERVICE_SIGNS = ("Dockerfile", "docker-compose.yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A service's folder and manifest; `shown` is the manifest's path from the root, for messages."""

    path: Path
    manifest: Path
    shown: str
    name: str


def find_root(start: Path) -> Path:
    """The nearest folder, from `start` upwards, that looks like a repository; inside an estate that is the estate."""
    signs = [folder for folder in (start, *start.parents) if any((folder / sign).exists() for sign in _ROOT_SIGNS)]
    for folder in signs:
        if (folder / "invoke.yaml").exists() or (folder / ".git").exists():
            return folder
    return signs[0] if signs else start


def find_folders(root: Path, services: str, variables: Mapping[str, str]) -> tuple[Folder, ...]:
    """The services: folders under `services/` (an estate), or the root itself (a single service).

    Raises BadInput when there is none, and for a folder that is built but says nothing of itself.
    """
    estate = root / services
    found = []
    for path in sorted(estate.iterdir()) if estate.is_dir() else ():
        manifest = _manifest_in(path)
        if manifest is not None:
            found.append(Folder(path=path, manifest=manifest, shown=str(manifest.relative_to(root)), name=path.name))
        elif any((path / sign).exists() for sign in _SERVICE_SIGNS):
            raise BadInput(
                f"{path.relative_to(root)} has no {_MANIFESTS[0]}",
                hint=f'Add {path.relative_to(root)}/{_MANIFESTS[0]} with at least {{ "uri": "/ws/{path.name}" }}.',
            )
    if found:
        return tuple(found)
    manifest = _manifest_in(root)
    if manifest is None:
        raise BadInput(
            f"{root} has neither {services}/ with services in it nor a {_MANIFESTS[0]} of its own",
            hint='A service says where it answers: config/package.json with { "uri": "/ws/cities" }.',
        )
    name = variables.get("service_name") or variables.get("CI_PROJECT_NAME", "").lower() or root.name.lower()
    return (Folder(path=root, manifest=manifest, shown=str(manifest.relative_to(root)), name=name),)


def read_settings_files(root: Path) -> tuple[tuple[str, object], ...]:
    """What stands under `pipeline` in invoke.yaml and invoke.local.yaml, in that order; missing files are left out."""
    import yaml

    contents = []
    for name in ("invoke.yaml", "invoke.local.yaml"):
        path = root / name
        if not path.exists():
            continue
        try:
            loaded = yaml.safe_load(path.read_bytes())
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise BadInput(f"{path} cannot be read: {' '.join(str(error).split())}", hint="Mend the file.") from error
        if loaded is not None and not isinstance(loaded, dict):
            raise BadInput(
                f"{path} should be a mapping", hint="Settings of this toolkit stand under the key pipeline:."
            )
        contents.append((name, (loaded or {}).get("pipeline")))
    return tuple(contents)


def _manifest_in(folder: Path) -> Path | None:
    return next((folder / name for name in _MANIFESTS if (folder / name).is_file()), None)
