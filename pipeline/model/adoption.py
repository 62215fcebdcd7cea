"""Taking over what was made before this toolkit: the evidence that it is a service's, and what says so from then on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pipeline.model.image import parse_reference
from pipeline.model.record import Record
from pipeline.model.route import FoundRoute, stack_of_upstream
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundStack

ADOPT = "adopt"
_ENDING = re.compile(r"-(?P<slug>[a-z0-9][a-z0-9-]*)-(?P<version>[0-9a-f]{8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A stranger that a service may take over. `route` is the one to take over with it, None for a stack that none
    leads to; `evidence` is what agrees, `against` what does not (then nothing is taken)."""

    service: str
    branch: str
    version: str
    stack: FoundStack | None
    route: FoundRoute | None
    evidence: tuple[str, ...]
    against: str = ""


def adopted(
    stacks: Iterable[FoundStack], strangers: Iterable[FoundStack], records: Iterable[Record], environment: str
) -> tuple[tuple[FoundStack, ...], tuple[FoundStack, ...]]:
    """The environment's stacks with those that records say were taken over, and the strangers that are left."""
    taken = {record.stack: record for record in records if record.verb == ADOPT and record.stack}
    left, ours = [], list(stacks)
    for stranger in strangers:
        record = taken.get(stranger.name)
        if record is None:
            left.append(stranger)
            continue
        ours.append(
            replace(
                stranger,
                service=record.service,
                environment=environment,
                branch=record.branch,
                commit=record.commit,
                version=record.version,
                adopted=True,
            )
        )
    return tuple(sorted(ours, key=lambda stack: (stack.created, stack.name))), tuple(left)


def find_claims(snapshot: Snapshot, uris: Mapping[str, str]) -> tuple[Claim, ...]:
    """What could be taken over by the services (name → uri): stacks called after one, and its untagged route. A route
    alone is taken when it leads to a stack that is ours already. By service, the one that serves first."""
    found = []
    for service, uri in sorted(uris.items()):
        routes = [one for one in snapshot.routes if not one.owner.ours and uri in one.paths]
        strangers = [one for one in snapshot.surroundings.strangers if _facts(service, one.name, uris)]
        led_to = {name for route in routes for name in snapshot.named_stacks(route)}
        for stranger in sorted(strangers, key=lambda one: (one.name not in led_to, -one.created, one.name)):
            route = next((one for one in routes if stranger.name in snapshot.named_stacks(one)), None)
            found.append(_claim(service, stranger, route, uris))
        ours = {stack.name: stack for stack in snapshot.of(service)}
        for route in routes:
            if stack := ours.get(stack_of_upstream(route.upstream)):
                found.append(_claim_of_route(service, stack, route))
    return tuple(found)


def agreeing_route(routes: Iterable[FoundRoute], service: str, uri: str) -> FoundRoute | None:
    """The one untagged route of the uri that leads to a stack called after the service: what `register` takes over."""
    found = [one for one in routes if not one.owner.ours and one.paths in ((uri,), (uri.rstrip("/"),))]
    leading = [one for one in found if stack_of_upstream(one.upstream).startswith(f"{service}-")]
    return leading[0] if len(found) == len(leading) == 1 else None


def _claim_of_route(service: str, stack: FoundStack, route: FoundRoute) -> Claim:
    answers = f"the route {route.label} answers {', '.join(route.paths)}"
    return Claim(
        service=service,
        branch=stack.branch,
        version=stack.version,
        stack=None,
        route=route,
        evidence=(answers, f"it leads to {stack.name}, which is ours"),
    )


def _claim(service: str, stack: FoundStack, route: FoundRoute | None, names: Iterable[str]) -> Claim:
    facts = _facts(service, stack.name, names) or {}
    evidence = [f"its name says {service}, {facts['slug']}, {facts['version']}"]
    images = {one.image_name for one in stack.containers if _is_of(service, one.image_name)}
    if images:
        evidence.append(f"it runs {', '.join(sorted(images))}")
    if route is not None:
        evidence.append(f"the route {route.label} ({', '.join(route.paths)}) leads to it")
    shown = ", ".join(sorted({one.image_name for one in stack.containers}))
    return Claim(
        service=service,
        branch=facts["slug"],
        version=facts["version"],
        stack=stack,
        route=route,
        evidence=tuple(evidence),
        against="" if images else f"none of its images is called after {service}: {shown}",
    )


def _facts(service: str, stack: str, names: Iterable[str]) -> dict[str, str] | None:
    """Slug and version in a stack's name, when no longer service's name fits it better."""
    fitting = [name for name in names if stack.startswith(f"{name}-")]
    if max(fitting, key=len, default="") != service:
        return None
    found = _ENDING.fullmatch(stack.removeprefix(service))
    return found.groupdict() if found else None


def _is_of(service: str, image: str) -> bool:
    """`registry/estate/cities-proxy:tag` is an image of cities."""
    last = parse_reference(image).path.rpartition("/")[2]
    return last == service or last.startswith((f"{service}-", f"{service}_"))
