"""Writing a large environment down, on an engine and on Rancher: 2,000 stacks and 10,000 routes over HTTP.
`python -m benchmarks.bootstrap 2000`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.canned_gateway import ROOT, SERVER, made, process, route, service
from benchmarks.gateway_scale import cpu

if TYPE_CHECKING:
    from pipeline.platforms.base import Exporter, Platform

STACKS = 2000
ROUTES = 5
"""Of each stack."""

# An engine in memory, in a process of its own: what it costs is not what is measured.
ENGINE = """
import sys, time
sys.path.insert(0, sys.argv[2])
from benchmarks.bootstrap import filled
from tests.memory_engine import memory_engine
with memory_engine() as engine:
    filled(engine, int(sys.argv[1]))
    print(engine.url, flush=True)
    time.sleep(3600)
"""
# The lab Rancher, without a key.
RANCHER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from benchmarks.bootstrap import crowd
from pipeline.lab.rancher.lab_state import Seed
from pipeline.lab.rancher.running import running_rancher
with running_rancher(seed=Seed(), real_time=True) as lab:
    lab.call(lambda: crowd(lab.state, int(sys.argv[1])))
    print(lab.url, flush=True)
    time.sleep(3600)
"""
WRITE = """
import sys
sys.path.insert(0, sys.argv[1])
from benchmarks.bootstrap import write
write(*sys.argv[2:])
"""


def main(stacks: int = STACKS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder) / "pages.json"
        pages.write_text(json.dumps(canned(stacks)))
        for word, script in (("docker", ENGINE), ("rancher", RANCHER)):
            source = [sys.executable, "-c", script, str(stacks), str(ROOT)]
            with process(source) as url, process([sys.executable, "-c", SERVER, str(pages)]) as port:
                print(f"  {word}")
                gateway = f"http://127.0.0.1:{int(port)}"
                words = [sys.executable, "-c", WRITE, str(ROOT), word, url.strip(), gateway, folder]
                subprocess.run(words, check=True)


def drivers(word: str, url: str) -> tuple[Platform, Exporter, Callable[[], object]]:
    """And what reads the same without making anything of it."""
    from pipeline.edge.clock import SystemClock
    from pipeline.edge.engine import open_engine
    from pipeline.edge.rancher_project import open_rancher
    from pipeline.model.address import EngineAddress, RancherAddress, RegistryAddress
    from pipeline.platforms.docker import DockerPlatform
    from pipeline.platforms.docker_export import DockerExporter
    from pipeline.platforms.rancher import RancherPlatform
    from pipeline.platforms.rancher_export import RancherExporter
    from pipeline.platforms.rancher_inventory import ServiceExport

    if word == "rancher":
        rancher, clock = open_rancher(RancherAddress(url=url), clock=SystemClock()), SystemClock()
        found = RancherPlatform(rancher, "stage", RegistryAddress(), clock=clock)
        return found, RancherExporter(rancher, "stage"), lambda: rancher.every("services", ServiceExport)
    address = EngineAddress(host=url)
    client = open_engine(address)

    def listed() -> None:
        for one in client.containers(all=True):
            client.inspect_container(one["Id"])

    platform = DockerPlatform(client, address, "stage", RegistryAddress())
    return platform, DockerExporter(client, address, "stage"), listed


def write(word: str, url: str, gateway: str, folder: str) -> None:
    """In a process of its own: the listing alone, then the whole, and what is beyond the listing."""
    import resource

    from pipeline.edge.clock import SystemClock
    from pipeline.edge.folder import GeneratedFolder
    from pipeline.edge.library import shell_libraries
    from pipeline.flows import bootstrap as flow
    from pipeline.gateways.kong.services_routes import KongGateway
    from pipeline.model.address import GatewayAddress
    from pipeline.model.bootstrap_kit import LIBRARIES

    kong = KongGateway(GatewayAddress(admin=gateway), clock=SystemClock())
    platform, exporter, read = drivers(word, url)
    before = cpu()
    platform.stacks()
    kong.dump()
    read()
    listing = cpu() - before

    before, started = cpu(), time.perf_counter()
    sources = flow.Sources(
        platform=lambda: platform,
        exporter=lambda: exporter,
        gateway=lambda: kong,
        records=lambda: (),
        lost=lambda _: (),
    )
    estate = flow.listed(sources, flow.Wish())
    written = flow.written(estate, sources, flow.Wish(), lambda *_: "", shell_libraries(LIBRARIES))
    whole, elapsed = cpu() - before, time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    counts = {one.kind: one.exported for one in written.contents.counts}
    print(
        f"  {counts}, {len(written.files)} files of {sum(map(len, written.files.values())) >> 20} MB, {elapsed:.1f} s"
    )
    beyond = whole - listing
    print(
        f"  CPU: the listing {listing:.1f} s, all {whole:.1f} s, beyond the listing {beyond:.1f} s (limit 5)", end=" "
    )
    print(
        f"{'ok' if beyond <= 5 else 'OVER'}\n  peak memory {memory} MB (limit 300) {'ok' if memory < 300 else 'OVER'}"
    )
    before = cpu()
    GeneratedFolder(Path(folder) / word).write(written.files)
    print(f"  writing the files: {cpu() - before:.1f} s of CPU")


def filled(engine: object, stacks: int) -> None:
    """Stacks of two containers each, on an engine in memory."""
    from pipeline.model.stack import Mount, StackService
    from pipeline.platforms.docker_payload import container_payload
    from pipeline.platforms.names import container_name
    from tests.contracts.random_estates import make_stack, on_images
    from tests.memory_engine import MemoryEngine

    assert isinstance(engine, MemoryEngine)
    digests = {name: f"registry.example/{name}@sha256:{name[0].encode().hex() * 32}" for name in ("app", "proxy")}
    images = {name: engine.add_image(f"{name}:1", digest=digests[name], Cmd=["serve"]) for name in digests}
    engine.networks["pipeline-stage"] = {"Name": "pipeline-stage", "Id": "1", "Driver": "bridge", "Options": {}}
    engine.networks["pipeline-stage"] |= {"Internal": False, "Labels": {"pipeline.environment": "stage"}}
    variables = {f"NAME_{number}": f"value {number}" for number in range(10)}
    parts = (
        StackService(name="app", image="app", environment=variables, mounts=(Mount(source="data", target="/data"),)),
        StackService(name="proxy", image="proxy", restart="always"),
    )
    for number in range(stacks):
        stack = on_images(make_stack(f"s{number}", parts), images)
        for one in stack.definition.services:
            name = container_name(stack, one, 1, stack.definition.digest())
            status, answer = engine.create(name, container_payload(stack, one, {}))
            engine.start(engine.containers[answer["Id"]])
            engine.requests.append(name)
            assert status == 201
        engine.volumes[f"s{number}-stage-data"]["Labels"] = {"pipeline.environment": "stage"}


def crowd(state: Any, stacks: int) -> None:
    """Stacks of two services each at rest, as a deployment leaves them."""
    from pipeline.lab.rancher.crowd import fill
    from pipeline.model.rancher import owner
    from pipeline.model.stack import Mount, RancherPart, StackService
    from pipeline.platforms.rancher_payload import launch_config
    from tests.contracts.random_estates import make_stack

    variables = {f"NAME_{number}": f"value {number}" for number in range(10)}
    data = (Mount(source="data", target="/data"),)
    part = RancherPart()
    image = f"registry.example/app@sha256:{'1' * 64}"
    parts = [
        StackService(name="app", image=image, environment=variables, mounts=data, rancher=part),
        StackService(name="proxy", image=image, rancher=part),
    ]
    fill(state, stacks=stacks, services=len(parts), prefix="s")
    made = {}
    for number, row in enumerate(state.store.rows("stack")):
        stack = make_stack(f"s{number}", tuple(parts))
        made[row.number] = (stack, iter(parts))
        row.data |= {"name": stack.name, "externalId": owner("stage", stack.service)}
    for row in state.store.rows("service"):
        stack, left = made[row.data["stackId"]]
        one = next(left)
        kept = {"drainTimeoutMs": 0, "kind": "container", "type": "launchConfig", "version": "0", "vcpu": 1}
        config = kept | {"networkMode": "managed", "startOnCreate": True} | launch_config(stack, one, {})
        row.data |= {"name": one.name, "externalId": owner("stage", stack.service), "launchConfig": config}
    for row in state.store.rows("instance"):
        config = state.store.get("service", row.data["serviceId"]).data["launchConfig"]
        row.data["labels"] = row.data["labels"] | config["labels"]


def canned(stacks: int) -> dict[str, str]:
    """The gateway's pages: a service for each stack and some routes to each."""
    services = [service(number) | {"host": f"proxy.s{number}-master-0a1b2c3d"} for number in range(stacks)]
    routes = [route(number) | {"service": {"id": made(f"s{number // ROUTES}")}} for number in range(stacks * ROUTES)]
    pages = {"/": json.dumps({"version": "2.8.5"}), "/endpoints": json.dumps({"data": []})}
    for kind, listed in (("services", services), ("routes", routes)):
        for start in range(0, len(listed), 1000):
            following = f"p{start + 1000}" if start + 1000 < len(listed) else None
            path = f"/{kind}?size=1000" + (f"&offset=p{start}" if start else "")
            pages[path] = json.dumps({"data": listed[start : start + 1000], "offset": following, "next": None})
    return pages


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STACKS)
