"""prune: what is left behind by releases goes, with a reason for everything that goes and for everything that stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invoke.context import Context

from pipeline.command import PENDING
from pipeline.edge.artifacts import artifacts_of, newest_whole, remove_artifact
from pipeline.errors import Failed
from pipeline.flows import prune as flow
from pipeline.flows.lease import holding_those
from pipeline.model.artifact import artifacts_to_remove
from pipeline.model.prune import Fate, PrunePlan, plan_prune, refuse_incomplete
from pipeline.model.prune_rules import PrunePolicy
from pipeline.model.prune_tags import OldTags, old_tags, still_there
from pipeline.model.record import lease_name
from pipeline.model.size import shown_size
from pipeline.model.snapshot import Snapshot
from pipeline.model.span import shown_span
from pipeline.verbs.report import table
from pipeline.verbs.several import checks_only, parse_number
from pipeline.verbs.surveys import bare_record, chosen_services, holder_of, policy_of, survey_all
from pipeline.wiring import Session, open_session


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says of a prune."""

    keep: str = ""
    now: bool = False
    yes: bool = False
    artifacts: bool = False
    registry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extra:
    """What is removed where it was asked for."""

    artifacts: tuple[Path, ...]
    tags: tuple[OldTags, ...]

    @property
    def pending(self) -> bool:
        return bool(self.artifacts or self.tags)

    def lines(self) -> list[str]:
        names = [f"tag {one.repository}:{tag}" for one in self.tags for tag in one.tags]
        return [f"remove  {name}" for name in (*names, *(path.name for path in self.artifacts))]


def prune(c: Context, services: Sequence[str], environment: str | None, flags: Flags, *, check: bool) -> int:
    """Plans, shows, asks, takes the services' leases, plans anew, and does what both plans say."""
    session = open_session(tuple(services), environment)
    keep = parse_number("--keep", flags.keep, least=0) if flags.keep else None
    policy = policy_of(session, keep=keep, now=flags.now)
    try:
        snapshot = survey_all(session)
        refuse_incomplete(snapshot)
        claimed = _claimed(session, snapshot)
        plan = plan_prune(snapshot, policy, services=chosen_services(session, snapshot), claimed=claimed)
        extra = _Extra(
            artifacts=_old_artifacts(session, plan) if flags.artifacts else (),
            tags=_old_tags(session, old_tags(snapshot, plan, claimed)) if flags.registry else (),
        )
        session.console.result("\n".join((*_lines(plan, snapshot), *extra.lines())))
        pending = plan.pending or extra.pending
        if checks_only(c, check) or not pending:
            return PENDING if pending else 0
        if not flags.yes and not session.console.confirm(f"Do this in {plan.environment}?"):
            session.console.tell("nothing was done")
            return 0
        _carry_out(session, plan, policy, claimed)
        _remove_extra(session, extra)
        return 0
    finally:
        session.end_upkeep()


def _carry_out(session: Session, plan: PrunePlan, policy: PrunePolicy, claimed: frozenset[str]) -> None:
    """Under the leases of the services that have something to be done; planned anew, because time has passed."""
    tell = session.console.tell
    names = {service: lease_name(plan.environment, service) for service in _concerned(plan)}
    with holding_those(session.leases, names, holder=holder_of(session, "prune"), tell=tell) as holds:
        snapshot = survey_all(session, leases=False)
        again = plan_prune(snapshot, policy, services=tuple(holds), claimed=claimed) if holds else None
        if again is None:
            return
        hands = flow.Hands(
            gateway=session.gateway,
            custody=session.custody,
            upkeep=session.upkeep,
            records=session.records,
            holds=holds,
            record=lambda service: bare_record(session, "prune", service),
            tell=tell,
        )
        done = flow.apply(flow.agreed(plan, again), snapshot, hands)
    _summarise(session, plan, done)


def _remove_extra(session: Session, extra: _Extra) -> None:
    for old in extra.tags:
        gone = session.registry_tags.remove(old.repository, old.tags)
        session.console.tell(f"{old.repository}: {len(gone)} of {len(old.tags)} old tags are gone")
    for path in extra.artifacts:
        remove_artifact(path)


def _old_tags(session: Session, found: tuple[OldTags, ...]) -> tuple[OldTags, ...]:
    """Those that the registry still has."""
    there = (still_there(one, session.registry_tags.tags(one.repository)) for one in found)
    return tuple(one for one in there if one.tags)


def _old_artifacts(session: Session, plan: PrunePlan) -> tuple[Path, ...]:
    """Restore scripts of releases that are gone for good; never the newest of the whole gateway."""
    scripts = {path.name: path for path in artifacts_of(session.root / "artifacts", plan.environment)}
    kept = frozenset(release.version for release in plan.staying)
    everything = not session.choice.services
    going = artifacts_to_remove(scripts, kept, plan.services, everything=everything)
    newest = newest_whole(scripts.values())
    return tuple(scripts[name] for name in going if scripts[name] != newest)


def _concerned(plan: PrunePlan) -> tuple[str, ...]:
    found = {one.stack.service for one in plan.stacks if one.fate is not Fate.KEEP}
    found |= {one.route.owner.service for one in plan.routes}
    return tuple(sorted(found | {one.image.service for one in plan.images if one.goes}))


def _claimed(session: Session, snapshot: Snapshot) -> frozenset[str]:
    """The images that the other environments on this platform have records of."""
    others = (name for name in snapshot.surroundings.environments if name != snapshot.environment)
    return frozenset(
        reference
        for name in others
        for record in session.records_of(name).all()
        for reference in record.images.values()
    )


def _lines(plan: PrunePlan, snapshot: Snapshot) -> list[str]:
    rows: list[tuple[str, ...]] = [
        (
            one.fate.value,
            one.stack.name,
            one.stack.state,
            shown_span(max(0, snapshot.now - one.stack.created)),
            one.reason,
        )
        for one in plan.stacks
    ]
    rows += [("remove", f"route {one.route.label}", "", "", one.reason) for one in plan.routes]
    rows += [
        ("remove", f"image {one.image.label}", shown_size(one.image.size), "", one.reason)
        for one in plan.images
        if one.goes
    ]
    lines = table(("", "WHAT", "STATE", "AGE", "WHY"), rows) if rows else [f"nothing is deployed in {plan.environment}"]
    volumes = ", ".join(one.name for one in plan.volumes)
    return [*lines, f"volumes, which no verb removes: {volumes}"] if volumes else lines


def _summarise(session: Session, plan: PrunePlan, done: flow.Pruned) -> None:
    """What went, what was won, what stayed in spite of the plan. Raises Failed for what could not be done."""
    tell = session.console.tell
    for name, reason in sorted(done.spared.items()):
        tell(f"{name}: spared: {reason}")
    counts = {"stacks stopped": done.stopped, "stacks removed": done.removed, "routes": done.routes}
    counts |= {"images": done.images}
    words = ", ".join(f"{len(names)} {what}" for what, names in counts.items() if names)
    kept = len(plan.of(Fate.KEEP))
    won = f"; {shown_size(done.space)} won" if done.space else ""
    tell(f"pruned {plan.environment}: {words or 'nothing'}{won}; {kept} stacks stay, for the reasons above")
    for name, error in sorted(done.failed.items()):
        session.console.error(error, prefix=name)
    if done.failed:
        raise Failed(
            f"{len(done.failed)} could not be pruned: {', '.join(sorted(done.failed))}",
            hint="The reasons are above; the rest is done, and the next run goes on from here.",
        )
