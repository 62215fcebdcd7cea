"""A folder of an environment on Rancher, applied over SSH: two bare machines that reach a lab Rancher and a lab gateway."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.lab.rancher.running import ENVIRONMENT_KEY, running_rancher
from pipeline.model.interpolate import secret_mark
from pipeline.model.rancher import ServiceWhole
from tests.contracts.rancher_estates import SOON, RancherSite
from tests.contracts.random_estates import SECRETS, Draw, make_stack
from tests.contracts.test_bootstrap_rancher_faults import PASSWORD, app
from tests.contracts.whole_gateways import open_lab
from tests.end_to_end.estate import free_port
from tests.end_to_end.job_engine import through
from tests.hosts.applying import applied
from tests.hosts.engine import can_run, running_engine
from tests.hosts.machines import Machine, running_machines
from tests.hosts.sshd import log_in_with

if TYPE_CHECKING:
    from docker import APIClient

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not can_run(), reason="a second engine needs root, dockerd and unshare"),
]
ON_EVERY = ["10-engine.sh", "45-hosts.sh"]
ON_THE_FIRST = ["10-engine.sh", "20-network.sh", "30-images.sh", "40-platform.sh", "45-hosts.sh", "50-stacks.sh"]


@pytest.fixture
def two(
    module_engine: APIClient, user_key: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Machine, Machine]]:
    """With an engine that is lent to them; as hosts they do not register: Rancher's agent is not to be had here."""
    with running_engine(tmp_path_factory.mktemp("engine")) as socket:
        lent = [f"{socket}:/var/run/docker.sock", f"{shutil.which('docker')}:/usr/local/bin/docker:ro"]
        with running_machines(module_engine, user_key, 2, Binds=lent) as (first, second):
            log_in_with(user_key)
            yield first, second


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[tuple[RancherSite, RancherSite]]:
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            rancher = stack.enter_context(running_rancher(timings=SOON, real_time=True))
            made.append(RancherSite(rancher, stack.enter_context(open_lab(tmp_path))))
            stack.callback(made[-1].close)
        yield made[0], made[1]


def test_two_machines_bring_the_environment_to_the_new_rancher_and_a_second_run_only_compares(
    two: tuple[Machine, Machine], sites: tuple[RancherSite, RancherSite], module_engine: APIClient, tmp_path: Path
) -> None:
    source, target = sites
    stack = make_stack("cities", (app(environment={"PW": secret_mark("ALPHA")}),))
    source.deploy(Draw(stacks=(stack,), drafts=()))
    source.write(tmp_path / "folder")
    bridge = module_engine.inspect_container(two[0].container)["NetworkSettings"]["Gateway"]
    ports = {name: f"{bridge}:{free_port()}" for name in ("rancher", "kong")}
    variables = {
        "RANCHER_URL": source.rancher.url,
        "BOOTSTRAP_RANCHER_URL": f"http://{ports['rancher']}",
        "BOOTSTRAP_RANCHER_ACCESS_KEY": ENVIRONMENT_KEY.access,
        "BOOTSTRAP_RANCHER_SECRET_KEY": ENVIRONMENT_KEY.secret,
        "BOOTSTRAP_RANCHER_REGISTER": "no",
        "BOOTSTRAP_KONG_ADMIN_URL": f"http://{ports['kong']}",
        "ALPHA": SECRETS["ALPHA"].reveal(),
        PASSWORD: "it's secret",
    }
    hosts = [machine.meet(name) for machine, name in zip(two, ("a", "b"), strict=True)]
    with (
        through(ports["rancher"], target.rancher.url.removeprefix("http://")),
        through(ports["kong"], target.lab.url.removeprefix("http://")),
    ):
        first = applied(tmp_path / "folder", hosts, variables)
        second = applied(tmp_path / "folder", hosts, variables)

    assert first.code == 0, first
    assert first.ran("a") == [*ON_THE_FIRST, "60-gateway.sh"]
    assert first.ran("b") == ON_EVERY
    assert "(0 entities, 0 routes, 1 services)" in first.out
    assert (second.code, second.ran("a"), second.ran("b")) == (0, [], []), second
    (made,) = target.client.every("services", ServiceWhole)
    assert (made.launch_config or {})["environment"] == {"PW": SECRETS["ALPHA"].reveal()}
    assert ENVIRONMENT_KEY.secret not in first.out + first.err
