"""The command line of the lab: a gateway and a Rancher to practise on."""

from __future__ import annotations

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from pipeline.command import verb
from pipeline.flags import ENVIRONMENT, JSON


@task(name="up", help={"environment": ENVIRONMENT, "rancher": "start a small Rancher 1.6 as well"})
@verb
def lab_up(c: Context, environment: str | None = None, rancher: bool = False) -> int:
    """Start the lab gateway: a small Kong to practise on, in front of this environment's containers."""
    from pipeline.verbs import lab as go

    return go.up(environment, rancher=rancher)


@task(
    name="down", help={"environment": ENVIRONMENT, "state": "remove what they remember as well, and Rancher's stacks"}
)
@verb
def lab_down(c: Context, environment: str | None = None, state: bool = False) -> int:
    """Stop the lab gateway and the lab Rancher; their state is kept unless --state."""
    from pipeline.verbs import lab as go

    return go.down(environment, state=state)


@task(name="status", help={"environment": ENVIRONMENT, "json": JSON})
@verb
def lab_status(c: Context, environment: str | None = None, json: bool = False) -> int:
    """Tell whether the lab gateway and the lab Rancher run, and where."""
    from pipeline.verbs import lab as go

    return go.status(environment, json=json)


lab = Collection("lab", lab_up, lab_down, lab_status)
