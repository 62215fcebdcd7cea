"""verify: what serves is asked through the gateway, once, whether it is what the gateway and its labels say."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.errors import Unreachable
from pipeline.gateways.base import Front
from pipeline.model.check import make_question, shortfall
from pipeline.model.manifest import Manifest, Verify
from pipeline.model.route import FoundRoute, Route
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundStack
from pipeline.model.status import Asked

_TIMEOUT = 5.0
_AT_ONCE = 8


def ask_all(snapshot: Snapshot, manifests: Iterable[Manifest], front: Front) -> tuple[Asked, ...]:
    """One question to each service that a route leads to and whose manifest wants a check. Reads only."""
    jobs = []
    for manifest in manifests:
        for stack in snapshot.of(manifest.name):
            routes = snapshot.routes_to(stack)
            if routes and manifest.verify is not None:
                jobs.append(_Job(manifest=manifest, verify=manifest.verify, stack=stack, route=routes[0]))
                break
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return tuple(pool.map(lambda job: _ask(job, front), jobs))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    manifest: Manifest
    verify: Verify
    stack: FoundStack
    route: FoundRoute


def _ask(job: _Job, front: Front) -> Asked:
    manifest, stack, route = job.manifest, job.stack, job.route
    wanted = Route(
        service=manifest.name,
        environment=stack.environment,
        stack=stack.name,
        uri=route.paths[0] if route.paths else manifest.uri,
        upstream=route.upstream,
        hosts=route.hosts,
        methods=route.methods,
    )
    question = make_question(job.verify, wanted)
    try:
        answer = front.ask(question, timeout=_TIMEOUT)
    except Unreachable as error:
        return Asked(service=manifest.name, truth=None, words=error.what)
    facts = {"stack": stack.name, "version": stack.version, "branch": stack.branch}
    lacking = shortfall(job.verify.expect, facts, answer)
    words = f"{question}: {lacking}: {answer}" if lacking else f"{question}: as it should be"
    return Asked(service=manifest.name, truth=not lacking, words=words)
