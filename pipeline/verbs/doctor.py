"""doctor: what is reachable, which versions, what is missing and what to do about it. Changes nothing."""

from __future__ import annotations

import platform as machine
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata

from pipeline.errors import Failed, PipelineError
from pipeline.gateways.base import Front
from pipeline.model.check import make_question
from pipeline.model.dialect import Dialect
from pipeline.model.manifest import Verify
from pipeline.model.route import FoundRoute, Route
from pipeline.verbs.report import print_document, table
from pipeline.wiring import Session, open_session

_TIMEOUT = 10.0
_DIALECTS = {Dialect.SERVICES: "services and routes", Dialect.APIS: "the legacy /apis"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `hint` says what to do when it is not well."""

    subject: str
    well: bool
    found: str
    hint: str = ""


def doctor(environment: str | None, *, json: bool, jq: str) -> int:
    """Exits with 1 when something is not well, after having looked at everything."""
    session = open_session((), environment)
    findings = tuple(_findings(session))
    document = {
        "schema_version": 1,
        "environment": session.settings.environment,
        "findings": [
            {"subject": one.subject, "well": one.well, "found": one.found, "hint": one.hint} for one in findings
        ],
    }
    rows = [("ok" if one.well else "BAD", one.subject, one.found) for one in findings]
    lines = table(("", "WHAT", "FOUND"), rows) + [f"{one.subject}: {one.hint}" for one in findings if one.hint]
    print_document(session, document, lines, json=json, jq=jq)
    return 0 if all(one.well for one in findings) else 1


def _findings(session: Session) -> Iterator[Finding]:
    yield _look("toolkit", lambda: f"{metadata.version('invoke-pipeline')} on Python {machine.python_version()}")
    yield _look("settings", lambda: f"environment {session.settings.environment or 'none'}, {session.root}")
    yield _look("services", lambda: ", ".join(work.release.stack for work in session.works))
    yield _look("engine that builds", lambda: _engine(session))
    yield _look("BuildKit", lambda: _buildkit(session))
    if not session.settings.environment:
        return
    yield _look("platform", lambda: _platform(session))
    yield _look("records", lambda: f"{len(session.records.all())}")
    gateway = _look("gateway", lambda: _gateway(session))
    yield gateway
    if gateway.well:
        yield from _proxy(session)


def _look(subject: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(subject=subject, well=True, found=ask())
    except PipelineError as error:
        return Finding(subject=subject, well=False, found=error.what, hint=error.hint)


def _engine(session: Session) -> str:
    from pipeline.edge.engine import engine_errors, open_engine

    address = session.settings.build_engine
    client = open_engine(address)
    with engine_errors(address, "tell its version"):
        version = client.version()
    client.close()
    return f"{address}, version {version['Version']}, API {version['ApiVersion']}"


def _platform(session: Session) -> str:
    settings = session.settings
    where = (
        f"Rancher at {settings.rancher}, project {settings.rancher.project or 'the only one'}, "
        if settings.rancher
        else ""
    )
    return f"{where}{len(session.platform.stacks())} stacks of {settings.environment}"


def _buildkit(session: Session) -> str:
    """Not having it is well, until an image asks for it."""
    from pipeline.edge.docker_command import NoBuildKit, find_buildkit

    found = find_buildkit(session.settings.build_engine, session.variables)
    return f"none here: {found}" if isinstance(found, NoBuildKit) else f"by {found}"


def _gateway(session: Session) -> str:
    identity = session.gateway.identity()
    carries = ", ".join(identity.environments) or "nothing of ours yet"
    spoken = _DIALECTS[identity.dialect]
    if identity.dialect is Dialect.APIS:
        carries = "no environment's name (apis have no tags)"
    return (
        f"{identity.product} {identity.version} at {session.settings.gateway.admin}, by {spoken} "
        f"({identity.because}), carries {carries}"
    )


def _proxy(session: Session) -> Iterator[Finding]:
    """Asks every route of ours through the proxy: that is how it shows whether the gateway reaches the stacks."""
    front = session.front
    if front is None:
        yield Finding(
            subject="proxy", well=False, found="no address", hint="Set KONG_PROXY_URL: no check can be made without."
        )
        return
    for route in session.gateway.routes():
        if route.owner.ours and route.paths:
            yield _look(
                f"through the gateway: {route.paths[0]}", partial(_ask, front, route, session.settings.upstream)
            )


def _ask(front: Front, route: FoundRoute, upstream: str) -> str:
    wanted = Route(
        service=route.owner.service,
        environment=route.owner.environment,
        stack=route.owner.stack,
        uri=route.paths[0],
        upstream=route.upstream,
        hosts=route.hosts,
    )
    answer = front.ask(make_question(Verify(), wanted), timeout=_TIMEOUT)
    if answer.status in (502, 503, 504):
        other = "published" if upstream == "network" else "network"
        raise Failed(
            f"{answer} from {route.upstream}",
            hint=f"The gateway does not reach the stack: does it run (`invoke status`)? If so, set upstream: {other}.",
        )
    return f"{answer.status} from {route.upstream}"
