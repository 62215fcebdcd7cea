"""The record of a build that travels between verbs and CI jobs: build/<service>/artifact.json."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from pipeline.errors import BadInput, Refused
from pipeline.model.image import BuiltImage
from pipeline.model.release import Release

SCHEMA_VERSION = 1
_SCRIPT = re.compile(r"createKongApi\.(?:(?P<service>[a-z0-9-]+)\.)?(?P<version>[0-9a-f]{8}(?:-dirty)?)\.sh")

OWN_OUTPUTS = (
    "build/*/artifact.json",
    "build/*/report.json",
    "build/*/build.env",
    "build/*/rehearsal.*",
    "build/*.env",
    "build/*.xml",
    "build/changed.gitlab-ci.yml",
    "artifacts/createKongApi.*",
    "artifacts/kong.*",
)
"""What the verbs write into a repository, as patterns from its root. In a repository that is a single service they lie
in the build context: they are left out of it and of the fingerprint, or nothing would ever be unchanged."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """What `build` made of one release; `stack` is the release's. Holds no secret and no clock."""

    schema_version: int = SCHEMA_VERSION
    service: str
    branch: str
    commit: str
    version: str
    stack: str
    images: tuple[BuiltImage, ...]


def artifact_path(service: str) -> str:
    return f"build/{service}/artifact.json"


def write_artifact(artifact: Artifact) -> bytes:
    """The bytes of the file; the same artifact gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(artifact), indent=2) + b"\n"


def read_artifact(text: bytes, *, file: str, release: Release) -> Artifact:
    """The artifact in `text`. Refused when it was made from another commit or worktree state than `release`."""
    try:
        artifact = msgspec.json.decode(text, type=Artifact)
    except msgspec.MsgspecError as error:
        raise BadInput(f"{file} is not a record of a build: {error}", hint="Run `invoke build` again.") from error
    if artifact.schema_version != SCHEMA_VERSION:
        raise BadInput(
            f"{file} has schema_version {artifact.schema_version}, this toolkit reads {SCHEMA_VERSION}",
            hint="Run `invoke build` again with this version.",
        )
    if (artifact.service, artifact.version) != (release.service, release.version):
        raise Refused(
            f"{file} was made from {artifact.service} at {artifact.version}, "
            f"this is {release.service} at {release.version}",
            hint="Run `invoke build` for this commit first.",
        )
    return artifact


def artifact_paths(service: str, version: str, folder: str = "artifacts") -> tuple[str, str, str]:
    """Where the artifacts of a registration lie: the service's route, the whole gateway, and that in decK's format."""
    return (
        f"{folder}/createKongApi.{service}.{version}.sh",
        f"{folder}/createKongApi.{version}.sh",
        f"{folder}/kong.{version}.yaml",
    )


def secrets_path(version: str, folder: str = "artifacts") -> str:
    """Where the secrets of a dump lie, encrypted."""
    return f"{folder}/kong.{version}.secrets.age"


def artifacts_to_remove(
    names: Iterable[str], kept: frozenset[str], services: tuple[str, ...], *, everything: bool
) -> tuple[str, ...]:
    """Of the restore scripts' names those of releases whose version is not kept. Those of a whole gateway belong to no
    service: they go only when `everything` was looked at, and the newest is the caller's to leave out."""
    found = []
    for name in names:
        parts = _SCRIPT.fullmatch(name)
        if parts is None or parts["version"] in kept:
            continue
        if parts["service"] in services if parts["service"] else everything:
            found.append(name)
    return tuple(sorted(found))


def is_script_of(text: str, environment: str, commit: str) -> bool:
    """Whether a script's own header says that it was written for this environment and commit."""
    return f", {made_of(environment, commit)};" in text


def made_of(environment: str, commit: str) -> str:
    """The words of a script's header."""
    return f"environment {environment or 'unknown'}, commit {commit or 'unknown'}"
