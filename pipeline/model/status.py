"""What `invoke status` tells of a snapshot: what runs where, which route serves it, and what prune would do to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.errors import Refused
from pipeline.model.prune import plan_prune
from pipeline.model.prune_rules import PrunePolicy, View
from pipeline.model.route import tag_word
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundStack

STATUS_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a serving service answered through the gateway: `truth` None when it could not be asked, else whether the
    answer is what its release should give; `words` say what was asked and answered."""

    service: str
    truth: bool | None
    words: str


def status_document(snapshot: Snapshot, policy: PrunePolicy, asked: Iterable[Asked] = ()) -> dict[str, object]:
    """What `invoke status --json` prints: one entry per stack, newest first within its service. Ages in seconds, by the
    platform's clock; None where nobody could be asked for it."""
    stacks = sorted(snapshot.stacks, key=lambda stack: (stack.service, -stack.created, stack.name))
    known = {stack.name for stack in (*stacks, *snapshot.surroundings.strangers)}
    # Of a platform that could not be read nothing is known: then no route is called one without a stack.
    read = "platform" not in {source for source, _ in snapshot.missing}
    environment = tag_word(snapshot.environment)
    verdicts = _verdicts(snapshot, policy)
    previous = {name: View(snapshot=snapshot, service=name, policy=policy).back[:1] for name in snapshot.services}
    answers = {one.service: one for one in asked}
    return {
        "schema_version": STATUS_VERSION,
        "environment": snapshot.environment,
        "stacks": [_entry(snapshot, one, previous, verdicts, answers) for one in stacks],
        "routes_without_stack": [
            {"route": route.label, "paths": list(route.paths), "upstream": route.upstream}
            for route in snapshot.routes
            if read
            and route.owner.environment == environment
            and not known.intersection(snapshot.named_stacks(route))
            and not any(route in snapshot.routes_to(stack) for stack in snapshot.of(route.owner.service))
        ],
        "strangers": [
            {"stack": one.name, "state": one.state, "containers": len(one.containers)}
            for one in snapshot.surroundings.strangers
            if any(one.name.startswith(f"{service}-") for service in snapshot.services)
        ],
        "missing": [{"source": source, "reason": reason} for source, reason in snapshot.missing],
    }


def _verdicts(snapshot: Snapshot, policy: PrunePolicy) -> dict[str, str]:
    """By stack, what prune would do; or per service why it would not. A refusal stands at each."""
    found: dict[str, str] = {}
    for service in (*snapshot.services, ""):
        try:
            plan = plan_prune(snapshot, policy, services=(service,))
        except Refused as refused:
            found |= {stack.name: f"refuse: {refused.what}" for stack in snapshot.of(service)}
        else:
            found |= {one.stack.name: f"{one.fate}: {one.reason}" for one in plan.stacks}
    return found


def _entry(
    snapshot: Snapshot,
    stack: FoundStack,
    previous: dict[str, tuple[str, ...]],
    verdicts: dict[str, str],
    answers: dict[str, Asked],
) -> dict[str, object]:
    routes = snapshot.routes_to(stack)
    answer = answers.get(stack.service) if routes else None
    return {
        "service": stack.service,
        "branch": stack.branch,
        "commit": stack.commit,
        "version": stack.version,
        "subject": stack.subject,
        "author": stack.author,
        "stack": stack.name,
        "state": stack.state,
        "age": max(0, round(snapshot.now - stack.created)) if snapshot.now else None,
        "serves": sorted({path for route in routes for path in route.paths}),
        "routes": sorted(route.label for route in routes),
        "answers": answer.truth if answer else None,
        "answered": answer.words if answer else "",
        "previous": stack.name in previous.get(stack.service, ()),
        "prune": verdicts.get(stack.name, ""),
        "containers": [
            {"name": one.name, "service": one.compose_service, "state": one.state, "image": one.image}
            for one in stack.containers
        ],
    }
