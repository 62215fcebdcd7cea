"""Images: what is to be built, from what, under which name; and what was."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import msgspec

from pipeline.errors import BadInput
from pipeline.model.manifest import ImageSource, Manifest
from pipeline.model.release import Release, slug_of

LABEL = "pipeline."
SERVICE_LABEL = LABEL + "service"
COMPOSE_SERVICE_LABEL = LABEL + "compose-service"
STACK_LABEL = LABEL + "stack"
BRANCH_LABEL = LABEL + "branch"
COMMIT_LABEL = LABEL + "commit"
FINGERPRINT_LABEL = LABEL + "fingerprint"
SOURCES_LABEL = LABEL + "sources"
PIN_LABEL = LABEL + "keep"
"""On a container: prune keeps its stack."""
DOCKER_IO = "docker.io"
OCI_LABEL = "org.opencontainers.image."


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One image of one release. `context` is an absolute path, and so is `dockerfile`, empty for the context's own.

    `args` are the build args that were written for this image and `machine_args` those that the settings offer to
    every image; `facts` (version, branch, stack) are the ones that the fingerprint leaves out. A builder gives the
    engine those that the Dockerfile declares. `secrets` (names of variables), `ssh` (ids) and `platforms` are
    BuildKit's. `key` says where the image is written down, for messages.
    """

    service: str
    compose_service: str
    reference: str
    context: str
    dockerfile: str = ""
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    machine_args: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    newest: tuple[str, ...] = ()
    key: str = ""

    @property
    def repository(self) -> str:
        return parse_reference(self.reference).repository

    @property
    def branch(self) -> str:
        return self.labels.get(BRANCH_LABEL, "")

    @property
    def options(self) -> tuple[str, ...]:
        """What the recipe asks of the builder that changes the image, by name."""
        ssh, platforms = (f"ssh {one}" for one in self.ssh), (f"platform {one}" for one in self.platforms)
        return (*(f"secret {one}" for one in self.secrets), *ssh, *platforms)

    @property
    def dockerfile_in_context(self) -> str:
        """The Dockerfile's path from the context's folder, as far as that can be told without looking."""
        return posixpath.relpath(self.dockerfile, self.context) if self.dockerfile else "Dockerfile"


class BuiltImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image as a platform may run it: by `digest` (`name@sha256:…`) when it was pushed, else by `id` on the engine
    that built it. `built_for` is the stack of the release that it was built for: an older one when nothing changed."""

    compose_service: str
    reference: str
    id: str
    digest: str = ""
    fingerprint: str = ""
    built_for: str = ""

    @property
    def runnable(self) -> str:
        return self.digest or self.id


def plan_recipes(
    manifest: Manifest,
    release: Release,
    sources: Mapping[str, ImageSource | None],
    *,
    folder: str,
    prefix: str,
    build_args: Mapping[str, str],
    default_branches: tuple[str, ...] = (),
) -> tuple[Recipe, ...]:
    """The images of a release, in the order they are written down; none when the stack only runs others' images.

    `sources` has every compose service that is not given by an `image` alone: its `build:` entry, or None where it has
    neither. The manifest's images win over them; a single service with neither is built from the folder. `folder` is
    the service's, absolute; `prefix` a registry and path or empty; `build_args` what this machine offers;
    `default_branches` the branches whose images may serve as a cache for this one's. Whether
    Dockerfile and context exist is for the builder to find out: it raises BadInput with the recipe's `key`.
    """
    chosen = dict(_choose(manifest, sources))
    alone = len(chosen) == 1
    return tuple(
        Recipe(
            service=manifest.name,
            compose_service=name,
            reference=f"{_repository(prefix, manifest.name, '' if alone else name)}:{release.tag}",
            context=posixpath.normpath(posixpath.join(folder, source.context)),
            dockerfile=_dockerfile(folder, source),
            target=source.target,
            args=source.args,
            machine_args=build_args,
            facts=release.facts,
            labels=image_labels(release, name),
            secrets=source.secrets,
            ssh=source.ssh,
            platforms=source.platforms,
            newest=newest_tags(release.slug, default_branches) if prefix else (),
            key=key,
        )
        for name, (key, source) in chosen.items()
    )


def newest_tags(slug: str, default_branches: tuple[str, ...]) -> tuple[str, ...]:
    """The tags of the newest image of a branch and of the default ones. The dot keeps them apart from every release's
    tag: no slug has one."""
    slugs = dict.fromkeys((slug, *map(slug_of, default_branches)))
    return tuple(f"{one}.newest" for one in slugs)


def sources_tag(fingerprint: str) -> str:
    """The tag under which a registry has the image of a fingerprint."""
    return f"sources.{fingerprint[:40]}"


def image_labels(release: Release, compose_service: str) -> dict[str, str]:
    """What an image says of the release that it was built for. `created` is the commit's date, so that the same commit
    gives the same image; a source's user and password stay out of it."""
    found = {
        OCI_LABEL + "revision": release.commit,
        OCI_LABEL + "source": _public(release.source),
        OCI_LABEL + "created": datetime.fromtimestamp(release.committed_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        OCI_LABEL + "version": release.version,
        OCI_LABEL + "ref.name": release.branch,
        OCI_LABEL + "title": release.service,
        SERVICE_LABEL: release.service,
        COMPOSE_SERVICE_LABEL: compose_service,
        STACK_LABEL: release.stack,
        BRANCH_LABEL: release.branch,
        COMMIT_LABEL: release.commit,
    }
    return {name: value for name, value in found.items() if value}


def labelling(image: str, labels: Mapping[str, str]) -> bytes:
    """A Dockerfile that puts labels on an image in one step. Values are taken as they are, but for line ends."""
    words = (f'"{_quoted(name)}"="{_quoted(value)}"' for name, value in sorted(labels.items()))
    return f"FROM {image}\nLABEL {' '.join(words)}\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An image's name in its parts. `registry` is empty for docker.io; a name without a tag means `latest`."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        return f"{self.registry}/{self.path}" if self.registry else self.path


def is_docker_io(registry: str) -> bool:
    """Whether a reference's registry is docker.io, by none of its names or by one."""
    return not registry or registry == DOCKER_IO or registry.endswith(f".{DOCKER_IO}")


def parse_reference(text: str) -> Reference:
    """`[registry/]path[:tag][@digest]`: the first part is a registry when it has a dot or a colon, or is localhost."""
    name, _, digest = text.partition("@")
    first, slash, rest = name.partition("/")
    is_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    path, colon, tag = (rest if is_registry else name).partition(":")
    return Reference(
        registry=first if is_registry else "",
        path=path,
        tag=tag if colon else "" if digest else "latest",
        digest=digest,
    )


def _choose(
    manifest: Manifest, sources: Mapping[str, ImageSource | None]
) -> Iterator[tuple[str, tuple[str, ImageSource]]]:
    """Per compose service: where its image is written down, and from what it is built."""
    compose = posixpath.join(posixpath.dirname(manifest.file), manifest.pipeline.compose)
    built = {name: source for name, source in sources.items() if source is not None}
    bare = [name for name, source in sources.items() if source is None]
    if manifest.pipeline.images:
        for name, source in manifest.pipeline.images.items():
            yield name, (f"{manifest.file}: pipeline.images.{name}", source)
    elif built:
        for name, source in built.items():
            yield name, (f"{manifest.pipeline.compose}: services.{name}.build", source)
    elif len(bare) == 1:
        yield bare[0], (f"{manifest.pipeline.compose}: services.{bare[0]}", ImageSource())
    elif bare:
        raise BadInput(
            f"{compose}: {', '.join(bare)} have neither image nor build",
            hint="Give each an `image:` or a `build:`, or name its source under pipeline.images in the manifest.",
        )


def _repository(prefix: str, service: str, compose_service: str) -> str:
    ending = f"-{compose_service.lower()}" if compose_service not in ("", service) else ""
    return f"{prefix}/{service}{ending}" if prefix else f"{service}{ending}"


def _dockerfile(folder: str, source: ImageSource) -> str:
    """Relative to the context, as compose has it."""
    if not source.dockerfile:
        return ""
    return posixpath.normpath(posixpath.join(folder, source.context, source.dockerfile))


def _quoted(text: str) -> str:
    """For double quotes in a Dockerfile, where a backslash, a quote and a dollar mean something."""
    return re.sub(r'([\\"$])', r"\\\1", " ".join(text.splitlines()))


def _public(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.scheme else url
