"""rollback: the service's uri goes back to a release that served before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from invoke.context import Context

from pipeline.command import PENDING
from pipeline.errors import BadInput
from pipeline.flows import rollback as flow
from pipeline.flows.lease import Hold, holding
from pipeline.model.history import Version, deployed_as, history_of
from pipeline.model.prune import refuse_incomplete
from pipeline.model.record import Record, lease_name
from pipeline.model.registration import Registration
from pipeline.model.rollback import RollbackPlan, choose, options, plan_rollback, stack_again
from pipeline.model.route import Route
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundStack
from pipeline.verbs import register as registering
from pipeline.verbs.several import checks_only
from pipeline.verbs.sources import secrets_for
from pipeline.verbs.surveys import holder_of, survey_all
from pipeline.wiring import Session, Work, open_session

# What else a survey looks at is no reason to withhold the way back.
_NEEDED = ("platform", "records", "gateway")


def rollback(c: Context, services: Sequence[str], environment: str | None, *, to: str, check: bool) -> int:
    """Of one service: which one has to be said where the repository has several."""
    session = open_session(tuple(services), environment)
    session.require_environment()
    if len(session.works) != 1:
        raise BadInput("one service is rolled back at a time", hint="Name it: `invoke rollback -s NAME`.")
    (work,) = session.works
    service = work.release.service
    try:
        target = None
        if checks_only(c, check) or (not to and session.console.interactive):
            snapshot = survey_all(session, branches=False)
            refuse_incomplete(snapshot, *_NEEDED)
            target = choose(snapshot, service, to) if to else _picked(session, snapshot, service)
            plan = plan_rollback(snapshot, service, target)
            if checks_only(c, check) or not plan.pending:
                session.console.tell(_words(plan))
                return PENDING if plan.pending else 0
        _carry_out(session, work, target, to)
        return 0
    finally:
        session.end_upkeep()


def _carry_out(session: Session, work: Work, target: Version | None, to: str) -> None:
    """Looks and acts under the lease of the service: nobody else changes it in between."""
    service, tell = work.release.service, session.console.teller(work.release.service)
    name, holder = lease_name(work.release.environment, service), holder_of(session, "rollback")
    with holding(session.leases, name, holder=holder, clock=session.clock, tell=tell) as held:
        snapshot = survey_all(session, leases=False, branches=False)
        refuse_incomplete(snapshot, *_NEEDED)
        plan = plan_rollback(snapshot, service, target or choose(snapshot, service, to))
        session.console.tell(_words(plan))
        if not plan.pending:
            return
        goal, registration, found = _do(session, work, plan, held)
    registering.report(session, goal, registration, found)
    tell(f"restore artifacts: {', '.join(registering.write_artifacts(session, goal))}")
    if (problem := registration.problem) is not None:
        raise problem


def _do(session: Session, work: Work, plan: RollbackPlan, held: Hold) -> tuple[Work, Registration, FoundStack]:
    """Brings the release back, sends the uri there and writes it down."""
    goal = _work_of(work, plan)
    started = session.clock.monotonic()
    bringing = flow.Bringing(
        stack=stack_again(plan.deployed, session.settings.actor) if plan.deployed else None,
        secrets=lambda stack: secrets_for(session, stack),
        timeout=session.settings.deploy_timeout,
        steady=session.steady,
    )
    tell = session.console.teller(plan.service)
    found = flow.bring_back(
        plan, bringing, session.platform, session.upkeep, clock=session.clock, tell=tell, go_on=held.check
    )
    held.check()
    wanted = _wanted(session, goal, found, plan)
    registration = registering.apply_registration(session, goal, wanted, found, None)
    seconds = session.clock.monotonic() - started
    session.records.append(_record(session, goal, plan, registration, wanted, seconds))
    return goal, registration, found


def _picked(session: Session, snapshot: Snapshot, service: str) -> Version:
    """What somebody picks on a terminal; elsewhere, and where there is but one, the previous release."""
    back = options(snapshot, service)
    if len(back) < 2 or not session.console.interactive:
        return choose(snapshot, service)
    records = [one for one in snapshot.records if one.service == service]
    shown = []
    for one in back:
        record = deployed_as(records, one)
        shown.append(f"{one.stack}  {record.subject} ({record.author})" if record else one.stack)
    number = session.console.choose(f"Which release of {service}?", shown)
    if number is None:
        raise BadInput("none of these was chosen", hint="Run it again, or name one with --to.")
    return back[number]


def _work_of(work: Work, plan: RollbackPlan) -> Work:
    """The service's, as if that release were checked out."""
    known = plan.deployed or plan.registered
    release = replace(
        work.release,
        stack=plan.target.stack,
        branch=known.branch if known else plan.found.branch if plan.found else work.release.branch,
        commit=known.commit if known else plan.found.commit if plan.found else plan.target.version,
        subject=known.subject if known else "",
        author=known.author if known else "",
        dirty=plan.target.version.endswith("-dirty"),
    )
    return replace(work, release=release)


def _wanted(session: Session, target: Work, found: FoundStack, plan: RollbackPlan) -> Route:
    """As its registration is recorded; the manifest's where it is not."""
    wanted = registering.wanted_route(session, target, found)
    recorded = plan.registered.route if plan.registered else {}
    # Of a stack that was adopted nothing else says how it is reached.
    upstream = plan.registered.route_after if plan.registered and plan.deployed is None else wanted.upstream
    return replace(
        wanted,
        upstream=upstream,
        uri=str(recorded.get("uri", wanted.uri)),
        hosts=tuple(recorded.get("hosts", wanted.hosts)),
        methods=tuple(recorded.get("methods", wanted.methods)),
        strip_uri=bool(recorded.get("strip_uri", wanted.strip_uri)),
        preserve_host=bool(recorded.get("preserve_host", wanted.preserve_host)),
    )


def _record(
    session: Session, target: Work, plan: RollbackPlan, registration: Registration, wanted: Route, seconds: float
) -> Record:
    import msgspec

    deployed = plan.deployed
    before = _rolled_back_from(session, plan)
    return msgspec.structs.replace(
        registering.record_registration(session, target, registration, wanted),
        verb="rollback",
        version=plan.target.version,
        stack_before=before.stack,
        version_before=before.version,
        images=deployed.images if deployed else {},
        definition=deployed.definition if deployed else "",
        sameness=deployed.sameness if deployed else "",
        seconds=round(seconds, 3),
    )


def _rolled_back_from(session: Session, plan: RollbackPlan) -> Version:
    """What served; by the records, where a run that was killed has switched already."""
    if plan.serving is not None and plan.serving.name != plan.target.stack:
        return Version(stack=plan.serving.name, version=plan.serving.version)
    last = history_of(plan.service, session.records.all()).last
    return last if last is not None and last != plan.target else Version(stack="", version="")


def _words(plan: RollbackPlan) -> str:
    from_ = f" from {plan.serving.name}" if plan.serving else ""
    version = f" ({plan.target.version})" if plan.target.version not in plan.target.stack else ""
    return f"{plan.service}: back{from_} to {plan.target.stack}{version}: {plan.how.value}"
