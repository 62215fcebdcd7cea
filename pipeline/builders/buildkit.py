"""Builds with BuildKit, through the docker command of this machine: a stream of ours in, an image's id out."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.builders.base import Listener
from pipeline.builders.buildkit_job import (
    Attestation,
    BuildKitJob,
    Driver,
    attested,
    build_environment,
    build_words,
    check_job,
    needs_whole,
)
from pipeline.builders.buildkit_log import BuildKitLog, BuildKitStep
from pipeline.builders.docker_log import gone
from pipeline.edge.context import IGNORE_FILE, Context
from pipeline.edge.docker_command import DockerCommand, command_context, docker_environment, overlay_config
from pipeline.edge.masking import Mask
from pipeline.edge.process import Answer, Process, answer_of, running
from pipeline.errors import BadInput, Failed, Interrupted, PipelineError
from pipeline.model.dockerfile import Dockerfile
from pipeline.model.dockerfile_buildkit import wanted_mounts

_QUESTION_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildKitResult:
    """What a build gave: the image's id on the engine (empty after a push: the registry alone has it) and its digest in
    the registry (`sha256:…`, empty unless pushed). `steps` are the Dockerfile's, without its FROMs.

    `attestations` are those kept beside the image in the registry; `unattested` says why there are no more;
    `provenance` is the document where the builder gives one, without build args: the builder writes their values there.
    """

    id: str
    digest: str
    steps: tuple[BuildKitStep, ...]
    attestations: tuple[Attestation, ...]
    unattested: str
    provenance: Mapping[str, Any] | None

    @property
    def cached(self) -> int:
        return sum(step.cached for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A context that the docker command reads by itself, sending only what changed since the last time. The Dockerfile
    and the lines of its ignore file are given apart, so that neither arrives unless it lies in the folder and is not
    ignored: in a stream, BuildKit has no way to hide them."""

    path: str
    dockerfile: bytes
    ignore: bytes


class BuildKit:
    """One docker command. Several threads may build at once."""

    def __init__(self, command: DockerCommand, environ: Mapping[str, str]) -> None:
        self.command = command
        self._environ = environ
        self._running: set[Process] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def build(
        self, job: BuildKitJob, context: Iterable[bytes] | Folder, dockerfile: Dockerfile, log: Listener
    ) -> BuildKitResult:
        """Builds, and gives no tag; the log streams to `log`, secrets masked. A second call builds again, from the
        cache. However it ends, no process is left, and an unfinished build ends on the engine too.

        Raises BadInput for what this command cannot do and for a secret that is wanted and not given; Failed with the
        Dockerfile's line; Unreachable when the engine went away; what `context` or `log` raise; Interrupted after
        `stop`.
        """
        check_job(job, self.command, self._driver(job))
        self._check_mounts(job, dockerfile)
        masked = Mask((*job.secrets.values(), *job.hidden))
        steps = BuildKitLog(dockerfile, log, target=job.target)
        with tempfile.TemporaryDirectory(prefix="pipeline-build-") as folder:
            environ = self._environment(job, folder)
            words, pieces = self._command(job, context, folder)
            with self._run(words, environ, pieces) as process:
                for line in process.lines():
                    steps.take(masked(line))
            if process.stopped:
                raise Interrupted(f"{job.key}: the build was stopped; nothing was tagged", hint="Build again.")
            if process.code:
                raise self._failure(job, dockerfile, steps)
            return self._result(job, environ, folder, steps)

    def stop(self) -> None:
        """Ends every build that runs, as Ctrl-C does, and lets no other begin; each raises Interrupted in its own
        thread."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.stop()

    def _driver(self, job: BuildKitJob) -> Driver | None:
        if self.command.kind == "builtin" or not needs_whole(job):
            return None
        environ = docker_environment(self._environ, job.engine)
        answer = self._ask(["buildx", "inspect"], environ)
        lines = [line.partition(":") for line in answer.out.splitlines()]
        name = next((value.strip() for key, _, value in lines if key.strip() == "Driver"), "")
        if answer.code != 0 or not name:
            raise Failed(
                f"{self.command} does not tell its builder: {(answer.err or answer.out).strip()}",
                hint="`docker buildx ls` shows the builders; `docker buildx create --use` makes one.",
            )
        if name != "docker":
            return Driver(name=name, whole=True)
        # With the containerd image store the engine's own BuildKit does what the other drivers do.
        store = self._ask(["info", "--format", "{{json .DriverStatus}}"], environ)
        return Driver(name=name, whole="io.containerd.snapshotter" in store.out)

    def _check_mounts(self, job: BuildKitJob, dockerfile: Dockerfile) -> None:
        for one in wanted_mounts(dockerfile, job.args, job.target):
            given = job.secrets if one.kind == "secret" else job.ssh
            if one.required and one.name not in given:
                kind, key = ("secret", "secrets") if one.kind == "secret" else ("ssh agent", "ssh")
                raise BadInput(
                    f"{dockerfile.file}:{one.line} wants the {kind} {one.name}, which {job.key} does not give",
                    hint=f"Name it there: {key}: [{one.name!r}].",
                )
        socket = self._environ.get("SSH_AUTH_SOCK", "")
        if job.ssh and not os.path.exists(socket):
            raise BadInput(
                f"{job.key}.ssh: no ssh agent answers" + (f" at {socket}" if socket else ": SSH_AUTH_SOCK is not set"),
                hint='Start one and give it the key: eval "$(ssh-agent)"; ssh-add.',
            )

    def _environment(self, job: BuildKitJob, folder: str) -> dict[str, str]:
        found = build_environment(job, self._environ)
        if job.docker_config:
            found |= overlay_config(found, job.docker_config, f"{folder}/config")
        return found

    def _command(
        self, job: BuildKitJob, context: Iterable[bytes] | Folder, folder: str
    ) -> tuple[list[str], Iterable[bytes] | None]:
        builder = ""
        if not needs_whole(job) and "BUILDX_BUILDER" not in self._environ:
            builder = command_context(docker_environment(self._environ, job.engine))
        if not isinstance(context, Folder):
            return build_words(job, self.command, builder=builder, folder=folder, source="-"), context
        place = Path(folder, "Dockerfile")
        place.write_bytes(context.dockerfile)
        Path(folder, "Dockerfile.dockerignore").write_bytes(context.ignore)
        words = build_words(
            job, self.command, builder=builder, folder=folder, source=context.path, dockerfile=str(place)
        )
        return words, None

    @contextmanager
    def _run(self, words: list[str], environ: Mapping[str, str], pieces: Iterable[bytes] | None) -> Iterator[Process]:
        with running(words, environ, pieces) as process:
            with self._lock:
                self._running.add(process)
                if self._stopped:
                    process.stop()
            try:
                yield process
            finally:
                with self._lock:
                    self._running.discard(process)

    def _failure(self, job: BuildKitJob, dockerfile: Dockerfile, steps: BuildKitLog) -> PipelineError:
        """An engine that does not answer any more is the reason, whatever the last line says."""
        environ = docker_environment(self._environ, job.engine)
        if self._ask(["version", "--format", "{{.Server.Version}}"], environ).code != 0:
            return gone(job.engine, f"build {dockerfile.file}", steps.last)
        return steps.failure(dockerfile.needed_bases(job.args, job.target), job.key, apart=needs_whole(job))

    def _result(self, job: BuildKitJob, environ: Mapping[str, str], folder: str, steps: BuildKitLog) -> BuildKitResult:
        told = _told(Path(folder, "metadata"))
        digest = str(told.get("containerimage.digest", ""))
        candidates = (_text(Path(folder, "id")), str(told.get("containerimage.config.digest", "")), digest)
        given, lack = attested(job, self.command)
        provenance = _without_args(told.get("buildx.build.provenance"))
        return BuildKitResult(
            id="" if job.push else self._id(candidates, environ, steps),
            digest=digest if job.push else "",
            steps=steps.steps,
            attestations=given,
            unattested=lack,
            provenance=provenance if isinstance(provenance, dict) else None,
        )

    def _id(self, candidates: Iterable[str], environ: Mapping[str, str], steps: BuildKitLog) -> str:
        """The one by which the engine knows the image: its config's digest, with the containerd image store its
        manifest's."""
        for one in dict.fromkeys(filter(None, candidates)):
            answer = self._ask(["image", "inspect", "--format", "{{.Id}}", one], environ)
            if answer.code == 0:
                return answer.out.strip()
        raise Failed(
            f"{self.command} built an image that the engine does not have: {steps.last}",
            hint="`docker buildx ls` shows the builders: the default one of the engine keeps its images there.",
        )

    def _ask(self, words: list[str], environ: Mapping[str, str]) -> Answer:
        return answer_of([self.command.path, *words], environ, seconds=_QUESTION_SECONDS)


def visible(context: Context) -> Context:
    """What of a context to stream to BuildKit: it does not read the ignore file of a stream, and takes nothing away
    that arrived. So an ignore file that is to be hidden is not sent. A Dockerfile that is to be hidden (in `hidden`, or
    in `made` when it is one from outside) has to be sent all the same, and a `COPY .` copies it: a `Folder` is the way
    there."""
    hidden = context.hidden & {IGNORE_FILE}
    return replace(
        context,
        entries=tuple(one for one in context.entries if one.path not in hidden),
        made=tuple(one for one in context.made if one[0] != IGNORE_FILE),
        hidden=context.hidden - hidden,
    )


def _without_args(document: Any) -> Any:
    """A part of a document with all build args taken out, wherever its version has them."""
    if isinstance(document, list):
        return [_without_args(part) for part in document]
    if not isinstance(document, dict):
        return document
    return {key: _without_args(part) for key, part in document.items() if not key.startswith("build-arg:")}


def _told(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
