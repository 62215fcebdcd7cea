"""register: the route of each selected service, and the restore artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from invoke.context import Context

from pipeline.edge.files import write_file
from pipeline.errors import Failed, Refused
from pipeline.flows import deploy as deploying
from pipeline.flows import register as flow
from pipeline.model.adoption import agreeing_route
from pipeline.model.artifact import artifact_paths, is_script_of, secrets_path
from pipeline.model.ci import entity_name, hosts_of
from pipeline.model.drift import recorded_route
from pipeline.model.record import Record
from pipeline.model.registration import Outcome, Registration
from pipeline.model.route import Owner, Route, WantedPlugin, stack_of_upstream
from pipeline.model.stack import FoundStack
from pipeline.model.upstream import upstream_url
from pipeline.verbs.deploy import hold, record_of, refuse_older_pipeline
from pipeline.verbs.several import checks_only, for_each
from pipeline.verbs.sources import read_build, stack_of
from pipeline.wiring import Session, Work, open_session


def register(c: Context, services: Sequence[str], environment: str | None, *, force: bool, check: bool) -> int:
    session = open_session(tuple(services), environment)
    session.require_environment()
    if checks_only(c, check):
        return for_each(session, lambda work: plan_one(session, work))
    return for_each(session, lambda work: register_one(session, work, force), verb="register")


def plan_one(session: Session, work: Work) -> bool:
    wanted = wanted_route(session, work, _deployed(session, work))
    plan, route = _plan(session, wanted)
    if plan is None:
        session.console.tell(f"{work.release.service}: take the route {route} over, then send {wanted.uri} there")
        return True
    for change in (*plan.kept, *plan.changes):
        session.console.tell(f"{work.release.service}: {change}")
    if not plan.changes:
        session.console.tell(f"{work.release.service}: the gateway is as it should be")
    return bool(plan.changes)


def register_one(session: Session, work: Work, force: bool) -> bool:
    """Registers under the service's lease when there is something to write. The artifacts of a release that is already
    registered, once written, stay: they are the gateway as it stood after its registration."""
    tell = session.console.teller(work.release.service)
    stack = _deployed(session, work)
    wanted = wanted_route(session, work, stack)
    plan, _ = _plan(session, wanted)
    if plan is None or plan.changes:
        with hold(session, work, "register") as held:
            refuse_older_pipeline(session, work, "register", force=force)
            held.check()
            _adopt(session, work, wanted)
            # Planned anew under the lease: another run may have been here in between.
            registration = apply_registration(session, work, wanted, stack, None)
            session.records.append(record_registration(session, work, registration, wanted))
    else:
        registration = apply_registration(session, work, wanted, stack, plan)
        if not _has_artifacts(session, work):
            _complete(session, work, registration, wanted)
    report(session, work, registration, stack)
    if registration.changes or not _has_artifacts(session, work):
        tell(f"restore artifacts: {', '.join(write_artifacts(session, work))}")
    if (problem := registration.problem) is not None:
        raise problem
    return False


def _plan(session: Session, wanted: Route) -> tuple[flow.RegistrationPlan | None, str]:
    """The plan, or the label of a route without tags that has to be taken over before there can be one."""
    try:
        return flow.plan_registration(wanted, session.gateway), ""
    except Refused:
        route = agreeing_route(session.gateway.routes(), wanted.service, wanted.uri)
        if route is None:
            raise
        return None, route.label


def _adopt(session: Session, work: Work, wanted: Route) -> None:
    """Takes the service's route over that was made before this toolkit, when there is one and it stands in the way."""
    if _plan(session, wanted)[0] is not None:
        return
    route = agreeing_route(session.gateway.routes(), wanted.service, wanted.uri)
    if route is not None:
        owner = Owner(environment=wanted.environment, service=wanted.service, stack=stack_of_upstream(route.upstream))
        session.gateway.apply(session.custody.plan_adoption(route, owner))
        session.console.teller(work.release.service)(
            f"took the route {route.label} over, which had no tags: it leads to {owner.stack}"
        )


def _complete(session: Session, work: Work, registration: Registration, wanted: Route) -> None:
    """A run that was killed right after the switch has left no record of it (and no artifacts): what a rollback and a
    prune would go by."""
    registered = [one for one in session.records.all() if one.service == wanted.service and one.route_after]
    if not registered or registered[-1].stack != wanted.stack:
        before = registered[-1] if registered else None
        known = replace(
            registration,
            stack_before=before.stack if before else "",
            upstream_before=before.route_after if before else "",
        )
        with hold(session, work, "register"):
            session.records.append(record_registration(session, work, known, wanted))


def _deployed(session: Session, work: Work) -> FoundStack:
    """The stack that this release runs as: its own, or the one that nothing changed since."""
    stack = stack_of(session, work, read_build(session, work))
    stacks = session.platform.stacks()
    decided = deploying.plan(stack, stacks, force=False)
    name = session.deployed.get(work.release.service, decided.stack)
    found = next((found for found in stacks if found.name == name), None)
    if found is None or not found.serves:
        state = "is not deployed" if found is None else f"is {found.state}"
        raise Failed(
            f"{name} {state} in {session.settings.environment}: there is nothing to send requests to",
            hint=f"Run `invoke deploy -s {work.release.service}` first.",
        )
    return found


def wanted_route(session: Session, work: Work, stack: FoundStack) -> Route:
    part = work.manifest.pipeline
    return Route(
        service=entity_name(work.release.service, work.release.environment),
        environment=work.release.environment,
        stack=stack.name,
        uri=work.manifest.uri,
        upstream=upstream_url(
            stack, part.upstream, published=session.settings.upstream == "published", host=_engine_host(session)
        ),
        hosts=hosts_of(work.manifest, session.settings.hosts, work.release.environment),
        methods=part.methods,
        strip_uri=part.strip_uri,
        preserve_host=part.preserve_host,
        plugins=tuple(WantedPlugin(name=plugin.name, config=plugin.config) for plugin in part.plugins),
    )


def _engine_host(session: Session) -> str:
    from urllib.parse import urlsplit

    return urlsplit(session.settings.platform_engine.host).hostname or "127.0.0.1"


def apply_registration(
    session: Session, work: Work, wanted: Route, stack: FoundStack, plan: flow.RegistrationPlan | None
) -> Registration:
    facts = {"stack": stack.name, "version": stack.version, "branch": stack.branch}
    return flow.register(
        wanted,
        verify=work.manifest.verify,
        facts=facts,
        gateway=session.gateway,
        front=session.front,
        clock=session.clock,
        policy=flow.CheckPolicy(deadline=session.settings.verify_timeout),
        plan=plan,
    )


def report(session: Session, work: Work, registration: Registration, stack: FoundStack) -> None:
    tell = session.console.teller(work.release.service)
    for change in (*registration.kept, *registration.changes):
        tell(str(change))
    since = "" if stack.name == work.release.stack else f", unchanged since {stack.name}"
    if registration.outcome is Outcome.UNCHANGED:
        tell(f"the gateway already sends {work.manifest.uri} to {stack.name}{since}")
    else:
        before = f" (before: {registration.stack_before})" if registration.stack_before else ""
        tell(f"{registration.outcome.value}: {work.manifest.uri} goes to {stack.name}{before}{since}")
    notes = f": {'; '.join(registration.notes)}" if registration.notes else ""
    tell(f"{registration.checked.value}{notes}")


def record_registration(session: Session, work: Work, registration: Registration, wanted: Route) -> Record:
    import msgspec

    return msgspec.structs.replace(
        record_of(session, work, "register", registration.stack, registration.seconds),
        outcome=f"{registration.outcome.value}, {registration.checked.value}",
        route_before=registration.upstream_before,
        stack_before=registration.stack_before,
        route_after=registration.upstream,
        route=recorded_route(wanted),
    )


def _has_artifacts(session: Session, work: Work) -> bool:
    """Those of this environment: the same commit may have been registered in another one since."""
    paths = [session.root / path for path in artifact_paths(work.release.service, work.release.version)]
    scripts = [path.read_text() for path in paths[:2] if path.exists()]
    of_this = [text for text in scripts if is_script_of(text, work.release.environment, work.release.commit)]
    return len(of_this) == 2 and paths[2].exists()


def write_artifacts(session: Session, work: Work) -> tuple[str, ...]:
    # The writers of the formats are loaded for this alone: most runs have nothing to write.
    from pipeline.edge.library import shell_library
    from pipeline.flows import dump as dumping
    from pipeline.verbs.dump import origin_of, write_secrets

    state = dumping.dump(session.gateway)
    origin = replace(origin_of(session, work.release.version), commit=work.release.commit)
    files = dumping.restore_files(state, work.release.service, origin, library=shell_library())
    for file in files:
        write_file(session.root / file.path, file.text.encode())
    sealed = write_secrets(session, state, session.root / secrets_path(work.release.version))
    return (*(file.path for file in files), *(path.name for path in sealed))
