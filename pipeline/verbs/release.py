"""release: build, deploy and register in one."""

from __future__ import annotations

from collections.abc import Sequence

from invoke.context import Context

from pipeline.flows.build_plan import Wanted
from pipeline.verbs import build, deploy, register
from pipeline.verbs.build import Flags
from pipeline.verbs.several import checks_only, for_each
from pipeline.wiring import Session, Work, open_session


def release(c: Context, services: Sequence[str], environment: str | None, flags: Flags, *, check: bool) -> int:
    session = open_session(tuple(services), environment)
    session.require_environment()
    wanted = build.wanted_of(session, flags)
    if checks_only(c, check):
        pending = build.plan_all(session, session.works, wanted)
        return for_each(session, lambda work: _plan(session, work, wanted, building=build.result_of(pending, work)))
    may = [work for work in session.works if not deploy.is_refused(work)]
    built = build.build_all(session, may, wanted)

    def go_on(work: Work) -> bool:
        deploy.refuse_dirty(work)
        build.result_of(built, work)
        deploy.deploy_one(session, work, flags.force)
        register.register_one(session, work, flags.force)
        return False

    return for_each(session, go_on, verb="release")


def _plan(session: Session, work: Work, wanted: Wanted, *, building: bool) -> bool:
    """What comes after a build that is still to be made cannot be told: it depends on what that makes."""
    if building:
        session.console.tell(f"{work.release.service}: then deploy {work.release.stack} and send its uri there")
        return True
    if deploy.plan_one(session, work, wanted.force):
        session.console.tell(f"{work.release.service}: then send its uri there")
        return True
    return register.plan_one(session, work)
