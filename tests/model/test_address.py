"""Where things are."""

from __future__ import annotations

import pytest

from pipeline.model.address import EngineAddress, published_at


@pytest.mark.parametrize(
    ("engine", "host"),
    [
        ("", "127.0.0.1"),
        ("unix:///run/docker.sock", "127.0.0.1"),
        ("tcp://docker:2376", "docker"),
        ("tcp://10.0.0.5:2376", "10.0.0.5"),
        ("ssh://me@build.example.com", "build.example.com"),
    ],
)
def test_what_an_engine_publishes_is_reached_at_its_host_and_here_for_a_socket(engine: str, host: str) -> None:
    assert published_at(EngineAddress(host=engine)) == host
