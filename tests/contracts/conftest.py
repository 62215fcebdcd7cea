"""An image for the contracts that are tried on the engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """The id of a small image with a shell, gone at the end."""
    from pipeline.edge.engine import open_engine
    from tests.contracts.platform_scenes import HERE, busybox_image

    client = open_engine(HERE)
    try:
        with busybox_image(client) as made:
            yield made
    finally:
        client.close()
