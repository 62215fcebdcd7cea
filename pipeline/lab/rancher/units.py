"""Deployment units of a service: which containers there should be, which there are, and one pass to close the gap."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.lab.rancher.health import ended_well, is_well, service_health
from pipeline.lab.rancher.hosts import Unschedulable, active_hosts
from pipeline.lab.rancher.instances import Instances
from pipeline.lab.rancher.rows import Row, Store
from pipeline.lab.rancher.scheduler import Timings

Configs = Mapping[str, Mapping[str, Any]]
"""By name; the primary's is empty."""

NO_IMAGE = "rancher/none"
_GLOBAL = "io.rancher.scheduler.global"
_EMPTY = ("dnsService", "externalService")
_CHECKLESS = "none"


def configs_of(service: Row) -> Configs:
    """The launch configs that get containers."""
    if service.kind in _EMPTY or not service.data.get("launchConfig"):
        return {}
    found = {"": service.data["launchConfig"]}
    found |= {str(one["name"]): one for one in service.data.get("secondaryLaunchConfigs") or ()}
    return {name: config for name, config in found.items() if not is_none(config)}


def is_none(config: Mapping[str, Any]) -> bool:
    return str(config.get("imageUuid") or "").removeprefix("docker:") in (NO_IMAGE, "")


def is_global(service: Row) -> bool:
    labels = (service.data.get("launchConfig") or {}).get("labels") or {}
    return str(labels.get(_GLOBAL, "")).lower() == "true"


class Units:
    """Works on rows only; waiting is for the processes."""

    def __init__(self, store: Store, instances: Instances, timings: Timings) -> None:
        self._store = store
        self._instances = instances
        self._timings = timings

    def all(self, service: Row) -> list[Row]:
        """Containers that are not on their way out, those set aside by an upgrade too."""
        return [row for row in self._store.children("instance", service.number) if row.state != "removing"]

    def managed(self, service: Row) -> list[Row]:
        return [row for row in self.all(service) if not row.data.get("_aside")]

    def aside(self, service: Row) -> list[Row]:
        return [row for row in self.all(service) if row.data.get("_aside")]

    def indexes(self, service: Row) -> dict[int, int | None]:
        """The units there should be, with the host of each where the service is global."""
        if is_global(service):
            hosts = active_hosts(self._store, service.project)
            return {index: host.number for index, host in enumerate(hosts, 1)}
        return dict.fromkeys(range(1, int(service.data.get("scale") or 0) + 1), None)

    def expected(self, service: Row) -> int:
        return len(self.indexes(service)) * len(configs_of(service))

    def hosts(self, service: Row) -> bool:
        return bool(active_hosts(self._store, service.project))

    def place(self, service: Row, *, prune: bool = True) -> None:
        """Creates, starts and removes what differs. `prune`: containers of configs that are no more go too."""
        have = {(row.data["_unit"], row.data["_config"]): row for row in self.managed(service)}
        uuids = {row.data["_unit"]: row.data["deploymentUnitUuid"] for row in self.all(service)}
        may_retry = self._store.now() >= float(service.data.get("_retry_at") or 0)
        indexes = self.indexes(service)
        for index, host in indexes.items():
            unit = uuids.get(index) or str(uuid.uuid4())
            for name, config in configs_of(service).items():
                row = have.pop((index, name), None)
                if row is not None:
                    self._mend(service, row, may_retry=may_retry)
                elif may_retry and not self._create(service, name, config, (index, unit, host)):
                    may_retry = False
        for (index, _), row in have.items():
            if prune or index not in indexes:
                self._instances.remove(row)

    def settled(self, service: Row) -> bool:
        """Every container that there should be runs, and there is no other."""
        rows = self.managed(service)
        fine = [row for row in rows if row.state == "running" or ended_well(row)]
        return len(fine) == len(rows) == self.expected(service) and not any(map(_must_go, rows))

    def well(self, rows: Iterable[Row]) -> bool:
        return all(is_well(row) or ended_well(row) for row in rows)

    def stop(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row.state in ("running", "starting", "creating", "restarting"):
                self._instances.stop(row)

    def remove(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._instances.remove(row)

    def start(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row.state == "stopped":
                self._instances.start(row)

    def restart(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._instances.restart(row)

    def set_aside(self, rows: Iterable[Row], *, aside: bool) -> None:
        """What an upgrade replaces is kept beside the service's containers until it is finished or rolled back."""
        for row in rows:
            row.data["_aside"] = aside
            for shown in self._store.children("serviceExposeMap", row.data["serviceId"]):
                if shown.data["instanceId"] == row.number:
                    self._store.put(shown, managed=not aside)

    def count(self, service: Row) -> int:
        return len({row.data["_unit"] for row in self.managed(service) if row.state == "running"})

    def health(self, service: Row) -> str:
        """The service's health now."""
        if not configs_of(service) or service.state in ("inactive", "registering"):
            return "healthy"
        return service_health(self.expected(service), self.managed(service))

    def failing(self, service: Row, reason: str) -> None:
        """Keeps the reason on the service and puts off the next try."""
        failures = int(service.data.get("_failures") or 0) + 1
        pause = min(self._timings.retry * 2 ** (failures - 1), self._timings.retry_limit)
        self._store.put(
            service,
            _failures=failures,
            _retry_at=self._store.now() + pause,
            transitioningMessage=f"({reason})" if not reason.startswith("(") else reason,
        )

    def _create(self, service: Row, name: str, config: Mapping[str, Any], place: tuple[int, str, int | None]) -> bool:
        try:
            self._instances.create(service, name, config, place)
        except Unschedulable as error:
            self.failing(service, str(error))
            return False
        return True

    def _mend(self, service: Row, row: Row, *, may_retry: bool) -> None:
        if row.state == "error":
            self.failing(service, str(row.data.get("transitioningMessage")))
            self._instances.remove(row)
        elif row.state == "stopped" and may_retry and not ended_well(row):
            if row.data.get("exitCode"):
                self.failing(service, f"{row.name} exited with code {row.data['exitCode']}")
            self._instances.start(row)
        elif _must_go(row):
            self._instances.remove(row)


def _must_go(row: Row) -> bool:
    """An unhealthy container is replaced, unless its health check says otherwise."""
    check = row.data.get("healthCheck") or {}
    return row.data.get("healthState") == "unhealthy" and check.get("strategy", "recreate") != _CHECKLESS
