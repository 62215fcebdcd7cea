"""An estate in memory behind a lab gateway, changed by verbs in processes that are killed with SIGKILL on the way."""

from __future__ import annotations

import copyreg
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.edge.clock import SystemClock
from pipeline.errors import PipelineError
from pipeline.flows import restore as restoring
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.gateways.memory import MemoryFront
from pipeline.lab.gateway.running import running_gateway
from pipeline.ledgers.memory import MemoryLeases, MemoryRecords
from pipeline.model.address import GatewayAddress
from pipeline.model.artifact import Artifact, artifact_path, write_artifact
from pipeline.model.check import Answer, Question
from pipeline.model.image import BuiltImage
from pipeline.model.record import Record
from pipeline.model.restoration import Scope
from pipeline.model.route import GatewayState, stack_of_upstream
from pipeline.model.surroundings import FoundImage
from pipeline.platforms.memory import MemoryContainer, MemoryEngine, MemoryPlatform
from pipeline.platforms.memory_upkeep import MemoryUpkeep
from tests.conftest import SteppingClock
from tests.contracts.test_gateways_faults import Passage, Way
from tests.faults.child import receive, send

ROOT = Path(__file__).parents[2]
HOUR = 3600.0
BEGIN = 1_700_000_000.0


def _error(cls: type[PipelineError], what: str, hint: str) -> PipelineError:
    return cls(what, hint=hint)


class _Abandoned(BaseException):
    """The rest of a call whose caller is dead."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A world at one moment."""

    containers: dict[str, MemoryContainer]
    images: dict[str, FoundImage]
    records: list[Record]
    gateway: GatewayState
    artifacts: Path
    serving: str
    now: float


class CountedWay(Way):
    """The way to the Admin API: every request is a point at which the one who sent it may die."""

    def __init__(self, target: int, world: World) -> None:
        super().__init__(target)
        self.world = world

    def next_fault(self, method: str, path: str):  # type: ignore[no-untyped-def]
        def through(passage: Passage) -> None:
            answer = passage.forward()
            if self.world.strike(changed=method != "GET"):
                passage.reset()
            else:
                with suppress(OSError):
                    passage.answer(*answer)

        return through


@dataclass
class World:
    """`begin` makes it new; `run` runs a verb in it, and kills it at the point of that number."""

    folder: Path
    lab: str
    clock: SteppingClock = field(default_factory=SteppingClock)

    def __post_init__(self) -> None:
        self.gateway = KongGateway(GatewayAddress(admin=self.lab), clock=SystemClock())
        self.way = CountedWay(int(self.lab.rpartition(":")[2]), self)
        threading.Thread(target=self.way.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.repository = self.folder / "repository"
        self._make_repository()
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.child", str(self.repository)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / "wire"))
        self._listener.listen(1)
        self.points = 0
        self.kill_at = 0
        self.pid = 0
        self.serving = ""
        self._lock = threading.Lock()

    def close(self) -> None:
        self._zygote.stdin.close()  # type: ignore[union-attr]  # it is piped
        self._zygote.wait()
        self._zygote.stdout.close()  # type: ignore[union-attr]
        self._listener.close()
        self.way.shutdown()
        self.way.server_close()
        self.gateway.close()

    # What is there ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """An empty environment, and a repository without artifacts."""
        self.serving = ""
        self.clock.seconds = BEGIN
        self.engine = MemoryEngine(clock=self.clock)
        self.platform, self.upkeep = MemoryPlatform(self.engine, "stage"), MemoryUpkeep(self.engine, "stage")
        self.records, self.leases = MemoryRecords(self.clock), MemoryLeases(self.clock)
        self.front = MemoryFront(self.gateway, self._backend)  # type: ignore[arg-type]  # it asks for routes only
        self._restore_gateway(GatewayState(identity=self.gateway.identity(), entities=()))
        shutil.rmtree(self.repository / "artifacts", ignore_errors=True)
        git(self.repository, "checkout", "-q", "-B", "master", self.root)

    def save(self) -> Saved:
        """All of it, to begin again from."""
        kept = self.folder / f"saved-{uuid.uuid4().hex}"
        shutil.copytree(self.repository / "artifacts", kept)
        return Saved(
            containers={name: replace(one) for name, one in self.engine.containers.items()},
            images=dict(self.engine.kept),
            records=list(self.records._records),
            gateway=self.gateway.dump(),
            artifacts=kept,
            serving=self.serving,
            now=self.clock.seconds,
        )

    def restore(self, saved: Saved) -> None:
        self.clock.seconds, self.serving = saved.now, saved.serving
        self.engine.containers = {name: replace(one) for name, one in saved.containers.items()}
        self.engine.kept = dict(saved.images)
        self.records._records = list(saved.records)
        self.leases._leases.clear()
        self._restore_gateway(saved.gateway)
        shutil.rmtree(self.repository / "artifacts")
        shutil.copytree(saved.artifacts, self.repository / "artifacts")

    def _restore_gateway(self, state: GatewayState) -> None:
        plan = restoring.plan(state, self.gateway, Scope(exact=True, everything=True))
        assert restoring.apply(plan, self.gateway.restorer, restoring.Manner()).problem is None

    def commit(self, words: str) -> str:
        """A new commit of the service, built; its stack."""
        (self.repository / "says").write_text(words)
        git(self.repository, "add", "-A")
        git(self.repository, "commit", "-q", "-m", words)
        return self.built()

    def built(self) -> str:
        commit = git(self.repository, "rev-parse", "HEAD")
        stack = f"cities-master-{commit[:8]}"
        images = tuple(
            BuiltImage(compose_service=name, reference=f"cities-{name}:1", id=f"sha256:{name}{commit[:8]}")
            for name in ("proxy", "app")
        )
        for image in images:
            self.engine.kept[image.id] = FoundImage(id=image.id, service="cities", stack=stack, size=10)
        artifact = Artifact(
            service="cities", branch="master", commit=commit, version=commit[:8], stack=stack, images=images
        )
        path = self.repository / artifact_path("cities")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write_artifact(artifact))
        return stack

    def release(self, words: str) -> str:
        """A commit, built, deployed and registered without a disturbance."""
        stack = self.commit(words)
        for verb in ("deploy", "register"):
            code = self.run(verb)
            assert code == 0, self.told
        self.serving = stack
        self.clock.step(2 * HOUR)
        return stack

    def state(self) -> dict[str, Any]:
        """Everything that outlives a run, without ids, times and how often it was written down."""
        entities = self.gateway.dump().entities
        return {
            "stacks": {
                one.name: (one.state, sorted((part.name, part.image) for part in one.containers))
                for one in self.platform.stacks()
            },
            "gateway": sorted((one.kind, one.name, json.dumps(_steady(one.body), sort_keys=True)) for one in entities),
            "images": sorted(self.engine.kept),
            "records": sorted({(one.verb, one.stack, one.stack_before) for one in self.records.all()}),
            "leases": [one.name for one in self.leases.all() if not one.expired],
        }

    # Runs ------------------------------------------------------------------------------------------------------

    def run(self, verb: str, *, to: str = "", kill_at: int = 0) -> int:
        """The verb's exit code; -9 when it was killed. `told` is what it said."""
        with self._lock:  # a request of the run before may still be on its way
            self.points, self.kill_at, self.pid = 0, kill_at, 0
        told = self.folder / "told"
        told.unlink(missing_ok=True)
        self.engine.before = self._within
        order = {"verb": verb, "to": to, "socket": str(self.folder / "wire"), "admin": self.way.url}
        self._say(order | {"now": self.clock.now(), "told": str(told)})
        self.pid = int(self._answer()["pid"])
        self._serve()
        code = int(self._answer()["code"])
        self.engine.before = lambda _doing: None
        self.told = told.read_text() if told.exists() else ""
        return code

    def strike(self, *, changed: bool) -> bool:
        """One point more; True when it is the one, and the process is dead by then."""
        with self._lock:
            self.points += 1
            if changed:
                self._check_what_serves()
            if self.points != self.kill_at:
                return False
            while not self.pid:
                pass
            os.kill(self.pid, signal.SIGKILL)
            return True

    def _within(self, _doing: str) -> None:
        if self.strike(changed=True):
            raise _Abandoned

    def _check_what_serves(self) -> None:
        """Whatever happens, what served at the beginning answers, or what it is being replaced by."""
        if self.serving:
            running = {one.stack.name for one in self.engine.containers.values() if one.status == "running"}
            led_to = {stack_of_upstream(route.upstream) for route in self.gateway.routes()}
            assert led_to & running, f"requests go to {led_to}, and {running} run"

    def _serve(self) -> None:
        """Answers the process's calls until it ends, well or not."""
        self._listener.settimeout(20)
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(60)
            while True:
                try:
                    port, name, words, named = receive(connection)
                except (EOFError, ConnectionError):
                    return
                try:
                    value = getattr(getattr(self, port), name)(*words, **named)
                    answer = ("value", list(value) if isinstance(value, Iterator) else value)
                except _Abandoned:
                    return
                except PipelineError as error:
                    answer = ("error", error)
                if self.strike(changed=False):
                    return
                with suppress(ConnectionError):
                    send(connection, answer)

    def _backend(self, upstream: str, _question: Question) -> Answer:
        stack = stack_of_upstream(upstream)
        found = next((one for one in self.platform.stacks() if one.name == stack), None)
        if found is None or not found.serves:
            return Answer(status=503, headers={}, body=b"")
        return Answer(status=200, headers={}, body=json.dumps({"stack": stack}).encode())

    def _say(self, order: dict[str, Any]) -> None:
        self._zygote.stdin.write(json.dumps(order) + "\n")  # type: ignore[union-attr]
        self._zygote.stdin.flush()  # type: ignore[union-attr]

    def _answer(self) -> Any:
        return json.loads(self._zygote.stdout.readline())  # type: ignore[union-attr]

    def _make_repository(self) -> None:
        (self.repository / "config").mkdir(parents=True)
        (self.repository / "config" / "package.json").write_text(
            '{"uri": "/ws/cities", "pipeline": {"name": "cities"}}'
        )
        compose = "version: '2'\nservices:\n  proxy: {build: ., depends_on: [app]}\n  app: {build: .}\n"
        (self.repository / "docker-compose.yml").write_text(compose)
        environment = {"gateway": {"admin": self.way.url, "proxy": "http://p.invalid"}, "settle": 0, "grace": 0}
        (self.repository / "invoke.yaml").write_text(
            json.dumps({"pipeline": {"environments": {"stage": environment | {"deploy_timeout": 30}}}})
        )
        (self.repository / ".gitignore").write_text("/build/\n/artifacts/\n")
        git(self.repository, "init", "-q", "-b", "master")
        git(self.repository, "add", "-A")
        git(self.repository, "commit", "-q", "-m", "begin")
        self.root = git(self.repository, "rev-parse", "HEAD")


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=T", "-c", "user.email=t@example.com", "-C", str(folder))
    # The same commit each time: what is made from it has the same name.
    when = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-01-01T00:00:00Z")
    done = subprocess.run(["git", *who, *words], capture_output=True, text=True, check=True, env=os.environ | when)
    return done.stdout.strip()


@contextmanager
def world_in(folder: Path) -> Iterator[World]:
    copyreg.pickle(PipelineError, _reduced)
    for cls in PipelineError.__subclasses__():
        copyreg.pickle(cls, _reduced)
    with running_gateway(state=folder / "gateway") as lab:
        world = World(folder, lab.admin_url)
        try:
            yield world
        finally:
            world.close()


def _reduced(error: PipelineError) -> tuple[Any, ...]:
    return _error, (type(error), error.what, error.hint)


def _steady(body: Any) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in ("service",)}
