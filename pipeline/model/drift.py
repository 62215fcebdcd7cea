"""Drift: where an environment is not as its records say, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pipeline.model.history import Version, deployed_as
from pipeline.model.image import parse_reference
from pipeline.model.record import Record
from pipeline.model.route import FoundRoute, Route, same_upstream, tag_word
from pipeline.model.snapshot import Snapshot


class DriftReason(StrEnum):
    """Why something is not as recorded."""

    CHANGED = "changed by hand"
    MISSING = "recorded but missing"
    UNRECORDED = "running but unrecorded"
    RETAGGED = "digest differs from tag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing: a route or a stack of a service, and what of it differs."""

    reason: DriftReason
    subject: str
    service: str
    what: str


def find_drift(snapshot: Snapshot, records: tuple[Record, ...]) -> tuple[Drift, ...]:
    """Every difference between what was recorded last and what is there, by service. Of a source that could not be
    read nothing is said."""
    unread = {source for source, _ in snapshot.missing}
    registered = {one.service: one for one in records if one.route_after and one.service}
    found: list[Drift] = []
    if "gateway" not in unread:
        found += _routes(snapshot, registered)
    if "platform" not in unread:
        found += _stacks(snapshot, registered, {one.stack for one in records})
        found += _images(snapshot, records)
    return tuple(sorted(found, key=lambda one: (one.service, one.subject, one.reason)))


def recorded_route(route: Route) -> dict[str, object]:
    """What a record keeps of a registered route, to be compared later."""
    return {
        "uri": route.uri,
        "hosts": list(route.hosts),
        "methods": list(route.methods),
        "strip_uri": route.strip_uri,
        "preserve_host": route.preserve_host,
    }


def _routes(snapshot: Snapshot, registered: dict[str, Record]) -> Iterator[Drift]:
    environment = tag_word(snapshot.environment)
    # Reviews share a gateway: there a service bears its review's name as well.
    own = f".{environment}"
    ours = {
        route.owner.service.removesuffix(own): route
        for route in snapshot.routes
        if route.owner.environment == environment
    }
    by_name = {route.name.removesuffix(own): route for route in snapshot.routes}
    for service, record in registered.items():
        # Whoever took our tags away, or on /apis our upstream, left the name.
        route = ours.get(service) or by_name.get(service)
        if route is None:
            what = f"the route to {record.route_after} is not in the gateway"
            yield Drift(reason=DriftReason.MISSING, subject="route", service=service, what=what)
            continue
        differing = "; ".join(_differences(record, route))
        if differing:
            yield Drift(reason=DriftReason.CHANGED, subject="route", service=service, what=differing)
    for service, route in ours.items():
        if service and service not in registered:
            what = f"{', '.join(route.paths)} leads to {route.upstream or 'nowhere'}, and no registration is recorded"
            yield Drift(reason=DriftReason.UNRECORDED, subject="route", service=service, what=what)


def _differences(record: Record, route: FoundRoute) -> Iterator[str]:
    if not same_upstream(record.route_after, route.upstream):
        yield f"it leads to {route.upstream or 'nowhere'}, recorded is {record.route_after}"
    if not route.owner.ours and same_upstream(record.route_after, route.upstream):
        yield "its tags are gone"
    there: dict[str, object] = {
        "uri": [_bare(path) for path in route.paths],
        "hosts": sorted(route.hosts),
        "methods": sorted(route.methods),
        "strip_uri": route.strip_uri,
        "preserve_host": route.preserve_host,
    }
    for key, value in record.route.items():
        wanted = [_bare(str(value))] if key == "uri" else sorted(value) if isinstance(value, list) else value
        if key in there and there[key] != wanted:
            yield f"{key} is {_shown(there[key])}, recorded is {_shown(wanted)}"


def _stacks(snapshot: Snapshot, registered: dict[str, Record], known: set[str]) -> Iterator[Drift]:
    running = {stack.name for stack in snapshot.stacks}
    for service, record in registered.items():
        if record.stack and record.stack not in running:
            what = f"{record.stack}, which was registered last, does not run"
            yield Drift(reason=DriftReason.MISSING, subject="stack", service=service, what=what)
    for stack in snapshot.stacks:
        if stack.name not in known:
            what = f"{stack.name} ({stack.state}) is in no record"
            yield Drift(reason=DriftReason.UNRECORDED, subject="stack", service=stack.service, what=what)


def _images(snapshot: Snapshot, records: tuple[Record, ...]) -> Iterator[Drift]:
    """Images of stacks that run, whose tag names another one by now: a build of the same commit, or a hand."""
    tagged = {name: image for image in snapshot.surroundings.images for name in image.names}
    by_end = {name.rpartition("/")[2]: (name, image) for name, image in tagged.items()}
    for stack in snapshot.stacks:
        deployed = deployed_as(records, Version(stack=stack.name, version=stack.version))
        tag = stack.name.removeprefix(f"{stack.service}-")
        for compose_service, reference in sorted(deployed.images.items()) if deployed else ():
            if not _was_built_here(stack.service, reference):
                continue
            ends = (f"{stack.service}-{compose_service}:{tag}", f"{stack.service}:{tag}")
            name, image = next((by_end[end] for end in ends if end in by_end), ("", None))
            if image is not None and not image.is_named(reference):
                what = f"{stack.name} runs {reference[-19:]} as {compose_service}, and {name} is {image.id[:19]} now"
                yield Drift(reason=DriftReason.RETAGGED, subject="image", service=stack.service, what=what)


def _was_built_here(service: str, reference: str) -> bool:
    """An id, or a digest of the service's repository: the others are images that a compose file names."""
    if reference.startswith("sha256:"):
        return True
    last = parse_reference(reference).path.rpartition("/")[2]
    return "@" in reference and (last == service or last.startswith(f"{service}-"))


def _bare(path: str) -> str:
    """A legacy Kong keeps no slash at the end."""
    return path.rstrip("/") or "/"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value).lower()
