"""adopt: stacks and routes that were made before this toolkit become a service's, on evidence, and asked about."""

from __future__ import annotations

from invoke.context import Context

from pipeline.command import PENDING
from pipeline.errors import Failed, PipelineError
from pipeline.flows.adopt import Adoption, adopt_one
from pipeline.flows.lease import holding_those
from pipeline.model.adoption import Claim, find_claims
from pipeline.model.prune import refuse_foreign_gateway, refuse_incomplete
from pipeline.model.record import lease_name
from pipeline.verbs.several import checks_only
from pipeline.verbs.surveys import bare_record, holder_of, survey_all
from pipeline.wiring import Session, open_session


def adopt(c: Context, environment: str | None, *, yes: bool, check: bool) -> int:
    """Shows what it found and why, asks, and takes over. A second run finds nothing."""
    session = open_session((), environment)
    name = session.require_environment()
    try:
        snapshot = survey_all(session, branches=False)
        refuse_incomplete(snapshot)
        refuse_foreign_gateway(snapshot)
        claims = find_claims(snapshot, {manifest.name: manifest.uri for manifest, _ in session.manifests})
        session.console.result("\n".join(_lines(claims)) or f"nothing in {name} can be taken over")
        able = [claim for claim in claims if not claim.against]
        if checks_only(c, check) or not able:
            return PENDING if able else 0
        if not yes and not session.console.confirm(f"Take these over in {name}?"):
            session.console.tell("nothing was done")
            return 0
        return _take_over(session, name, able)
    finally:
        session.end_upkeep()


def _take_over(session: Session, environment: str, claims: list[Claim]) -> int:
    names = {claim.service: lease_name(environment, claim.service) for claim in claims}
    failed: dict[str, PipelineError] = {}
    tell = session.console.tell
    with holding_those(session.leases, names, holder=holder_of(session, "adopt"), tell=tell) as holds:
        for claim in claims:
            if claim.service not in holds:
                continue
            hands = Adoption(
                gateway=session.gateway,
                custody=session.custody,
                records=session.records,
                record=bare_record(session, "adopt", claim.service),
                hold=holds[claim.service],
                tell=session.console.teller(claim.service),
            )
            try:
                adopt_one(claim, environment, hands)
            except PipelineError as error:
                failed[claim.stack.name if claim.stack else claim.service] = error
    for what, reason in failed.items():
        session.console.error(reason, prefix=what)
    if failed:
        raise Failed(
            f"{len(failed)} could not be taken over: {', '.join(failed)}", hint="The reasons are above; run it again."
        )
    return 0


def _lines(claims: tuple[Claim, ...]) -> list[str]:
    lines = []
    for claim in claims:
        what = claim.stack.name if claim.stack else f"route {claim.route.label if claim.route else ''}"
        lines.append(f"{'leave' if claim.against else 'adopt'} {what} as {claim.service}'s")
        lines += [f"  {one}" for one in claim.evidence]
        lines += [f"  but {claim.against}"] if claim.against else []
    return lines
