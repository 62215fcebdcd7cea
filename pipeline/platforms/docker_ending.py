"""The end of a container on an engine: stopped in its own grace time, removed with its anonymous volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.edge.engine import engine_errors, is_conflict, is_missing
from pipeline.errors import PipelineError
from pipeline.model.address import EngineAddress
from pipeline.model.stack import FoundContainer

if TYPE_CHECKING:
    from docker import APIClient

_STOP_SECONDS = 10


def find_container(client: APIClient, address: EngineAddress, container: str) -> dict[str, Any] | None:
    """The container's details by name or id, or None."""
    try:
        with engine_errors(address, f"inspect the container {container}"):
            return client.inspect_container(container)  # type: ignore[no-any-return]
    except PipelineError as error:
        if is_missing(error):
            return None
        raise


def stop_container(client: APIClient, address: EngineAddress, container: FoundContainer) -> None:
    """In the container's own grace time. It is said again here because docker-py waits for the answer as long as
    that and its time-out, and knows 10 s only. One that does not run, or is gone, is left as it is."""
    details = find_container(client, address, container.id)
    if details is None or not details["State"]["Running"]:
        return
    grace = details["Config"].get("StopTimeout")
    try:
        with engine_errors(address, f"stop the container {container.name}"):
            client.stop(container.id, timeout=_STOP_SECONDS if grace is None else grace)
    except PipelineError as error:
        if not is_missing(error):
            raise


def remove_container(client: APIClient, address: EngineAddress, container: FoundContainer) -> None:
    try:
        stop_container(client, address, container)
        with engine_errors(address, f"remove the container {container.name}"):
            client.remove_container(container.id, v=True, force=True)
    except PipelineError as error:
        # 409: somebody else is removing it just now.
        if not (is_missing(error) or is_conflict(error)):
            raise
