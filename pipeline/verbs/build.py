"""build: the images of each selected service, and the record that deploy reads."""

from __future__ import annotations

from collections.abc import Sequence

from invoke.context import Context

from pipeline.edge.files import write_file
from pipeline.flows import build as flow
from pipeline.model.artifact import artifact_path, write_artifact
from pipeline.verbs.several import checks_only, for_each
from pipeline.verbs.sources import recipes_of
from pipeline.wiring import Session, Work, open_session


def build(c: Context, services: Sequence[str], *, push: bool, no_cache: bool, force: bool, check: bool) -> int:
    session = open_session(tuple(services))
    wanted = flow.Wanted(force=force, no_cache=no_cache, push=push and bool(session.settings.registry.prefix))
    if checks_only(c, check):
        return for_each(session, lambda work: plan_one(session, work, wanted))
    return for_each(session, lambda work: build_one(session, work, wanted))


def plan_one(session: Session, work: Work, wanted: flow.Wanted) -> bool:
    decisions = flow.plan(work.release, recipes_of(session, work), session.builder, wanted)
    for decision in decisions:
        session.console.tell(f"{work.release.service}: {decision}")
    return any(decision.changes for decision in decisions)


def build_one(session: Session, work: Work, wanted: flow.Wanted) -> bool:
    """Builds and keeps the record; never pending."""
    tell = session.console.teller(work.release.service)
    if work.release.dirty:
        tell(f"uncommitted changes: this is {work.release.version}")
    artifact = flow.build(
        work.release, recipes_of(session, work), session.builder, wanted, tell=tell, log=session.console.tell
    )
    path = session.root / artifact_path(work.release.service)
    content = write_artifact(artifact)
    if not path.exists() or path.read_bytes() != content:
        write_file(path, content)
    return False
