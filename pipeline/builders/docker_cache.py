"""Images that are pulled to serve as a build's cache."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.builders.base import Listener
from pipeline.builders.docker_log import error_in, messages_of
from pipeline.builders.docker_push import Registries
from pipeline.builders.docker_registries import PROCESS_SILENCES, RegistryAccess, Silences, left_to_the_engine
from pipeline.edge.engine import engine_errors
from pipeline.edge.registry import RegistryClient
from pipeline.edge.registry_transport import BRIEF
from pipeline.errors import Failed, PipelineError, Unreachable
from pipeline.model.image import Reference, parse_reference

if TYPE_CHECKING:
    from docker import APIClient

_PULLS = 4
_LEAVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a pulling thread has to say: a line for the log, and whether the image is on the engine now."""

    name: str
    line: str
    pulled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """An image to be pulled, with a client of its registry that is the thread's own."""

    name: str
    reference: Reference
    registry: RegistryClient


class CacheSources:
    """`open_client` opens a client of the same engine: docker-py's are for one thread."""

    def __init__(
        self,
        registries: Registries,
        open_client: Callable[[], APIClient],
        *,
        silences: Silences = PROCESS_SILENCES,
    ) -> None:
        self._access = registries.access
        self._open_client = open_client
        self._silences = silences

    def pull_existing(self, references: Sequence[str], log: Listener) -> tuple[str, ...]:
        """Those of the references that can serve as a cache, in their order: what the engine has, and what it could
        pull. What the registry does not have is left out, and so is what fails, with a line in the log: a cache never
        fails a build. A registry that did not answer in this process is not asked again. `log` is called in the
        caller's thread.

        A reference without a registry's name is only looked for on the engine: on docker.io, a stranger may have it.
        A second call pulls nothing. Raises what looking at the engine raises; an interrupt breaks all pulls off."""
        wanted = tuple(dict.fromkeys(references))
        present = {name for name in wanted if self._access.inspect(name) is not None}
        jobs = list(self._jobs([name for name in wanted if name not in present], log))
        with closing(_Pulls(self._access, self._open_client, jobs, self._silences)) as pulls:
            for told in pulls.told():
                log(told.line)
                if told.pulled:
                    present.add(told.name)
        return tuple(name for name in wanted if name in present)

    def _jobs(self, names: Sequence[str], log: Listener) -> Iterator[_Job]:
        for name in names:
            reference = parse_reference(name)
            if left_to_the_engine(reference) or reference.registry in self._silences:
                continue
            try:
                registry = self._access.open(reference.registry, patience=BRIEF)
            except PipelineError as error:  # its login cannot be found
                log(_left_out(name, error))
            else:
                yield _Job(name=name, reference=reference, registry=registry)


class _Pulls:
    """Threads that pull, until there is no more to pull or nobody listens."""

    def __init__(
        self,
        access: RegistryAccess,
        open_client: Callable[[], APIClient],
        jobs: Sequence[_Job],
        silences: Silences,
    ) -> None:
        self._access = access
        self._open_client = open_client
        self._silences = silences
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        for job in jobs:
            self._jobs.put(job)
        self._said: queue.SimpleQueue[_Told | BaseException | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._answers: list[Any] = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in jobs[:_PULLS]]

    def told(self) -> Iterator[_Told]:
        """What the threads say, as it comes; ends with the last of them."""
        for thread in self._threads:
            thread.start()
        working = len(self._threads)
        while working:
            said = self._said.get()
            if said is None:
                working -= 1
            elif isinstance(said, BaseException):
                raise said
            else:
                yield said

    def close(self) -> None:
        """Cuts the connections of pulls that still run: the engine cancels the pull of a client that has gone. A thread
        that waits for a registry's first word is left to it; it dies with the process."""
        self._stopping.set()
        for answer in list(self._answers):
            _cut(answer)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_LEAVE_SECONDS)

    def _work(self) -> None:
        try:
            with suppress(queue.Empty):
                while not self._stopping.is_set():
                    self._do(self._jobs.get_nowait())
            self._said.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that listens
            self._said.put(error)

    def _do(self, job: _Job) -> None:
        try:
            if self._is_there(job):
                self._pull(job)
        except PipelineError as error:
            self._said.put(_Told(name=job.name, line=_left_out(job.name, error)))

    def _is_there(self, job: _Job) -> bool:
        try:
            with job.registry as registry:
                return bool(registry.digest(job.reference.path, job.reference.digest or job.reference.tag))
        except Unreachable:
            self._silences.add(job.reference.registry)
            raise

    def _pull(self, job: _Job) -> None:
        clock, reference, doing = self._access.clock, job.reference, f"pull {job.name}"
        self._said.put(_Told(name=job.name, line=f"cache: {job.name} is pulled"))
        begun = clock.monotonic()
        credentials = self._access.credentials(reference.registry)
        with closing(self._open_client()) as client, self._cuttable(client):
            with engine_errors(self._access.address, doing):
                stream = client.pull(
                    reference.repository,
                    tag=reference.digest or reference.tag,
                    stream=True,
                    decode=True,
                    auth_config=credentials,
                )
            errors = [error_in(message) for message in messages_of(stream, self._access.address, doing)]
            if error := next(filter(None, errors), None):
                raise Failed(error, hint="")
            found = self._access.inspect(job.name, client) or {}
        size = f", {found['Size'] / 1e6:.0f} MB" if "Size" in found else ""
        line = f"cache: {job.name} is here after {clock.monotonic() - begun:.1f} s{size}"
        self._said.put(_Told(name=job.name, line=line, pulled=True))

    @contextmanager
    def _cuttable(self, client: APIClient) -> Iterator[None]:
        def keep(response: Any, *_: object, **__: object) -> None:
            self._answers.append(response)
            if self._stopping.is_set():
                _cut(response)

        client.hooks["response"].append(keep)
        yield


def _cut(answer: Any) -> None:
    from docker.errors import DockerException
    from docker.types import CancellableStream

    with suppress(DockerException, OSError, AttributeError, ValueError):  # it has ended, or goes over SSH
        CancellableStream(iter(()), answer).close()


def _left_out(name: str, error: PipelineError) -> str:
    return f"cache: {name} is left out: {error}"
