"""Release after release under load, a prune after each: nobody is cut off, and nothing piles up."""

from __future__ import annotations

import pytest

from tests.end_to_end.estate import Estate
from tests.end_to_end.load import Load

pytestmark = pytest.mark.engine
RELEASES = 20
# As much as a machine that does other things answers as well; benchmarks/rollback.py sends 100.
RATE = 25
# What serves, its predecessor, and whatever is in its grace time.
MOST_STACKS = 4


def test_twenty_releases_under_load_with_a_prune_after_each_fail_no_request_and_fill_no_disk(estate: Estate) -> None:
    estate.settings(settle=1, grace=3, verify_timeout=30, deploy_timeout=90)
    estate.manifest(health={"path": f"{estate.uri}/health", "interval": 0.5, "timeout": 3, "retries": 20})
    assert estate.invoke("release").code == 0
    stacks, images, space = [], [], []

    with Load(f"{estate.environment.proxy}{estate.uri}", RATE) as load:
        for number in range(RELEASES):
            estate.behave(f"release {number}")
            ran = estate.invoke("release", "prune", "--yes")
            assert ran.code == 0, f"{number}: {ran.err[-2000:]}\n{load}"
            stacks.append(len(estate.environment.stacks()))
            images.append(len(estate.environment.engine.images.list(filters={"label": "pipeline.service=hello"})))
            space.append(estate.environment.engine.api.df()["LayersSize"])

    assert load.failed == [], load
    assert load.sent >= RELEASES * RATE
    assert max(stacks) <= MOST_STACKS, stacks
    assert max(images[5:]) <= max(images[:5]), images
    assert max(space[5:]) - max(space[:5]) < 1_000_000, space
    print(load, stacks, images, [one - space[0] for one in space])
