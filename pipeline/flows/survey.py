"""survey: platform and gateway → Snapshot. Each source is read once; one that cannot be read is named, not hidden."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pipeline.errors import PipelineError
from pipeline.gateways.base import Gateway
from pipeline.model.snapshot import Snapshot
from pipeline.platforms.base import Platform

Found = TypeVar("Found")


def survey(environment: str, platform: Callable[[], Platform], gateway: Callable[[], Gateway]) -> Snapshot:
    """What runs and what is routed, read side by side. `platform` and `gateway` open their driver, which may fail."""
    missing: list[tuple[str, str]] = []

    def read(source: str, ask: Callable[[], tuple[Found, ...]]) -> tuple[Found, ...]:
        try:
            return ask()
        except PipelineError as error:
            missing.append((source, error.what))
            return ()

    with ThreadPoolExecutor(max_workers=2) as pool:
        stacks = pool.submit(read, "platform", lambda: platform().stacks())
        routes = pool.submit(read, "gateway", lambda: gateway().routes())
    return Snapshot(
        environment=environment, stacks=stacks.result(), routes=routes.result(), missing=tuple(sorted(missing))
    )
