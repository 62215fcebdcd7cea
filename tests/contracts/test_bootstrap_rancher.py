"""Any estate on a Rancher, written down and built from its scripts in an empty project, is the same again."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipeline.flows.bootstrap import Written
from pipeline.lab.rancher.running import running_rancher
from pipeline.model.bootstrap_kit import kit_of
from tests.contracts.rancher_estates import PULLING, SOON, RancherSite, rancher_estates
from tests.contracts.random_estates import Draw, snapshot_bytes
from tests.contracts.whole_gateways import SHELLS, Open, open_lab

EXAMPLES = int(os.environ.get("RANDOM_ESTATES", "50"))
STEPS = [name for name, _ in kit_of("rancher").steps]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bootstrap")


@pytest.fixture(scope="module")
def labs(place: Path) -> Iterator[tuple[Open, Open]]:
    with open_lab(place) as one, open_lab(place) as other:
        yield one, other


@contextmanager
def two_sites(labs: tuple[Open, Open]) -> Iterator[tuple[RancherSite, RancherSite]]:
    """Two servers, and a gateway for each: the first is written down, the second is built. Both are empty."""
    with ExitStack() as stack:
        made = []
        for lab in labs:
            lab.wipe()
            site = RancherSite(stack.enter_context(running_rancher(timings=SOON, real_time=True)), lab)
            stack.callback(site.close)
            made.append(site)
        yield made[0], made[1]


def build(site: RancherSite, folder: Path, shell: str, written: Written) -> None:
    secrets = {name: value.reveal() for name, value in written.values.items()}
    secrets["REGISTRY_PASSWORD_REGISTRY_EXAMPLE_5000"] = PULLING.password.reveal()
    for script in STEPS:
        done = site.run(folder, script, shell, **secrets)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


@settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[Check.too_slow, Check.data_too_large],
)
@given(drawn=rancher_estates(), shell=st.sampled_from(sorted(SHELLS)))
def test_any_estate_on_a_rancher_comes_back_byte_for_byte(
    drawn: Draw, shell: str, labs: tuple[Open, Open], place: Path
) -> None:
    with two_sites(labs) as (source, target):
        source.deploy(drawn)
        folder = place / uuid.uuid4().hex
        written = source.write(folder)

        build(target, folder, shell, written)

        assert target.made() == source.made()
        assert snapshot_bytes(target.write(place / "second")) == snapshot_bytes(written)
        done = target.run(folder, "70-verify.sh", shell)
        assert json.loads(done.stdout)["differences"] == []
