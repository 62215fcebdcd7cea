"""Prune: planning a large estate, and removing many stacks at once under load.

`python -m benchmarks.prune planning` (or `removing`) for one of them; REMOVED and RATE in the environment make the second one
shorter for a machine that has other things to do."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gateway_scale import process
from tests.end_to_end.estate import Environment, Estate
from tests.end_to_end.load import Load

if TYPE_CHECKING:
    from pipeline.model.stack import FoundContainer

ROOT = Path(__file__).parents[1]
STACKS, ROUTES, RELEASES = 10_000, 5_000, 4
REMOVED = int(os.environ.get("REMOVED", "200"))
ONE_BY_ONE, STOP_SECONDS = 8, 2.0
RATE = int(os.environ.get("RATE", "100"))
LABELS = ("environment", "stack", "service", "branch", "version", "commit", "compose-service")

# An engine and a gateway that answer with what was made before. Every request is counted.
SERVER = """
import asyncio, json, pathlib, sys
from urllib.parse import parse_qs, urlsplit
folder = pathlib.Path(sys.argv[1])
bodies = {file.name: file.read_bytes() for file in folder.iterdir()}
counts = {}
def answer(path, query):
    if path.endswith("/containers/json"):
        filters = json.loads(query.get("filters", ["{}"])[0])
        return bodies["none" if "health" in filters or "exited" in filters else "containers"], "application/json"
    if path.endswith("/archive"):
        return bodies["records"], "application/x-tar"
    for end in ("version", "info", "images/json", "volumes"):
        if path.endswith("/" + end):
            return bodies[end.replace("/", "-")], "application/json"
    if path == "/counts":
        return json.dumps(counts).encode(), "application/json"
    if path == "/":
        return b'{"version": "2.8.5"}', "application/json"
    offset = query.get("offset", ["0"])[0]
    return bodies.get(path.strip("/") + "-" + offset, b'{"data": []}'), "application/json"
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
            target = urlsplit(head.split(" ", 2)[1])
            content, kind = answer(target.path, parse_qs(target.query))
            if target.path != "/counts":
                counts[target.path] = counts.get(target.path, 0) + 1
            stat = "X-Docker-Container-Path-Stat: e30=\\r\\n"
            writer.write(f"HTTP/1.1 200 OK\\r\\nContent-Type: {kind}\\r\\n{stat}Content-Length: {len(content)}\\r\\n\\r\\n".encode() + content)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

PLANNING = """
import gc, json, resource, sys, time
gc.set_threshold(50_000, 20, 20)  # as the command does
sys.path.insert(0, sys.argv[2])
from benchmarks.prune import surveyed
from pipeline.model.prune import Fate, plan_prune
from pipeline.model.prune_rules import PrunePolicy
start = time.perf_counter()
snapshot = surveyed(int(sys.argv[1]))
listed, before = time.perf_counter() - start, time.process_time()
plan = plan_prune(snapshot, PrunePolicy())
cpu = time.process_time() - before
print(json.dumps({"listing": listed, "cpu": cpu, "stacks": len(plan.stacks), "removed": len(plan.of(Fate.REMOVE)),
    "images": len(plan.images), "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def main(parts: tuple[str, ...] = ("planning", "removing")) -> None:
    for part in parts:
        {"planning": planning, "removing": removing}[part]()


# Planning -----------------------------------------------------------------------------------------------------


def planning() -> None:
    import urllib.request

    with tempfile.TemporaryDirectory() as folder:
        canned(Path(folder))
        with process([sys.executable, "-c", SERVER, folder]) as line:
            port = int(line)
            done = subprocess.run(
                [sys.executable, "-c", PLANNING, str(port), str(ROOT)], capture_output=True, text=True, check=True
            )
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts") as answer:
                counts = json.loads(answer.read())
    found = json.loads(done.stdout)
    print(f"  {found['stacks']} stacks ({found['removed']} to remove), {ROUTES} routes, {found['images']} images")
    print(f"  listing over HTTP {found['listing']:.2f} s, in {sum(counts.values())} requests (none per item)")
    print(f"  planning {found['cpu']:.2f} s of CPU (limit 1) {'ok' if found['cpu'] <= 1 else 'OVER'}")
    print(f"  peak memory {found['memory']} MB (limit 300) {'ok' if found['memory'] < 300 else 'OVER'}")


def surveyed(port: int):  # type: ignore[no-untyped-def]
    """The snapshot that the real drivers read from the canned servers."""
    from pipeline.edge.clock import SystemClock
    from pipeline.edge.engine import EngineClients, open_engine
    from pipeline.flows.survey import Sources, survey
    from pipeline.gateways.kong.services_routes import KongGateway
    from pipeline.ledgers.docker import DockerRecords
    from pipeline.model.address import EngineAddress, GatewayAddress, RegistryAddress
    from pipeline.platforms.docker import DockerPlatform
    from pipeline.platforms.docker_upkeep import DockerUpkeep

    address = EngineAddress(host=f"tcp://127.0.0.1:{port}")
    client, clients = open_engine(address), EngineClients(None, address)
    gateway = KongGateway(GatewayAddress(admin=f"http://127.0.0.1:{port}"), clock=SystemClock())
    found = survey(
        "stage",
        Sources(
            platform=lambda: DockerPlatform(client, address, "stage", RegistryAddress()),
            gateway=lambda: gateway,
            upkeep=lambda: DockerUpkeep(clients, "stage"),
            custody=lambda: gateway.custody,
            records=lambda: DockerRecords(client, address, "stage"),
        ),
    )
    assert not found.missing, found.missing
    return found


def canned(folder: Path) -> None:
    """Four releases of each service, the newest of which two routes lead to; a record of each deploy and register."""
    now = time.time()
    names = [f"service-{number // RELEASES}-master-{number:08}" for number in range(STACKS)]
    write = {
        "version": {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"},
        "info": {"SystemTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))},
        "volumes": {"Volumes": []},
        "none": [],
        "containers": [container(name, number, now) for number, name in enumerate(names)],
        "images-json": [image(name) for name in names],
    }
    for kind, make, count in (("services", kong_service, STACKS // RELEASES), ("routes", kong_route, ROUTES)):
        for start in range(0, count, 1000):
            following = str(start + 1000) if start + 1000 < count else None
            page = [make(one) for one in range(start, min(start + 1000, count))]
            write[f"{kind}-{start}"] = {"data": page, "offset": following}
    for name, content in write.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "records").write_bytes(recorded(names, now))


def container(name: str, number: int, now: float) -> dict[str, object]:
    service = name.rpartition("-master-")[0]
    facts = ("stage", name, service, "master", name[-8:], name[-8:] * 5, "proxy")
    return {
        "Id": f"{number:064x}",
        "Names": [f"/{name}.proxy.1"],
        "Image": name,
        "ImageID": f"sha256:{name}",
        "Labels": {f"pipeline.{key}": value for key, value in zip(LABELS, facts, strict=True)},
        "State": "running",
        "Created": int(now) - 100_000 + number,
        "Ports": [],
    }


def image(name: str) -> dict[str, object]:
    labels = {"pipeline.service": name.rpartition("-master-")[0], "pipeline.stack": name}
    return {"Id": f"sha256:{name}", "RepoTags": [f"{name}:1"], "RepoDigests": None, "Labels": labels, "Size": 1}


def kong_service(number: int) -> dict[str, object]:
    newest = f"service-{number}-master-{RELEASES * number + RELEASES - 1:08}"
    tags = ["pipeline", "env.stage", f"service.service-{number}", f"stack.{newest}"]
    named = {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"s{number}")), "name": f"service-{number}", "tags": tags}
    return {**named, "protocol": "http", "host": f"proxy.{newest}", "port": 80}


def kong_route(number: int) -> dict[str, object]:
    service = kong_service(number % (STACKS // RELEASES))
    named = {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"r{number}")), "name": f"{service['name']}-{number}"}
    return {**named, "paths": [f"/ws/{number}"], "service": {"id": service["id"]}, "tags": service["tags"]}


def recorded(names: list[str], now: float) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, name in enumerate(names):
            facts = {"service": name.rpartition("-master-")[0], "environment": "stage", "stack": name}
            facts |= {"version": name[-8:], "at": now - 100_000 + number}
            for verb, more in (
                ("deploy", {"images": {"proxy": f"sha256:{name}"}}),
                ("register", {"route_after": f"http://proxy.{name}"}),
            ):
                content = json.dumps({"verb": verb, **facts, **more}).encode()
                member = tarfile.TarInfo(f"ledger/{now - 100_000 + number:020.6f}-{verb}.json")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


# Removing -----------------------------------------------------------------------------------------------------


def removing() -> None:
    """Stacks that take two seconds to stop, beside one that serves under load."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment()
        try:
            estate = Estate(Path(folder), environment)
            for words in (("lab.up",), ("release",), ("release",)):
                ran = estate.invoke(*words)
                assert ran.code == 0, ran
            estate.settings(settle=0, grace=0)
            one_by_one = _one_after_the_other(environment)
            _old_stacks(environment, REMOVED)
            with Load(f"{environment.proxy}{estate.uri}", RATE) as load:
                start = time.perf_counter()
                ran = estate.invoke("prune", "--yes")
                took = time.perf_counter() - start
            assert ran.code == 0, ran
            left = environment.stacks()
        finally:
            environment.destroy()
    expected = one_by_one * REMOVED
    print(f"  one after the other: {one_by_one:.2f} s a stack (of {ONE_BY_ONE}), so {expected:.0f} s for {REMOVED}")
    print(f"  invoke prune: {took:.1f} s for {REMOVED}, {len(left)} stack left")
    print(f"  {expected / took:.1f} × faster (limit 5) {'ok' if expected / took >= 5 else 'UNDER'}")
    print(f"  through the gateway meanwhile: {load}")


def _old_stacks(environment: Environment, count: int) -> tuple[FoundContainer, ...]:
    """As releases of long ago would have left them."""
    from pipeline.edge.engine import open_engine
    from pipeline.model.address import EngineAddress, RegistryAddress
    from pipeline.model.image import LABEL
    from pipeline.model.stack import Definition, Stack, StackService
    from pipeline.platforms.docker import DockerPlatform

    client = open_engine(EngineAddress())
    platform = DockerPlatform(client, EngineAddress(), environment.name, RegistryAddress())
    image_id = environment.containers()[0].image.id
    stops = f"trap 'sleep {STOP_SECONDS}; exit 0' TERM; sleep 100000 & wait"
    for number in range(count):
        name = f"hello-old-{number:08x}"
        service = StackService(
            name="app", image=image_id, command=("sh", "-c", stops), stop_signal="SIGTERM", stop_seconds=10
        )
        facts = {"service": "hello", "environment": environment.name, "stack": name, "branch": "old"}
        facts |= {"version": name[-8:], "commit": name[-8:] * 5, "sameness": name}
        stack = Stack(
            name=name,
            service="hello",
            environment=environment.name,
            branch="old",
            commit=name[-8:] * 5,
            version=name[-8:],
            definition=Definition(services=(service,)),
            sameness=name,
            labels={f"{LABEL}{key}": text for key, text in facts.items()},
        )
        platform.start(stack, {})
    found = tuple(one for stack in platform.stacks() if stack.branch == "old" for one in stack.containers)
    client.close()
    return found


def _one_after_the_other(environment: Environment) -> float:
    from pipeline.edge.engine import open_engine
    from pipeline.model.address import EngineAddress, RegistryAddress
    from pipeline.platforms.docker import DockerPlatform

    containers = _old_stacks(environment, ONE_BY_ONE)
    client = open_engine(EngineAddress())
    platform = DockerPlatform(client, EngineAddress(), environment.name, RegistryAddress())
    start = time.perf_counter()
    platform.remove(containers)
    took = time.perf_counter() - start
    client.close()
    return took / ONE_BY_ONE


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    main(tuple(sys.argv[1:]) or ("planning", "removing"))
