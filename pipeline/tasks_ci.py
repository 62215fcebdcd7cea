"""The command line of GitLab CI: the pipeline is rendered, checked, and helped along in its jobs."""

from __future__ import annotations

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from pipeline.command import verb
from pipeline.flags import SERVICE, Services


@task(
    name="template",
    iterable=["service", "set"],
    help={
        "service": SERVICE,
        "shape": "service or estate (default: what this repository is)",
        "form": "file, or component (typed inputs, for GitLab's catalogue)",
        "changed": "the child pipeline with the services that changed",
        "set": "name=value of an input, again for several (default: those of docs/ci.md)",
        "output": "a file; default: stdout",
    },
)
@verb
def ci_template(
    c: Context,
    service: Services = None,
    shape: str = "",
    form: str = "file",
    changed: bool = False,
    set: list[str] | None = None,
    output: str = "",
) -> int:
    """Write the GitLab pipeline of this repository, or the child pipeline with what changed."""
    from pipeline.verbs import ci as go

    flags = go.Flags(shape=shape, form=form, given=set or ())
    return go.template(service or (), flags, changed=changed, output=output)


@task(name="lint", help={"file": "what to check"})
@verb
def ci_lint(c: Context, file: str = ".gitlab-ci.yml") -> int:
    """Check a .gitlab-ci.yml against GitLab's schema and our own rules, offline."""
    from pipeline.verbs import ci as go

    return go.lint(file)


@task(name="wait", help={"seconds": "how long to wait at most"})
@verb
def ci_wait(c: Context, seconds: str = "60") -> int:
    """Wait until the engine of this job answers."""
    from pipeline.verbs import ci as go

    return go.wait(seconds)


@task(name="stop", help={"environment": "a review, such as review/my-branch"})
@verb
def ci_stop(c: Context, environment: str | None = None) -> int:
    """Take a review down: its routes, then its stacks; its volumes stay."""
    from pipeline.verbs import ci as go

    return go.stop(environment)


ci = Collection("ci", ci_template, ci_lint, ci_wait, ci_stop)
