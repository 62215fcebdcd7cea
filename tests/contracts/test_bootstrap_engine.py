"""Random estates on the engine that runs here: written down, built beside the original under another name, the same."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipeline.edge.engine import open_engine
from pipeline.flows.bootstrap import Wish
from pipeline.model.bootstrap_kit import kit_of
from pipeline.model.rehearsal import rehearsal_name, staged
from pipeline.model.remap import Remapped
from pipeline.model.stack import HealthCheck
from pipeline.platforms.docker_stage import DockerStage
from tests.contracts.platform_scenes import HERE, STAYS, busybox_image, wait_for
from tests.contracts.random_estates import SECRETS, SERVICE, Draw, Site, estates, make_stack, on_images, snapshot_bytes
from tests.contracts.whole_gateways import SHELLS, Open, open_lab

if TYPE_CHECKING:
    from docker import APIClient

pytestmark = pytest.mark.engine
EXAMPLES = int(os.environ.get("RANDOM_ENGINE_ESTATES", "5"))
# What a container of busybox can be given and still run.
RUNS = (
    "environment",
    "labels",
    "restart",
    "hostname",
    "stop_signal",
    "init",
    "tty",
    "cap_add",
    "mem_limit",
    "cpu_shares",
)
FIELDS = {name: SERVICE[name] for name in (*RUNS, "extra_hosts", "tmpfs", "read_only", "ports")} | {
    "image": st.just("shell"),
    "command": st.just(STAYS),
    "stop_seconds": st.just(0.0),
    "health": st.just(HealthCheck(test=("CMD", "true"), interval=0.5)),
}


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    client = open_engine(HERE)
    with busybox_image(client) as found:
        yield found
    client.close()


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Open, Open]]:
    place = tmp_path_factory.mktemp("labs")
    with open_lab(place) as one, open_lab(place) as other:
        yield one, other


@settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[Check.too_slow, Check.data_too_large, Check.function_scoped_fixture],
)
@given(drawn=estates(FIELDS, ("image", "command", "health", "stop_seconds")), shell=st.sampled_from(sorted(SHELLS)))
def test_an_estate_comes_back_byte_for_byte_on_a_real_engine(
    drawn: Draw, shell: str, image: str, labs: tuple[Open, Open], tmp_path: Path, engine_client: APIClient
) -> None:
    environment, copy = (rehearsal_name(uuid.uuid4().hex[:8]) for _ in range(2))
    source, target = Site("", labs[0], environment=environment), Site("", labs[1], environment=copy)
    labs[1].wipe()
    try:
        for stack in drawn.stacks:
            again = make_stack(stack.service, stack.definition.services, environment)
            source.platform.start(on_images(again, {"shell": image}), SECRETS)
        labs[0].make(list(drawn.drafts))
        wait_for(lambda: all(stack.serves for stack in source.platform.stacks()), seconds=60)
        written = source.write(tmp_path / copy, Wish(images=True, stage=lambda found: under(copy, found)))

        for script, _ in kit_of("docker").steps:
            secrets = {name: value.reveal() for name, value in written.values.items()}
            done = target.run(tmp_path / copy, script, shell, **secrets)
            assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"

        assert snapshot_bytes(target.write(tmp_path / "second", Wish(images=True))) == snapshot_bytes(written)
        assert len(target.platform.stacks()) == len(drawn.stacks)
    finally:
        for site in (source, target):
            DockerStage(site.client, site.address, site.environment).clear()
            site.close()


def under(environment: str, found: Remapped) -> Remapped:
    inventory, state = staged(found.inventory, found.state, environment, admin=0, proxy=0)
    return replace(found, inventory=inventory, state=state)
