"""In-service upgrades: which containers are replaced in which order, and how that is taken back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.lab.rancher.ids import parsed_id
from pipeline.lab.rancher.rows import Row, Store
from pipeline.lab.rancher.scheduler import Steps, Timings, waiting
from pipeline.lab.rancher.units import Configs, Units, configs_of

_DONE = ("running", "stopped", "error")


class Upgrades:
    """`_upgrading` on a service names the configs that are being replaced; `_previous` is what they were."""

    def __init__(self, store: Store, units: Units, timings: Timings) -> None:
        self._store = store
        self._units = units
        self._timings = timings

    def forward(self, service: Row) -> Steps:
        """Batch by batch until every unit has the new configs and all are healthy. Never gives up."""
        strategy = self._tell_previous(service)
        while outdated := self._outdated(service):
            yield from self._all_new_are_well(service)
            batch = sorted(outdated)[: int(strategy["batchSize"])]
            old = [row for index in batch for row in outdated[index]]
            self._units.set_aside(old, aside=True)
            if strategy["startFirst"]:
                yield from self._all_new_are_well(service)
                yield from self._stopped(old)
            else:
                yield from self._stopped(old)
                yield from self._all_new_are_well(service)
            if self._outdated(service):
                yield int(strategy["intervalMillis"]) / 1000
        yield from self._all_are_well(service)
        yield from self._stopped(self._units.aside(service))

    def finish(self, service: Row) -> Steps:
        """The old containers go for good."""
        self._units.remove(self._units.aside(service))
        yield from waiting(lambda: not self._leaving(service), self._timings.tick)
        self._store.put(service, _upgrading=(), _previous=None)

    def back(self, service: Row) -> Steps:
        """The same old containers run again, the new ones are removed. Waits for no health."""
        old = self._units.aside(service)
        known = configs_of(service)
        new = [row for row in self._units.managed(service) if _is_old(row, known)]
        yield from self._stopped(new)
        self._units.set_aside(old, aside=False)
        self._units.set_aside(new, aside=True)
        self._units.start(old)
        # One that was still stopping, or does not start, is seen to when the service comes to rest.
        yield from waiting(lambda: all(row.state in _DONE or row.gone for row in old), self._timings.tick)
        self._units.remove(new)
        yield from waiting(lambda: not self._leaving(service), self._timings.tick)
        self._store.put(service, _upgrading=(), _previous=None)

    def restart(self, service: Row) -> Steps:
        """Every unit once, batch by batch, the same containers."""
        strategy = service.data["_restart"]
        indexes = sorted({row.data["_unit"] for row in self._units.managed(service)})
        size = int(strategy["batchSize"])
        for first in range(0, len(indexes), size):
            batch = indexes[first : first + size]
            rows = [row for row in self._units.managed(service) if row.data["_unit"] in batch]
            self._units.restart(rows)
            yield from self._all_are_well(service)
            if first + size < len(indexes):
                yield int(strategy["intervalMillis"]) / 1000

    def shift(self, service: Row) -> Steps:
        """The other service grows by what this one loses, until this one has nothing."""
        strategy = service.data["upgrade"]["toServiceStrategy"]
        target = self._store.get("service", parsed_id(str(strategy["toServiceId"])))
        batch, wanted = int(strategy["batchSize"]), int(strategy["finalScale"])
        while target is not None and not target.gone:
            grown = min(int(target.data["scale"] or 0) + batch, wanted)
            shrunk = max(int(service.data["scale"] or 0) - batch, 0)
            self._store.put(target, scale=max(grown, int(target.data["scale"] or 0)))
            yield from self._all_are_well(target)
            self._store.put(service, scale=shrunk)
            yield from self._all_are_well(service)
            if grown >= wanted and not shrunk:
                break
            yield int(strategy["intervalMillis"]) / 1000

    def _tell_previous(self, service: Row) -> dict[str, Any]:
        strategy: dict[str, Any] = dict(service.data["upgrade"]["inServiceStrategy"])
        previous = service.data.get("_previous")
        if previous is not None:
            strategy |= {
                "previousLaunchConfig": previous["launchConfig"],
                "previousSecondaryLaunchConfigs": previous["secondaryLaunchConfigs"],
            }
            self._store.put(service, upgrade=service.data["upgrade"] | {"inServiceStrategy": strategy})
        return strategy

    def _outdated(self, service: Row) -> dict[int, list[Row]]:
        """By unit, the containers that an upgrade is to replace and has not yet."""
        configs = configs_of(service)
        found: dict[int, list[Row]] = {}
        for row in self._units.managed(service):
            if _is_old(row, configs) and row.data["_config"] in service.data["_upgrading"]:
                found.setdefault(row.data["_unit"], []).append(row)
        return found

    def _all_new_are_well(self, service: Row) -> Iterator[float]:
        return self._until_well(service, only_new=True)

    def _all_are_well(self, service: Row) -> Iterator[float]:
        return self._until_well(service, only_new=False)

    def _until_well(self, service: Row, *, only_new: bool) -> Iterator[float]:
        while self._units.hosts(service):
            self._units.place(service, prune=False)
            rows = self._units.managed(service)
            outdated = (
                {row.number for several in self._outdated(service).values() for row in several} if only_new else set()
            )
            looked_at = [row for row in rows if row.number not in outdated]
            if len(rows) >= self._units.expected(service) and self._units.well(looked_at):
                return
            yield self._timings.tick

    def _stopped(self, rows: Iterable[Row]) -> Iterator[float]:
        found = list(rows)
        self._units.stop(found)
        return waiting(lambda: all(row.state in ("stopped", "error") or row.gone for row in found), self._timings.tick)

    def _leaving(self, service: Row) -> bool:
        return any(row.state == "removing" for row in self._store.children("instance", service.number))


def _is_old(row: Row, configs: Configs) -> bool:
    """A container of another version of its config, or of one that is no more."""
    config = configs.get(row.data["_config"])
    return config is None or bool(row.data["version"] != config.get("version", "0"))
