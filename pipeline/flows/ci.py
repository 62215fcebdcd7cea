"""ci: which services an estate's pipeline is for, what is wrong with a .gitlab-ci.yml, and the end of a review."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.errors import BadInput, PipelineError, Refused
from pipeline.flows.deploy import plan
from pipeline.gateways.base import Custody, Gateway
from pipeline.model.ci import REVIEW, family
from pipeline.model.ci_rules import Finding, check
from pipeline.model.ci_schema import fits_schema
from pipeline.model.ci_yaml import expand, parse_ci
from pipeline.model.clock import Clock, Deadline
from pipeline.model.route import tag_word
from pipeline.model.stack import FoundStack, Stack
from pipeline.platforms.base import Platform

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service as a plan sees it: the reason why an image is built, empty when none is; then the stack that it would
    be, None where that cannot be told."""

    name: str
    building: str
    stack: Stack | None


def changed(services: Sequence[Service], stacks: tuple[FoundStack, ...] | None) -> dict[str, str]:
    """The services that a pipeline is for, each with its reason. `stacks` are what runs in the environment, None for a
    branch that is only built. One of which nothing can be told counts as changed."""
    found = {}
    for one in services:
        if one.building:
            found[one.name] = one.building
        elif one.stack is None:
            found[one.name] = "what it would be cannot be told"
        elif stacks is not None and (decided := plan(one.stack, stacks, force=False)).changes:
            found[one.name] = decided.reason
    return found


def lint(text: str, *, file: str, read: Callable[[str], str], schema: bytes) -> tuple[Finding, ...]:
    """GitLab's schema first; our own rules only for what fits it. `read` gives a file of the repository."""
    parsed = parse_ci(text, file=file)
    whole = {**parsed.plain, **({"spec": parsed.header["spec"]} if parsed.header else {})}
    return fits_schema(whole, schema) or check(expand(parsed, read))


def await_engine(
    open_engine: Callable[[], object], *, clock: Clock, seconds: float, tell: Callable[[str], None]
) -> None:
    """Until the job's engine answers: it starts with the job, and its certificates come with it. Raises what the last
    try raised."""
    deadline = Deadline(clock, seconds)
    told = False
    while True:
        try:
            open_engine()
            return
        except PipelineError as error:
            if deadline.passed:
                hint = (
                    "Is docker:…-dind in the job's services, its runner privileged, and /certs/client a volume there?"
                )
                raise type(error)(f"{error.what} (waited {seconds:g} s)", hint=hint) from error
        if not told:
            tell("waiting for the job's engine")
            told = True
        deadline.pause(_POLL_SECONDS)


def stop_review(
    environment: str, platform: Platform, gateway: Gateway, custody: Custody, tell: Callable[[str], None]
) -> bool:
    """Removes a review's routes, then its stacks; volumes stay. Gives whether there was anything; a second call finds
    nothing. Refused for an environment that is none."""
    if family(environment) != REVIEW or environment == REVIEW:
        raise Refused(
            f"{environment} is not a review, and everything in it would go",
            hint="Name one: -e review/<branch>. `invoke prune` removes what an environment no longer needs.",
        )
    routes = [route for route in gateway.routes() if route.owner.environment == tag_word(environment)]
    for route in routes:
        tell(f"removing the route {route.label}")
        gateway.apply(custody.plan_removal(route))
    stacks = platform.stacks()
    for stack in stacks:
        tell(f"removing {stack.name}")
        platform.remove(stack.containers)
    return bool(routes or stacks)


def file_of_lint(findings: Sequence[Finding], file: str) -> BadInput:
    """What the verb ends with."""
    last = findings[-1]
    more = f" ({len(findings)} findings, the others are above)" if len(findings) > 1 else ""
    return BadInput(f"{file}: {last}{more}", hint=last.hint)
