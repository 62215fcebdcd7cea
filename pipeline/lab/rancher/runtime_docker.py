"""The lab's containers on a Docker engine: each asked for in order, in a thread, and what comes of it reported."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from pipeline.edge.engine import EngineClients, engine_errors, is_conflict, is_missing
from pipeline.errors import PipelineError
from pipeline.lab.rancher.container_payload import engine_name, payload, wants_pull
from pipeline.lab.rancher.engine_log import engine_log
from pipeline.lab.rancher.logs import LogRequest, LogSource
from pipeline.lab.rancher.probes import watched
from pipeline.lab.rancher.runtime import Container, Reports

_WATCH_SECONDS = 1.0
_BESIDE_SECONDS = 60.0
_NAME_SECONDS = 0.25
Result = TypeVar("Result")


class DockerRuntime:
    """All of it runs in the server's loop, but the calls to the engine. `network` is the environment's own."""

    def __init__(self, engines: EngineClients, network: str, resolver: str) -> None:
        self._engines = engines
        self._network = network
        self._resolver = resolver
        self._ids: dict[int, str] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self._running: dict[int, asyncio.Event] = {}
        self._probes: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.reports: Reports

    def run(self, container: Container) -> None:
        self._in_order(container.number, lambda: self._run(container))

    def stop(self, number: int, seconds: int) -> None:
        self._quiet(number)
        self._in_order(number, lambda: self._stop(number, seconds))

    def remove(self, number: int) -> None:
        self._quiet(number)
        self._in_order(number, lambda: self._remove(number))

    def pull(self, image: str, login: tuple[str, str] | None, done: Callable[[str], None]) -> None:
        async def work() -> None:
            done(await self._in_thread(lambda: self._pulled(image, login)))

        self._task(work())

    def log(self, request: LogRequest) -> LogSource | None:
        external = self._ids.get(request.number)
        return None if external is None else engine_log(self._engines.address, external, request)

    def adopt(self, container: Container, external: str, address: str) -> None:
        """One that ran before this process: looked after again."""
        self._ids[container.number] = external
        self._event(container.number).set()
        self._watch(container, address)

    async def watch(self) -> None:
        """Tells of containers that ended by themselves, until it is cancelled."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            watched_ones = {number: self._ids[number] for number, event in self._running.items() if event.is_set()}
            if not watched_ones:
                continue
            for number, code in (await self._in_thread(lambda ids=watched_ones: self._ended(ids))).items():  # type: ignore[misc]  # a default binds the loop's value
                if self._event(number).is_set():
                    self._quiet(number)
                    self.reports.stopped(number, code)

    async def close(self) -> None:
        """Lets go of everything; the containers run on."""
        tasks = (*self._tasks, *self._probes.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._engines.close()

    # -- in the loop

    async def _run(self, container: Container) -> None:
        number = container.number
        for other in (container.network_of, *container.volumes_of):
            if other:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_BESIDE_SECONDS):
                        await self._event(other).wait()
        if number not in self._ids:
            reason = await self._in_thread(lambda: self._missing(container))
            if reason:
                self.reports.failed(number, f"Image [{container.image}] failed to pull: {reason}")
                return
            self.reports.starting(number)
        try:
            external, address = await self._in_thread(lambda: self._started(container))
        except PipelineError as error:
            self.reports.failed(number, error.what)
            return
        self._event(number).set()
        self.reports.running(number, external, address)
        self._watch(container, address)

    async def _stop(self, number: int, seconds: int) -> None:
        # Its name is gone from the name server by now; whoever has just asked for it still gets through.
        await asyncio.sleep(_NAME_SECONDS)
        code = await self._in_thread(lambda: self._stopped(number, seconds))
        self._quiet(number)
        self.reports.stopped(number, code)

    async def _remove(self, number: int) -> None:
        await self._in_thread(lambda: self._removed(number))
        self._quiet(number)
        self._ids.pop(number, None)
        self._running.pop(number, None)
        self.reports.removed(number)
        self._locks.pop(number, None)

    def _watch(self, container: Container, address: str) -> None:
        check = container.config.get("healthCheck")
        if check and address:
            number = container.number
            coroutine = watched(address, check, lambda healthy: self.reports.health(number, healthy=healthy))
            self._probes[number] = asyncio.ensure_future(coroutine)

    def _quiet(self, number: int) -> None:
        """What happens to it from now on is no news."""
        self._event(number).clear()
        probe = self._probes.pop(number, None)
        if probe is not None:
            probe.cancel()

    def _event(self, number: int) -> asyncio.Event:
        return self._running.setdefault(number, asyncio.Event())

    def _in_order(self, number: int, work: Callable[[], Awaitable[None]]) -> None:
        async def turn() -> None:
            async with self._locks.setdefault(number, asyncio.Lock()):
                try:
                    await work()
                except PipelineError as error:
                    self.reports.failed(number, error.what)
                except Exception as error:  # noqa: BLE001  what a launch config says may be anything
                    self.reports.failed(number, f"{type(error).__name__}: {error}")

        self._task(turn())

    def _task(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(None, work)

    # -- in a thread

    def _missing(self, container: Container) -> str:
        """Sees to the image; why it cannot be had, or nothing."""
        client, image = self._engines.client, container.image
        if not wants_pull(container):
            try:
                with engine_errors(self._engines.address, f"look at the image {image}"):
                    client.inspect_image(image)  # type: ignore[no-untyped-call]  # its stubs
                    return ""
            except PipelineError as error:
                if not is_missing(error):
                    return error.what
        return self._pulled(image, container.login)

    def _pulled(self, image: str, login: tuple[str, str] | None) -> str:
        auth = {"username": login[0], "password": login[1]} if login is not None else {}
        try:
            with engine_errors(self._engines.address, f"pull the image {image}"):
                for line in self._engines.client.pull(image, stream=True, decode=True, auth_config=auth):
                    if "error" in line:
                        return str(line["error"])
        except PipelineError as error:
            return error.what
        return ""

    def _started(self, container: Container) -> tuple[str, str]:
        client, name = self._engines.client, engine_name(container)
        with engine_errors(self._engines.address, f"start the container {name}"):
            external = self._ids.get(container.number)
            if external is None:
                body = payload(container, self._network, self._resolver, self._ids)
                external = str(client.create_container_from_config(body, name)["Id"])  # type: ignore[no-untyped-call]  # its stubs
                self._ids[container.number] = external
                if container.secrets:
                    client.put_archive(external, "/", _secrets(container))
            client.start(external)
            networks = client.inspect_container(external)["NetworkSettings"]["Networks"]
        return external, next((str(one["IPAddress"]) for one in networks.values() if one["IPAddress"]), "")

    def _stopped(self, number: int, seconds: int) -> int:
        external = self._ids.get(number)
        if external is None:
            return 0
        with engine_errors(self._engines.address, f"stop the container {external[:12]}"):
            self._engines.client.stop(external, timeout=seconds)
            return int(self._engines.client.inspect_container(external)["State"]["ExitCode"])

    def _removed(self, number: int) -> None:
        external = self._ids.get(number)
        if external is None:
            return
        try:
            with engine_errors(self._engines.address, f"remove the container {external[:12]}"):
                self._engines.client.stop(external, timeout=10)
                self._engines.client.remove_container(external, v=True, force=True)
        except PipelineError as error:
            if not (is_missing(error) or is_conflict(error)):
                raise

    def _ended(self, ids: dict[int, str]) -> dict[int, int]:
        """The exit codes of those that do not run; one that somebody removed has none, and 137 stands for it."""
        client = self._engines.client
        try:
            with engine_errors(self._engines.address, "list the containers"):
                running = {one["Id"] for one in client.containers()}
        except PipelineError:
            return {}
        found = {}
        for number, external in ids.items():
            if external in running:
                continue
            try:
                with engine_errors(self._engines.address, "inspect a container"):
                    state = client.inspect_container(external)["State"]
                    if not state["Running"]:
                        found[number] = int(state["ExitCode"])
            except PipelineError as error:
                if is_missing(error):
                    self._ids.pop(number, None)
                    found[number] = 137
        return found


def _secrets(container: Container) -> bytes:
    """A tar of the files below /run/secrets."""
    buffer = io.BytesIO()
    modes = {str(one.get("name")): one for one in container.config.get("secrets") or ()}
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in container.secrets.items():
            reference = modes.get(name) or {}
            entry = tarfile.TarInfo(f"run/secrets/{name}")
            entry.size = len(content)
            entry.mode = int(str(reference.get("mode") or "444"), 8)
            entry.uid, entry.gid = int(reference.get("uid") or 0), int(reference.get("gid") or 0)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
