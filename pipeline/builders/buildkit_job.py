"""One build with BuildKit: what is wanted, what cannot be had, and the docker command's words and environment for it.

Facts: docker/cli 20.10 (cli/command/image/build_buildkit.go), buildx 0.8 to 0.30 (commands/build.go): a `--build-arg
NAME` takes its value from the command's environment; so does `--secret id=…,env=…`, from a variable of any name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.edge.docker_command import DockerCommand, docker_environment, version_of
from pipeline.errors import BadInput
from pipeline.model.address import EngineAddress
from pipeline.model.secret import Secret

Attestation = Literal["provenance", "sbom"]

_SECRET = "PIPELINE_BUILD_SECRET_"  # noqa: S105 - the beginning of a variable's name
_ATTESTING = (0, 10)
_STEERING = re.compile(
    r"(?:DOCKER|BUILDX|OTEL|XDG|LD|GIT|SSL_CERT|SSH)_\w+|(?:https?|ftp|no|all)_proxy|PATH|HOME|USER|TMPDIR|KUBECONFIG"
    r"|GO(?:DEBUG|GC|MAXPROCS|MEMLIMIT|TRACEBACK)|NO_COLOR|TERM|TZ|LANG|SOURCE_DATE_EPOCH|BUILDKIT_(?:HOST|PROGRESS|COLORS)",
    re.IGNORECASE,
)
"""Variables that the docker command, its plugin or its credential helpers go by."""
_LOGIN = re.compile(r"://[^/@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildKitJob:
    """What one build is to do. `dockerfile` is its name in the stream, `key` where the image is written down, for
    messages. No tag is given, but for `push`: then the builder itself sends `reference` to its registry.

    `args` and `labels` are given as they stand; `ssh` are ids for the agent of SSH_AUTH_SOCK. `cache_to`: registry
    writes the layers of all stages to `cache_reference`, inline what the image itself can be a cache for into it.
    `attest` is what is wanted; the result says what there is. `docker_config` is a folder with the config.json that has
    the registries' logins, empty for the user's own. Values of `secrets` and `hidden` are masked wherever a line shows
    them: BuildKit writes the values of args into the names of its steps.
    """

    engine: EngineAddress
    key: str
    dockerfile: str = "Dockerfile"
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    hidden: tuple[Secret, ...] = ()
    ssh: tuple[str, ...] = ()
    no_cache: bool = False
    cache_from: tuple[str, ...] = ()
    cache_to: Literal["", "inline", "registry"] = ""
    cache_reference: str = ""
    push: bool = False
    reference: str = ""
    attest: tuple[Attestation, ...] = ()
    docker_config: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """Where buildx builds: its driver's name; `whole` when that can do several platforms, caches in registries and
    attestations, which the plain docker driver cannot."""

    name: str
    whole: bool


def needs_whole(job: BuildKitJob) -> bool:
    """Whether only a whole driver will do: the user's current builder is taken then. Everything else is built by the
    engine itself, as `docker build` does it: another driver does not see the engine's images."""
    return job.push or job.cache_to == "registry" or len(job.platforms) > 1


def check_job(job: BuildKitJob, command: DockerCommand, driver: Driver | None) -> None:
    """Raises BadInput for what this command and driver cannot do, with what to do about it."""
    several = len(job.platforms) > 1
    if several and not job.push:
        raise BadInput(
            f"{job.key}.platforms: {', '.join(job.platforms)}: an image of several platforms exists only in a registry",
            hint="Set CI_REGISTRY_IMAGE and push, or name one platform.",
        )
    if job.push and not job.reference:
        raise BadInput(f"{job.key}: a push wants a reference", hint="Set CI_REGISTRY_IMAGE.")
    wish = next(_wishes(job, several), "")
    if wish and command.kind == "builtin":
        raise BadInput(
            f"{job.key}: {command} cannot {wish}",
            hint="Install docker's buildx plugin and make a builder for it: `docker buildx create --use`.",
        )
    if wish and driver is not None and not driver.whole:
        raise BadInput(
            f"{job.key}: the builder of {command} has the driver {driver.name}, which cannot {wish}",
            hint="Make one that can: `docker buildx create --use`; or switch the engine to the containerd image store.",
        )


def attested(job: BuildKitJob, command: DockerCommand) -> tuple[tuple[Attestation, ...], str]:
    """What the build attests, and why no more than that."""
    if not job.attest:
        return (), "not asked for"
    if command.kind == "builtin":
        return (), f"{command} has no buildx plugin, which makes them"
    if version_of(command.buildx) < _ATTESTING:
        return (), f"buildx {command.buildx} is older than 0.10, which makes them first"
    if not job.push:
        return (), "they are kept beside an image in its registry, and the builder pushes none"
    return job.attest, ""


def build_words(
    job: BuildKitJob, command: DockerCommand, *, builder: str, folder: str, source: str, dockerfile: str = ""
) -> list[str]:
    """The command line. `builder` is buildx's, empty for the current one; `folder` takes the files of the result;
    `source` is `-` for a stream, else a folder, and `dockerfile` its Dockerfile elsewhere. No value of an arg or a
    secret stands in it, but for those args whose names steer the command (see `arguments`)."""
    words = [command.path, "build"] if command.kind == "builtin" else [command.path, "buildx", "build"]
    name = dockerfile or job.dockerfile
    words += ["--progress=plain", "--file", f"./{name}" if name.startswith("-") else name]
    words += ["--iidfile", f"{folder}/id"]
    if command.kind == "buildx":
        words += _buildx_words(job, command, builder, folder)
    words += [word for one in arguments(job) for word in ("--build-arg", one)]
    if job.cache_to == "inline":
        words += ["--build-arg", "BUILDKIT_INLINE_CACHE=1"]
    words += [word for name, value in sorted(job.labels.items()) for word in ("--label", f"{name}={value}")]
    words += [word for one in job.cache_from for word in ("--cache-from", one)]
    secrets = enumerate(sorted(job.secrets))
    words += [word for number, one in secrets for word in ("--secret", f"id={one},env={_SECRET}{number}")]
    words += [word for one in job.ssh for word in ("--ssh", one)]
    if job.platforms:
        words += ["--platform", ",".join(job.platforms)]
    if job.target:
        words += ["--target", job.target]
    if job.no_cache:
        words.append("--no-cache")
    return [*words, "--", source]


def build_environment(job: BuildKitJob, environ: Mapping[str, str]) -> dict[str, str]:
    """The command's environment: it alone has the values of args and secrets."""
    found = docker_environment(environ, job.engine)
    by_name = {one for one in arguments(job) if "=" not in one}
    found |= {name: value for name, value in job.args.items() if name in by_name}
    found |= {f"{_SECRET}{number}": job.secrets[name].reveal() for number, name in enumerate(sorted(job.secrets))}
    found |= {"DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    return found


def arguments(job: BuildKitJob) -> Iterator[str]:
    """The words after `--build-arg`: a name whose value is in the environment. A name that the command itself goes by
    (PATH, DOCKER_HOST, HTTP_PROXY) would change what it does: its value stands on the command line, where every user of
    the machine can read it, and one that looks like a login is therefore refused."""
    for name, value in sorted(job.args.items()):
        if not name or "=" in name or "\0" in name + value:
            raise BadInput(f"{job.key}: the build arg {name!r} cannot be given", hint="No = in its name, no NUL.")
        if not _STEERING.fullmatch(name):
            yield name
        elif _LOGIN.search(value) or name.upper() == "DOCKER_AUTH_CONFIG":
            raise BadInput(
                f"{job.key}: the build arg {name} holds a login, and would show it to every user of this machine",
                hint="Give it as a build secret; a proxy's login may stand in docker's config.json, under proxies.",
            )
        else:
            yield f"{name}={value}"


def _wishes(job: BuildKitJob, several: bool) -> Iterator[str]:
    """What is wanted of the builder that not every one can."""
    if several:
        yield f"build {', '.join(job.platforms)} in one image"
    if job.cache_to == "registry":
        yield "keep its cache in a registry"
    if job.push:
        yield "push"


def _buildx_words(job: BuildKitJob, command: DockerCommand, builder: str, folder: str) -> list[str]:
    words = ["--metadata-file", f"{folder}/metadata"]
    if builder:
        words += ["--builder", builder]
    words += ["--push", "--tag", job.reference] if job.push else ["--load"]
    if job.cache_to == "registry":
        words += ["--cache-to", f"type=registry,mode=max,ref={job.cache_reference}"]
    given, _ = attested(job, command)
    if version_of(command.buildx) >= _ATTESTING:
        # Unasked, some versions add a provenance, and a plain image becomes a list of two.
        words.append(f"--provenance={'mode=min' if 'provenance' in given else 'false'}")
        words.append(f"--sbom={'true' if 'sbom' in given else 'false'}")
    return words
