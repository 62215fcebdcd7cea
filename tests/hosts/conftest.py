"""The key that machines let in, and an engine's client for as long as a module's machines run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hosts.sshd import make_key

if TYPE_CHECKING:
    from docker import APIClient


@pytest.fixture(scope="session")
def user_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("user") / "user_key")


@pytest.fixture(scope="module")
def module_engine() -> Iterator[APIClient]:
    from pipeline.edge.engine import open_engine
    from pipeline.model.address import EngineAddress

    client = open_engine(EngineAddress())
    try:
        yield client
    finally:
        client.close()
