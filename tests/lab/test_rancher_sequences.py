"""Any actions at any moments: a service of the lab Rancher comes to rest, and what runs then is what its state says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rancher_support import P, Rancher

from pipeline.lab.rancher.running import Lab, running_rancher
from pipeline.lab.rancher.scheduler import Timings

ACTIONS = (
    "activate",
    "deactivate",
    "upgrade",
    "finishupgrade",
    "rollback",
    "cancelupgrade",
    "continueupgrade",
    "restart",
)
STEPS = st.lists(
    st.tuples(st.sampled_from((*ACTIONS, "scale", "kill", "delete")), st.floats(min_value=0.01, max_value=3)),
    max_size=7,
)
RESTING = {"active", "inactive", "upgraded", "canceled-upgrade"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_rancher(timings=Timings(stop=0.5)) as running:
        Rancher(running).stack()
        yield running


def done(rancher: Rancher, service: Any, what: str, number: int) -> None:
    """One step; an action that the state does not offer is refused and changes nothing."""
    if what == "upgrade":
        rancher.upgrade(rancher.again(service), f"shop/web:{number}", intervalMillis=200, startFirst=number % 2 == 0)
    elif what == "restart":
        rancher.act(service, what, {"rollingRestartStrategy": {"intervalMillis": 200}})
    elif what == "scale":
        rancher.ask("PUT", service["links"]["self"], {"scale": 1 + number % 3})
    elif what in ("kill", "delete"):
        for row in rancher.data(f"{service['links']['self']}/instances")[:1]:
            rancher.act(row, "stop") if what == "kill" else rancher.ask("DELETE", row["links"]["self"])
    else:
        rancher.act(service, what)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_it_comes_to_rest_with_what_its_state_says(lab: Lab, steps: list[tuple[str, float]]) -> None:
    rancher = Rancher(lab)
    service = rancher.service(rancher.get(f"{P}/stacks/1st1"), scale=2)
    try:
        for number, (what, pause) in enumerate(steps):
            done(rancher, service, what, number)
            lab.advance(pause)
        lab.advance(60)

        found = rancher.again(service)
        running = [image for state, image in rancher.containers(service).values() if state == "running"]
        assert found["state"] in RESTING
        if found["state"] == "inactive":
            assert running == []
        elif found["state"] in ("active", "upgraded"):
            wanted = found["launchConfig"]["imageUuid"].removeprefix("docker:")
            # A scale that is written while it is upgraded is stored, answered with 500, and waits for the finish.
            assert running == [wanted] * found["scale" if found["state"] == "active" else "currentScale"]
        if found["state"] == "active":
            assert len(rancher.containers(service)) == found["scale"]
    finally:
        rancher.ask("DELETE", service["links"]["self"])
        lab.advance(20)
        assert rancher.again(service)["state"] == "removed"
        assert rancher.data(f"{P}/containers") == []
