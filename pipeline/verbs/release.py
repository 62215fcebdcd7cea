"""release: build, deploy and register in one."""

from __future__ import annotations

from collections.abc import Sequence

from invoke.context import Context

from pipeline.flows import build as building
from pipeline.verbs import build, deploy, register
from pipeline.verbs.several import checks_only, for_each
from pipeline.wiring import Session, Work, open_session


def release(
    c: Context,
    services: Sequence[str],
    environment: str | None,
    *,
    push: bool,
    no_cache: bool,
    force: bool,
    check: bool,
) -> int:
    session = open_session(tuple(services), environment)
    session.require_environment()
    wanted = building.Wanted(force=force, no_cache=no_cache, push=push and bool(session.settings.registry.prefix))
    if checks_only(c, check):
        return for_each(session, lambda work: _plan(session, work, wanted))
    return for_each(session, lambda work: _release(session, work, wanted, force))


def _plan(session: Session, work: Work, wanted: building.Wanted) -> bool:
    """What comes after a build that is still to be made cannot be told: it depends on what that makes."""
    if build.plan_one(session, work, wanted):
        session.console.tell(f"{work.release.service}: then deploy {work.release.stack} and send its uri there")
        return True
    if deploy.plan_one(session, work, wanted.force):
        session.console.tell(f"{work.release.service}: then send its uri there")
        return True
    return register.plan_one(session, work)


def _release(session: Session, work: Work, wanted: building.Wanted, force: bool) -> bool:
    deploy.refuse_dirty(work)
    build.build_one(session, work, wanted)
    deploy.deploy_one(session, work, force)
    register.register_one(session, work, force)
    return False
