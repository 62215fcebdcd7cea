"""What all tests share: a clean environment, a clock that only moves when told, and a client of the real engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from docker import APIClient

# Whatever a CI job, a shell or a git hook has set must not change what a test finds.
_FOREIGN = (
    "CI",
    "GITLAB_",
    "KONG_",
    "kong_",
    "RANCHER_",
    "PLATFORM_",
    "PIPELINE_",
    "GIT_",
    "DOCKER_",
    "BOOTSTRAP_",
    "SSH_",
)
_FOREIGN_NAMES = ("service_name", "version", "branch", "stack", "ENVIRONMENT", "XDG_CONFIG_HOME", "INVOKE_DEBUG")
# Where the engine of the tests is: all three belong to its address.
_KEPT = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")

hypothesis.settings.register_profile("house", deadline=None, database=None, max_examples=100)
hypothesis.settings.load_profile("house")


class SteppingClock:
    """Stands still, but for `sleep` and `step`; what was slept is kept in `slept`."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.seconds = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def step(self, seconds: float) -> None:
        self.seconds += seconds


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regold", action="store_true", help="write the golden files anew; read the diff")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for the engine needs one: `-m 'not engine'` leaves out exactly those."""
    for item in items:
        if "engine_client" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        foreign = name.startswith(_FOREIGN) or name in _FOREIGN_NAMES
        if foreign and name not in _KEPT:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def engine_client() -> Iterator[APIClient]:
    """A client of its own for each test, closed afterwards."""
    from pipeline.edge.engine import open_engine
    from pipeline.model.address import EngineAddress

    client = open_engine(EngineAddress())
    try:
        yield client
    finally:
        client.close()
