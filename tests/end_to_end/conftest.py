"""One environment with a gateway for the module; an estate per test, with a uri of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.estate import Environment, Estate

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """With a lab gateway that runs."""
    found = Environment()
    try:
        ran = Estate(tmp_path_factory.mktemp("lab"), found).invoke("lab.up")
        assert ran.code == 0, ran
        yield found
    finally:
        found.destroy()


@pytest.fixture
def estate(environment: Environment, tmp_path: Path) -> Iterator[Estate]:
    """One service, never deployed before; its route is free."""
    made = Estate(tmp_path, environment, uri=f"/ws/hello{next(_NUMBERS)}")
    yield made
    made.stop()
    environment.clear()
    forget_routes(environment)


def forget_routes(environment: Environment) -> None:
    from tests.end_to_end.estate import ask

    for kind in ("routes", "services"):
        for entity in ask(f"{environment.admin}/{kind}?size=1000")[1]["data"]:
            ask(f"{environment.admin}/{kind}/{entity['id']}", "DELETE")
