"""logs: of the stack that serves."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import Failed
from pipeline.flows.survey import Sources, survey
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundStack
from pipeline.verbs.several import parse_number
from pipeline.verbs.sources import known_secrets
from pipeline.wiring import open_session


def logs(services: Sequence[str], environment: str | None, *, follow: bool, tail: str) -> int:
    """Prints to stdout; secrets whose values are known here are masked."""
    lines = parse_number("--tail", tail, least=0)
    session = open_session(tuple(services), environment)
    name = session.require_environment()
    snapshot = survey(name, Sources(platform=lambda: session.platform, gateway=lambda: session.gateway))
    for work in session.works:
        session.console.mask(known_secrets(session, work))
        stack = _serving(snapshot, work.release.service)
        if stack is None:
            raise Failed(
                f"no stack of {work.release.service} runs in {name}", hint="`invoke status` shows what there is."
            )
        session.console.tell(f"{work.release.service}: {stack.name}, {stack.state}")
        for line in session.platform.logs(stack.name, tail=lines, follow=follow):
            session.console.result(line)
    return 0


def _serving(snapshot: Snapshot, service: str) -> FoundStack | None:
    """The stack that the gateway sends requests to, else the newest."""
    stacks = [stack for stack in snapshot.stacks if stack.service == service]
    routed = [stack for stack in stacks if snapshot.routes_to(stack)]
    return max(routed or stacks, key=lambda stack: stack.created, default=None)
