"""A snapshot: all that is deployed in one environment at one moment, and what of it could not be read."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.model.route import FoundRoute, stack_of_upstream
from pipeline.model.stack import FoundStack

STATUS_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`missing` says per source (platform, gateway) why it could not be read; its part is empty then."""

    environment: str
    stacks: tuple[FoundStack, ...] = ()
    routes: tuple[FoundRoute, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()

    def routes_to(self, stack: FoundStack) -> tuple[FoundRoute, ...]:
        """The routes whose requests reach the stack: by its name in the upstream, or by a port that it published."""
        ports = {outside.rpartition(":")[2] for one in stack.containers for _, outside in one.ports}
        return tuple(
            route
            for route in self.routes
            if stack_of_upstream(route.upstream) == stack.name
            or (route.owner.stack == stack.name and route.upstream.rpartition(":")[2] in ports)
        )


def status_document(snapshot: Snapshot, *, now: float) -> dict[str, object]:
    """What `invoke status --json` prints: one entry per stack, newest first within its service. Ages in seconds."""
    stacks = sorted(snapshot.stacks, key=lambda stack: (stack.service, -stack.created, stack.name))
    known = {stack.name for stack in stacks}
    # Of a platform that could not be read nothing is known: then no route is called one without a stack.
    read = "platform" not in {source for source, _ in snapshot.missing}
    return {
        "schema_version": STATUS_VERSION,
        "environment": snapshot.environment,
        "stacks": [_entry(snapshot, stack, now) for stack in stacks],
        "routes_without_stack": [
            {"route": route.label, "paths": list(route.paths), "upstream": route.upstream}
            for route in snapshot.routes
            if read and route.owner.ours and route.owner.stack not in known
        ],
        "missing": [{"source": source, "reason": reason} for source, reason in snapshot.missing],
    }


def _entry(snapshot: Snapshot, stack: FoundStack, now: float) -> dict[str, object]:
    routes = snapshot.routes_to(stack)
    return {
        "service": stack.service,
        "branch": stack.branch,
        "commit": stack.commit,
        "version": stack.version,
        "stack": stack.name,
        "state": stack.state,
        "age": max(0, round(now - stack.created)),
        "serves": sorted({path for route in routes for path in route.paths}),
        "containers": [
            {"name": one.name, "service": one.compose_service, "state": one.state, "image": one.image}
            for one in stack.containers
        ],
    }
