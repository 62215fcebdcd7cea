"""Dump and restore of a large gateway against bare clients, on a server that costs next to nothing and the lab gateway:
`python -m benchmarks.gateway_scale 10000`."""

from __future__ import annotations

import http.client
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.canned_gateway import PAGE, ROOT, SERVER, canned, made, process
from benchmarks.measure import in_turn, show, show_ratio
from pipeline.edge.clock import SystemClock
from pipeline.edge.library import shell_library
from pipeline.flows.restore import Manner, apply
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.model.address import GatewayAddress
from pipeline.model.kinds import KINDS, kind_of
from pipeline.model.restoration import Scope, plan_restore
from pipeline.model.restore_script import ScriptHeader, restore_script, wire_json, written_body
from pipeline.model.route import GatewayIdentity, GatewayState

SIZE = 10_000
RESTORED = 1000
RUNS = 5
WORKERS = 8

DUMP = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from benchmarks.gateway_scale import gateway
state = gateway(sys.argv[1]).dump()
print(len(state.entities), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def main(size: int = SIZE) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pages, requests = canned(size)
        file = Path(folder) / "pages.json"
        file.write_text(json.dumps(pages))
        with process([sys.executable, "-c", SERVER, str(file)]) as line:
            dumping(f"http://127.0.0.1:{int(line)}", requests)
            restoring(f"http://127.0.0.1:{int(line)}")
        lab = [sys.executable, "-m", "pipeline.lab.gateway", "--admin", "127.0.0.1:0", "--proxy", "127.0.0.1:0"]
        with process([*lab, "--state", f"{folder}/state"]) as line:
            on_the_lab(json.loads(line)["admin"], Path(folder))


def gateway(url: str) -> KongGateway:
    return KongGateway(GatewayAddress(admin=url), clock=SystemClock())


def dumping(url: str, requests: list[list[str]]) -> None:
    opened = gateway(url)
    before = asked(url)
    opened.dump()
    made = asked(url) - before
    pages, empty = sum(map(len, requests)), sum(not kind.parent for kind in KINDS) - len(requests)
    print(f"  {made} requests: {pages} pages of {len(requests)} collections, {empty} others that are not there, / and")
    print(f"  /endpoints; no schema for plugins whose texts are plain: {'ok' if made == pages + empty + 2 else 'OVER'}")
    taken = in_turn(RUNS, dump=opened.dump, bare=lambda: fetch(url, requests))
    opened.close()
    show(taken)
    show_ratio("dump / fetching the same pages with a bare client", taken["dump"], taken["bare"], 1.3)
    done = subprocess.run([sys.executable, "-c", DUMP, url, str(ROOT)], capture_output=True, text=True, check=True)
    entities, memory = map(int, done.stdout.split())
    print(f"  {entities} entities, peak memory {memory} MB (limit 300) {'ok' if memory < 300 else 'OVER'}")


def restoring(url: str) -> None:
    """The same PUTs by the restore and by a bare loop; nothing is there, so that all are made."""
    opened, state = gateway(url), routes(RESTORED * 5)
    empty = GatewayState(identity=state.identity, entities=())
    plan = plan_restore(state, empty, Scope())
    bodies = [(f"/{one.kind}/{one.id}", wire_json(written_body(one))) for one in state.entities]
    spent: list[float] = []

    def restore() -> None:
        before = cpu()
        assert apply(plan, opened.restorer, Manner()).problem is None
        spent.append(cpu() - before)

    taken = in_turn(RUNS, restore=restore, bare=lambda: put(url, bodies))
    opened.close()
    show(taken)
    show_ratio("restore / a bare loop of the same PUTs (80 % of its rate)", taken["restore"], taken["bare"], 1.25)
    print(f"  client CPU per 1,000 entities: {min(spent) / len(bodies) * 1000:.2f} s")


def on_the_lab(url: str, folder: Path) -> None:
    opened, state = gateway(url), routes(RESTORED)
    header = ScriptHeader(subject="all", file="restore.sh", tool_version="1", environment="stage", commit="")
    (folder / "restore.sh").write_text(restore_script(state, header, library=shell_library()))
    environ = {"PATH": os.environ["PATH"], "KONG_ADMIN_URL": url}
    command = ["dash", str(folder / "restore.sh")]
    bodies = [(f"/{one.kind}/{one.id}", wire_json(written_body(one))) for one in state.entities]

    def timed(work: Callable[[], object]) -> float:
        with ThreadPoolExecutor(WORKERS) as pool:
            for kind in ("routes", "services"):
                ids = [one.id for one in state.entities if one.kind == kind]
                list(pool.map(lambda key, kind=kind: opened._admin.write("DELETE", (kind, key)), ids))
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    taken: dict[str, list[float]] = {"restore": [], "bare": [], "script": []}
    for _ in range(RUNS):
        taken["restore"].append(
            timed(lambda: apply(plan_restore(state, opened.dump(), Scope()), opened.restorer, Manner()))
        )
        taken["bare"].append(timed(lambda: put(url, bodies)))
        taken["script"].append(
            timed(lambda: subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL))
        )
    listings = [[f"/{kind.name}?size={PAGE}"] for kind in KINDS if not kind.parent and opened._admin.listing(kind.name)]
    dumped = in_turn(
        RUNS, dump_of_lab=opened.dump, bare_pages_of_lab=lambda: fetch(url, [*listings, ["/"], ["/endpoints"]])
    )
    opened.close()
    print(f"  lab gateway, {RESTORED} routes")
    show(dumped)
    show_ratio("dump / fetching its pages", dumped["dump_of_lab"], dumped["bare_pages_of_lab"], 1.3)
    show(taken)
    show_ratio("restore (with its dump and plan) / a bare loop of the same PUTs", taken["restore"], taken["bare"], 1.25)
    show_ratio("script / restore", taken["script"], taken["restore"], 2)


def routes(count: int) -> GatewayState:
    from pipeline.gateways.kong.stored import to_entity

    services = [{"id": made(f"s{number}"), "name": f"s{number}", "host": "h"} for number in range(10)]
    found = [to_entity(kind_of("services"), {**one, "created_at": 1_700_000_000}) for one in services]
    for number in range(count):
        service = {"id": services[number % 10]["id"]}
        fields = {"name": f"r{number}", "paths": [f"/r{number}"], "service": service, "created_at": 1_700_000_000}
        found.append(to_entity(kind_of("routes"), {"id": made(f"r{number}"), **fields}))
    return GatewayState(identity=GatewayIdentity(product="kong", version="2.8.5"), entities=tuple(found))


def asked(url: str) -> int:
    """How many requests the server has had."""
    client = Bare(url)
    count = int(client.exchange("GET", "/asked", None))
    client.close()
    return count


def fetch(url: str, requests: list[list[str]]) -> None:
    """A bare client: each collection's pages in turn, collections side by side, the offset taken from the page."""
    client = Bare(url)

    def collection(paths: list[str]) -> None:
        for path in paths:
            json.loads(client.exchange("GET", path, None))

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(collection, requests))
    client.close()


def put(url: str, bodies: list[tuple[str, str]]) -> None:
    """A bare loop; what others refer to first."""
    client = Bare(url)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda one: client.exchange("PUT", *one), bodies[:10]))
        list(pool.map(lambda one: client.exchange("PUT", *one), bodies[10:]))
    client.close()


class Bare:
    """http.client, one connection for each thread."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2])
        self._own = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def exchange(self, method: str, path: str, body: str | None) -> bytes:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection("127.0.0.1", self._port)
            self._all.append(connection)
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        content: bytes = answer.read()
        assert answer.status == 200, content
        return content

    def close(self) -> None:
        for connection in self._all:
            connection.close()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SIZE)
