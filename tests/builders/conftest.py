"""What the tests of the Docker builder share: a client of the engine and a base image of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from engine_support import busybox_image, engine

if TYPE_CHECKING:
    from docker import APIClient


@pytest.fixture(scope="module")
def client() -> Iterator[APIClient]:
    with engine() as opened:
        yield opened


@pytest.fixture(scope="module")
def base(client: APIClient) -> Iterator[str]:
    with busybox_image(client) as name:
        yield name
