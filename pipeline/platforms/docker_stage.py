"""A throw-away environment on an engine, and the end of it: the one place that removes volumes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pipeline.edge.engine import EngineClients, engine_errors, is_conflict, is_missing
from pipeline.errors import PipelineError, Refused
from pipeline.model.address import EngineAddress
from pipeline.model.image import LABEL
from pipeline.model.rehearsal import is_rehearsal
from pipeline.platforms.names import dashed, network_name

if TYPE_CHECKING:
    from docker import APIClient

_TOGETHER = 8
_MARKS = ("lab-environment", "environment", "ledger-environment")
"""The labs first: a Rancher makes its containers anew."""


class DockerStage:
    """What a rehearsal made: found by labels, and by the names that follow from the environment's."""

    def __init__(self, client: APIClient, address: EngineAddress, environment: str) -> None:
        if not is_rehearsal(environment):
            raise Refused(
                f"{environment!r} is no rehearsal's name", hint="Only what a rehearsal made is removed whole."
            )
        self._client = client
        self._address = address
        self._environment = environment

    def clear(self) -> None:
        client, part = self._client, f"-{dashed(self._environment)}"
        engines = EngineClients(None, self._address)
        try:
            with ThreadPoolExecutor(_TOGETHER, thread_name_prefix="clear") as pool:
                for mark in _MARKS:
                    list(pool.map(lambda one: self._container_gone(engines, one), self._marked(mark)))
                list(pool.map(lambda one: self._container_gone(engines, one), self._archives(part)))
        finally:
            engines.close()
        for volume in client.volumes()["Volumes"] or ():
            if f"{part}-" in volume["Name"] or volume["Name"].endswith(part):
                self._gone(f"the volume {volume['Name']}", client.remove_volume, volume["Name"], force=True)
        for network in client.networks(names=[network_name(self._environment)]):
            self._gone(f"the network {network['Name']}", client.remove_network, network["Id"])

    def _marked(self, mark: str) -> list[str]:
        with engine_errors(self._address, "list what a rehearsal made"):
            found = self._client.containers(all=True, filters={"label": f"{LABEL}{mark}={self._environment}"})
        return [one["Id"] for one in found]

    def _archives(self, part: str) -> list[str]:
        with engine_errors(self._address, "list what a rehearsal made"):
            found = self._client.containers(all=True, filters={"label": f"{LABEL}archive"})
        return [one["Id"] for one in found if part in one["Labels"][f"{LABEL}archive"]]

    def _container_gone(self, engines: EngineClients, one: str) -> None:
        self._gone(f"the container {one[:12]}", engines.client.remove_container, one, v=True, force=True)

    def _gone(self, what: str, remove: Callable[..., Any], *words: str, **named: bool) -> None:
        try:
            with engine_errors(self._address, f"remove {what}"):
                remove(*words, **named)
        except PipelineError as error:
            if not (is_missing(error) or is_conflict(error)):
                raise
