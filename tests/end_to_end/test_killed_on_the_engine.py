"""kill -9 on the real engine: the next run ends what was begun, and nobody is cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.engine_way import EngineWay
from tests.end_to_end.estate import Estate
from tests.end_to_end.load import Load

pytestmark = pytest.mark.engine
RELEASE_POINTS = (12, 30, 40, 50, 60, 70, 85, 100)
ROLLBACK_POINTS = (8, 20, 32, 40)


@pytest.fixture
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineWay]:
    made = EngineWay(tmp_path_factory.mktemp("way"))
    yield made
    made.close()


def killed(estate: Estate, way: EngineWay, point: int, *words: str) -> bool:
    """Whether it was killed at that request to the engine; not when it was done by then."""
    estate.variables = {"DOCKER_HOST": way.address}
    running = estate.start(*words)
    way.begin(running, point)
    running.communicate(timeout=300)
    estate.variables = {}
    return running.returncode == -9


def test_a_release_with_its_prune_and_a_rollback_are_completed_by_the_next_run(
    estate: Estate, way: EngineWay, tmp_path: Path
) -> None:
    estate.settings(settle=0, grace=0, deploy_timeout=90, verify_timeout=30)
    estate.manifest(health={"path": f"{estate.uri}/health", "interval": 0.5, "timeout": 10, "retries": 60})
    for words in ("one", "two"):
        estate.behave(words)
        assert estate.invoke("release").code == 0
    deaths = 0

    with Load(f"{estate.environment.proxy}{estate.uri}", 10) as load:
        for point in RELEASE_POINTS:
            previous = estate.stack
            estate.behave(f"killed at {point}")
            deaths += killed(estate, way, point, "release", "prune", "--yes")
            estate.invoke("lock", "--break")
            again = estate.invoke("release", "prune", "--yes")
            assert again.code == 0, f"{point}: {again.err}"
            assert estate.ask(method="OPTIONS")[1]["stack"] == estate.stack
            assert estate.environment.stacks() == {estate.stack, previous}, point
        for point in ROLLBACK_POINTS:
            serving = estate.ask(method="OPTIONS")[1]["stack"]
            other = next(name for name in estate.environment.stacks() if name != serving)
            for container in estate.environment.containers(stack=other):
                container.stop(timeout=0)
            deaths += killed(estate, way, point, "rollback", "--to", other)
            estate.invoke("lock", "--break")
            again = estate.invoke("rollback", "--to", other)
            assert again.code == 0, f"{point}: {again.err}"
            assert estate.ask(method="OPTIONS")[1]["stack"] == other

    assert load.failed == [], load
    assert deaths >= 10
    assert estate.invoke("lock").out.startswith("nothing is being changed")
