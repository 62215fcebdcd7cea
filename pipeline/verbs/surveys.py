"""What the verbs that look at a whole environment share: its survey, the policy of prune, whom a run acts for."""

from __future__ import annotations

import functools
from pathlib import Path

from pipeline.edge.git import read_branches
from pipeline.errors import BadInput
from pipeline.flows.survey import Sources, survey
from pipeline.model.prune_rules import PrunePolicy
from pipeline.model.record import Record
from pipeline.model.snapshot import Snapshot
from pipeline.wiring import Session


def survey_all(session: Session, *, leases: bool = True, branches: bool = True) -> Snapshot:
    """Every source. Without `leases` while this run holds some: then they are being renewed in the background. Without
    `branches` where nothing depends on them: a remote may be slow."""
    environment = session.require_environment()
    sources = Sources(
        platform=lambda: session.platform,
        gateway=lambda: session.gateway,
        upkeep=lambda: session.upkeep,
        custody=lambda: session.custody,
        records=lambda: session.records,
        leases=(lambda: session.leases) if leases else None,
        branches=(lambda: _branches(session.root)) if branches else None,
    )
    return survey(environment, sources)


@functools.cache
def _branches(root: Path) -> frozenset[str] | None:
    """Asked once: a run looks several times, and --watch for ever."""
    return read_branches(root)


def policy_of(session: Session, *, keep: int | None = None, now: bool = False) -> PrunePolicy:
    """From the settings, the manifests and the flags; of a service without a folder one release is kept."""
    manifests = [manifest for manifest, _ in session.manifests]
    settings = session.settings
    return PrunePolicy(
        keep=1 if keep is None else keep,
        keeps=tuple((one.name, one.pipeline.keep) for one in manifests) if keep is None else (),
        grace=0.0 if now else settings.grace,
        settle=settings.settle,
    )


def chosen_services(session: Session, snapshot: Snapshot) -> tuple[str, ...]:
    """The selection, of services that have a folder or something deployed. Raises BadInput for another one."""
    known = {manifest.name for manifest, _ in session.manifests} | set(snapshot.services)
    for name in session.choice.services:
        if name not in known:
            raise BadInput(
                f"there is no service {name!r}, neither in {session.root} nor in {snapshot.environment}",
                hint=f"Known: {', '.join(sorted(known)) or 'none'}.",
            )
    return session.choice.services


def holder_of(session: Session, doing: str) -> str:
    """Who a lease is held by, for those who meet it."""
    settings = session.settings
    where = settings.pipeline_url or f"a run on {settings.variables.get('HOSTNAME') or 'this machine'}"
    return f"{settings.actor} ({doing}, {where})"


def bare_record(session: Session, verb: str, service: str) -> Record:
    """What a record says of a run that is no release's."""
    settings = session.settings
    return Record(
        verb=verb,
        service=service,
        environment=settings.environment,
        actor=settings.actor,
        pipeline_url=settings.pipeline_url,
        pipeline_iid=settings.pipeline_iid,
    )
