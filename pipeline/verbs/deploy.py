"""deploy: each selected service's images as a stack that is healthy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from invoke.context import Context

from pipeline.errors import Refused
from pipeline.flows import deploy as flow
from pipeline.flows.lease import Hold, holding
from pipeline.flows.order import project_of, refuse_older
from pipeline.model.record import Record, lease_name
from pipeline.model.stack import Stack
from pipeline.settings import LOCAL
from pipeline.verbs.several import checks_only, for_each
from pipeline.verbs.sources import read_build, read_secrets, stack_of
from pipeline.wiring import Session, Work, open_session


def deploy(c: Context, services: Sequence[str], environment: str | None, *, force: bool, check: bool) -> int:
    session = open_session(tuple(services), environment)
    session.require_environment()
    if checks_only(c, check):
        return for_each(session, lambda work: plan_one(session, work, force))
    return for_each(session, lambda work: deploy_one(session, work, force), verb="deploy")


def plan_one(session: Session, work: Work, force: bool) -> bool:
    stack = stack_of(session, work, read_build(session, work))
    decided = flow.plan(stack, session.platform.stacks(), force=force)
    session.console.tell(f"{work.release.service}: {decided.stack}: {decided.reason}")
    return decided.changes


def deploy_one(session: Session, work: Work, force: bool) -> bool:
    """Deploys under the service's lease; a release that runs already, or is unchanged, takes none. Never pending."""
    tell = session.console.teller(work.release.service)
    refuse_dirty(work)
    stack = stack_of(session, work, read_build(session, work))
    decided = flow.plan(stack, session.platform.stacks(), force=force)
    session.deployed[work.release.service] = decided.stack
    if _is_done(session, stack, decided):
        tell(_nothing_to_do(decided, stack))
        return False
    secrets = read_secrets(session, work, stack)
    with hold(session, work, "deploy") as held:
        # Once more under the lease: another run may have been here in between.
        decided = flow.plan(stack, session.platform.stacks(), force=force)
        session.deployed[work.release.service] = decided.stack
        if not decided.changes:
            tell(_nothing_to_do(decided, stack))
            if not _is_done(session, stack, decided):
                session.records.append(_record(session, work, stack, decided, 0.0))
            return False
        refuse_older_pipeline(session, work, "deploy", force=force)
        tell(f"{decided.stack}: {decided.reason}")
        attempt = flow.Attempt(
            stack=stack,
            decided=decided,
            secrets=secrets,
            timeout=session.settings.deploy_timeout,
            steady=session.steady,
            finished=decided.outcome is flow.Outcome.COMPLETED and _was_finished(session, stack),
        )
        deployment = flow.deploy(attempt, session.platform, clock=session.clock, tell=tell, go_on=held.check)
        session.records.append(_record(session, work, stack, decided, deployment.seconds))
    tell(f"{decided.stack} is {deployment.found.state} after {deployment.seconds:.1f} s")
    return False


def _nothing_to_do(decided: flow.DeployPlan, stack: Stack) -> str:
    return decided.reason if decided.stack != stack.name else f"{decided.stack}: {decided.reason}"


def _is_done(session: Session, stack: Stack, decided: flow.DeployPlan) -> bool:
    """A run that was killed right after its last step has left no record, without which there is no way back."""
    return not decided.changes and (decided.stack != stack.name or _was_finished(session, stack))


def _was_finished(session: Session, stack: Stack) -> bool:
    return any((record.verb, record.stack) == ("deploy", stack.name) for record in session.records.all())


def hold(session: Session, work: Work, doing: str) -> AbstractContextManager[Hold]:
    """The lease of the service in the environment, for the body."""
    settings = session.settings
    where = settings.pipeline_url or f"a run on {settings.variables.get('HOSTNAME') or 'this machine'}"
    return holding(
        session.leases,
        lease_name(settings.environment, work.release.service),
        holder=f"{settings.actor} ({doing} of {work.release.version}, {where})",
        clock=session.clock,
        tell=session.console.teller(work.release.service),
    )


def is_refused(work: Work) -> bool:
    return work.release.dirty and work.release.environment == "production"


def refuse_dirty(work: Work) -> None:
    if is_refused(work):
        raise Refused(
            f"{work.release.service} has uncommitted changes, and production runs commits only",
            hint="Commit or stash them (`git status` shows them), then build and deploy again.",
        )


def refuse_older_pipeline(session: Session, work: Work, verb: str, *, force: bool) -> None:
    """Tells when it cannot be told which is newer. On a laptop's own environment there are no pipelines to ask for."""
    if force or (work.release.environment == LOCAL and not session.settings.pipeline_iid):
        return
    warning = refuse_older(
        session.records.all(),
        verb=verb,
        service=work.release.service,
        branch=work.release.branch,
        iid=session.settings.pipeline_iid,
        project=project_of(session.settings.pipeline_url),
    )
    if warning:
        session.console.teller(work.release.service)(warning)


def record_of(session: Session, work: Work, verb: str, stack: str, seconds: float) -> Record:
    """What every record says: who did what to which release, from which pipeline."""
    release, settings = work.release, session.settings
    return Record(
        verb=verb,
        service=release.service,
        environment=release.environment,
        actor=settings.actor,
        stack=stack,
        branch=release.branch,
        commit=release.commit,
        subject=release.subject,
        author=release.author,
        version=release.version,
        seconds=round(seconds, 3),
        pipeline_url=settings.pipeline_url,
        pipeline_iid=settings.pipeline_iid,
    )


def _record(session: Session, work: Work, stack: Stack, decided: flow.DeployPlan, seconds: float) -> Record:
    import msgspec

    return msgspec.structs.replace(
        record_of(session, work, "deploy", stack.name, seconds),
        images={service.name: service.image for service in stack.definition.services},
        outcome=decided.outcome.value,
        definition=stack.definition.text(),
        sameness=stack.sameness,
    )
