"""The command line: one thin verb per task. `from pipeline.tasks import ns` is all that an estate's tasks.py holds."""

from __future__ import annotations

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from pipeline.command import verb
from pipeline.flags import BUILDING, CHECK, ENVIRONMENT, FORCE, JQ, JSON, SERVICE, Services
from pipeline.tasks_ci import ci
from pipeline.tasks_lab import lab
from pipeline.tasks_recovery import bootstrap, dump, restore


@task(iterable=["service"], help={"service": SERVICE, "force": FORCE, "check": CHECK} | BUILDING)
@verb
def build(
    c: Context,
    service: Services = None,
    push: bool = True,
    no_cache: bool = False,
    force: bool = False,
    check: bool = False,
    jobs: str = "",
    fail_fast: bool = False,
) -> int:
    """Build the images of each service, unless nothing changed; push them when a registry is set."""
    from pipeline.verbs import build as go

    flags = go.Flags(push=push, no_cache=no_cache, force=force, jobs=jobs, fail_fast=fail_fast)
    return go.build(c, service or (), flags, check=check)


@task(iterable=["service"], help={"service": SERVICE, "environment": ENVIRONMENT, "force": FORCE, "check": CHECK})
@verb
def deploy(
    c: Context, service: Services = None, environment: str | None = None, force: bool = False, check: bool = False
) -> int:
    """Run each service's images as a new stack beside the old one, and wait until it is healthy."""
    from pipeline.verbs import deploy as go

    return go.deploy(c, service or (), environment, force=force, check=check)


@task(iterable=["service"], help={"service": SERVICE, "environment": ENVIRONMENT, "force": FORCE, "check": CHECK})
@verb
def register(
    c: Context, service: Services = None, environment: str | None = None, force: bool = False, check: bool = False
) -> int:
    """Send each service's URI to its new stack, check it through the gateway, write the restore artifacts."""
    from pipeline.verbs import register as go

    return go.register(c, service or (), environment, force=force, check=check)


@task(
    iterable=["service"],
    help={"service": SERVICE, "environment": ENVIRONMENT, "force": FORCE, "check": CHECK} | BUILDING,
)
@verb
def release(
    c: Context,
    service: Services = None,
    environment: str | None = None,
    push: bool = True,
    no_cache: bool = False,
    force: bool = False,
    check: bool = False,
    jobs: str = "",
    fail_fast: bool = False,
) -> int:
    """Build, deploy and register in one; the old route comes back when the check through the gateway fails."""
    from pipeline.verbs import release as go
    from pipeline.verbs.build import Flags

    flags = Flags(push=push, no_cache=no_cache, force=force, jobs=jobs, fail_fast=fail_fast)
    return go.release(c, service or (), environment, flags, check=check)


@task(
    help={"environment": ENVIRONMENT, "drift": "name what is not as its records say", "json": JSON, "jq": JQ}
    | {"watch": "show it again every 2 s, until Ctrl-C"}
)
@verb
def status(
    c: Context,
    environment: str | None = None,
    drift: bool = False,
    watch: bool = False,
    json: bool = False,
    jq: str = "",
) -> int:
    """Show what runs where, which stack the gateway serves, whether it answers, and what prune would do to each."""
    from pipeline.verbs import status as go

    return go.status(environment, drift=drift, watch=watch, json=json, jq=jq)


@task(iterable=["service"], help={"service": SERVICE, "environment": ENVIRONMENT, "json": JSON, "jq": JQ})
@verb
def history(
    c: Context, service: Services = None, environment: str | None = None, json: bool = False, jq: str = ""
) -> int:
    """Show every deploy, register, rollback, adoption and prune: who, which commit, from what to what, how long."""
    from pipeline.verbs import history as go

    return go.history(service or (), environment, json=json, jq=jq)


@task(
    iterable=["service"],
    help={"service": "the service", "environment": ENVIRONMENT, "check": CHECK}
    | {"to": "the stack or the version to go back to (default: the previous release)"},
)
@verb
def rollback(
    c: Context, service: Services = None, environment: str | None = None, to: str = "", check: bool = False
) -> int:
    """Send a service's URI back to a release that served before, once that is healthy again."""
    from pipeline.verbs import rollback as go

    return go.rollback(c, service or (), environment, to=to, check=check)


@task(
    iterable=["service"],
    help={"service": SERVICE, "environment": ENVIRONMENT, "check": CHECK, "yes": "do not ask, as in CI"}
    | {"keep": "releases kept beside what serves (default: the manifest's keep, else 1)"}
    | {"now": "without the grace time; what serves or served just now stays all the same"}
    | {"registry": "also take the tags of releases that are gone out of the registry"}
    | {"artifacts": "also remove restore artifacts of releases that are gone, from this folder"},
)
@verb
def prune(
    c: Context,
    service: Services = None,
    environment: str | None = None,
    keep: str = "",
    now: bool = False,
    registry: bool = False,
    artifacts: bool = False,
    yes: bool = False,
    check: bool = False,
) -> int:
    """Remove what releases left behind; tell of every stack whether it goes or stays, and why."""
    from pipeline.verbs import prune as go

    return go.prune(c, service or (), environment, go.Flags(keep, now, yes, artifacts, registry), check=check)


@task(help={"environment": ENVIRONMENT, "check": CHECK, "yes": "do not ask, as in CI"})
@verb
def adopt(c: Context, environment: str | None = None, yes: bool = False, check: bool = False) -> int:
    """Take over stacks and routes that were made before this toolkit, where name, route and image agree."""
    from pipeline.verbs import adopt as go

    return go.adopt(c, environment, yes=yes, check=check)


@task(iterable=["service"], help={"service": SERVICE, "environment": ENVIRONMENT, "follow": "go on as lines come"})
@verb
def logs(
    c: Context, service: Services = None, environment: str | None = None, follow: bool = False, tail: str = "100"
) -> int:
    """Show the log of the stack that serves."""
    from pipeline.verbs import logs as go

    return go.logs(service or (), environment, follow=follow, tail=tail)


@task(iterable=["service"], name="lock", help={"service": SERVICE, "environment": ENVIRONMENT})
@verb
def lock(
    c: Context, service: Services = None, environment: str | None = None, break_: bool = False, json: bool = False
) -> int:
    """Show who is changing a service just now; --break takes the lease of a run that is surely dead."""
    from pipeline.verbs import lock as go

    return go.lock(service or (), environment, break_=break_, json=json)


@task(help={"environment": ENVIRONMENT, "json": JSON, "jq": JQ})
@verb
def doctor(c: Context, environment: str | None = None, json: bool = False, jq: str = "") -> int:
    """Tell what is reachable, which versions, what is missing and what to do about it."""
    from pipeline.verbs import doctor as go

    return go.doctor(environment, json=json, jq=jq)


ns = Collection(
    build,
    deploy,
    register,
    release,
    status,
    history,
    rollback,
    prune,
    adopt,
    logs,
    lock,
    dump,
    restore,
    bootstrap,
    doctor,
)
ns.add_collection(lab)
ns.add_collection(ci)
