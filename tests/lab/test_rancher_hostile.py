"""Whatever is sent to the lab Rancher, it answers with a code of the API, and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rancher_support import P, Rancher

from pipeline.lab.rancher.kinds_launch import LAUNCH
from pipeline.lab.rancher.running import Lab, running_rancher

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
CONFIG = st.dictionaries(st.sampled_from([*LAUNCH, "name"]), JSON, max_size=6) | JSON
SERVICE = st.fixed_dictionaries(
    {"name": st.just("web") | JSON, "stackId": st.just("1st1") | JSON},
    optional={
        "launchConfig": CONFIG,
        "secondaryLaunchConfigs": st.lists(CONFIG, max_size=2) | JSON,
        "scale": JSON,
        "metadata": JSON,
        "selectorLink": JSON,
        "lbConfig": JSON,
        "hostname": JSON,
    },
)
STACK = st.fixed_dictionaries(
    {"name": JSON}, optional={"dockerCompose": JSON, "rancherCompose": JSON, "environment": JSON, "outputs": JSON}
)
QUICK = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_rancher() as running:
        Rancher(running).service(Rancher(running).stack("own"), "kept")
        yield running


def answered(rancher: Rancher, method: str, path: str, body: Any) -> None:
    told = rancher.ask(method, path, body)
    assert told.status in (200, 201, 202, 400, 404, 405, 422), (told, body)
    if told.status == 201:
        rancher.lab.advance(1)
        rancher.ask("DELETE", told.json["links"]["self"])
    rancher.lab.advance(5)
    assert rancher.ask("GET", f"{P}/services").status == 200


@QUICK
@given(STACK)
def test_a_stack_of_anything(lab: Lab, body: Any) -> None:
    answered(Rancher(lab), "POST", f"{P}/stacks", body)


@QUICK
@given(st.sampled_from(["services", "loadbalancerservices", "externalservices", "dnsservices"]), SERVICE)
def test_a_service_of_anything(lab: Lab, kind: str, body: Any) -> None:
    answered(Rancher(lab), "POST", f"{P}/{kind}", body)


@QUICK
@given(
    st.sampled_from(["setservicelinks", "addservicelink", "removeservicelink", "upgrade", "restart"]),
    st.dictionaries(
        st.sampled_from(
            ["inServiceStrategy", "toServiceStrategy", "serviceLinks", "serviceLink", "rollingRestartStrategy"]
        ),
        st.dictionaries(
            st.sampled_from(
                ["launchConfig", "secondaryLaunchConfigs", "batchSize", "serviceId", "toServiceId", "name"]
            ),
            CONFIG | JSON,
        )
        | JSON,
    ),
)
def test_an_action_with_anything(lab: Lab, action: str, body: Any) -> None:
    rancher = Rancher(lab)
    path = f"{P}/services/1s1"
    row = lab.state.store.get("service", 1)
    assert row is not None
    lab.call(lambda: lab.state.store.put(row, state="active"))

    answered(rancher, "POST", f"{path}/?action={action}", body)


@QUICK
@given(st.text(max_size=12), st.text(max_size=12))
def test_a_query_of_anything(lab: Lab, name: str, value: str) -> None:
    from urllib.parse import quote

    for key in (name, "limit", "marker", "sort", "created_gt", "id", "stackId", "name_like"):
        told = Rancher(lab).ask("GET", f"{P}/services?{quote(key)}={quote(value)}")
        assert told.status == 200, (key, value)


@pytest.mark.parametrize(
    "docker",
    [
        "version: '2'\nservices: [a]\n",
        "version: '2'\nservices:\n  web: 3\n",
        "version: '2'\nservices:\n  web:\n    image: x\n    secrets: [{target: a}]\n",
        "version: '2'\nservices:\n  web:\n    image: x\n    links: 5\n",
        "version: '2'\nservices:\n  web:\n    image: x\n    health_check: soon\n",
        "version: '2'\nservices:\n  web:\n    image: x\n    labels: {io.rancher.sidekicks: none}\n",
        "version: '2'\nservices:\n  web:\n    image: [x]\n    command: 'a \"b'\n",
        "3",
    ],
)
def test_a_compose_file_of_anything_ends_in_error_and_not_in_silence(lab: Lab, docker: str) -> None:
    rancher = Rancher(lab)
    made = rancher.post(f"{P}/stacks", {"name": "odd", "dockerCompose": docker, "startOnCreate": True})
    lab.advance(10)

    stack = rancher.again(made)

    assert stack["state"] == "error", stack
    assert stack["transitioningMessage"]
    rancher.ask("DELETE", made["links"]["self"])
    lab.advance(5)
