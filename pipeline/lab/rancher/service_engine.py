"""What a service does: each process of its state machine as steps, and what happens when a container is disturbed."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.lab.rancher.health import stack_health
from pipeline.lab.rancher.rows import Row, Store
from pipeline.lab.rancher.scheduler import Processes, Steps, Timings, waiting
from pipeline.lab.rancher.states import UPDATING
from pipeline.lab.rancher.units import Units
from pipeline.lab.rancher.upgrades import Upgrades

_WATCHED = ("activating", "active", "updating-active", "upgrading", "upgraded", "canceled-upgrade")


class ServiceEngine:
    """A service never has an error state: what does not work is tried again, for ever."""

    def __init__(self, store: Store, processes: Processes, units: Units, timings: Timings) -> None:
        self._store = store
        self._processes = processes
        self._timings = timings
        self.units = units
        self._upgrades = Upgrades(store, units, timings)
        self.removed: Callable[[Row], None] = lambda _: None

    def created(self, service: Row) -> None:
        self._processes.start(service, self._registering(service))

    def act(self, service: Row, process: str) -> None:
        """Starts a process whose state is already shown when this returns."""
        state, steps = {
            "activate": ("activating", self._activating),
            "deactivate": ("deactivating", self._deactivating),
            "upgrade": ("upgrading", self._upgrading),
            "continueupgrade": ("upgrading", self._upgrading),
            "cancelupgrade": ("canceling-upgrade", self._canceling),
            "finishupgrade": ("finishing-upgrade", self._finishing),
            "rollback": ("rolling-back", self._rolling_back),
            "restart": ("restarting", self._restarting),
            "remove": ("removing", self._removing),
        }[process]
        self._store.put(service, state=state, transitioningMessage=None, _failures=0, _retry_at=0)
        self._processes.start(service, steps(service))

    def resume(self, service: Row) -> None:
        """After a restart of the lab: what was under way goes on from what is there."""
        steps = {
            "registering": self._registering,
            "activating": self._activating,
            "updating-active": self._reconciling,
            "updating-inactive": lambda row: self._ending(row, "inactive"),
            "deactivating": self._deactivating,
            "upgrading": self._upgrading,
            "canceling-upgrade": self._canceling,
            "finishing-upgrade": self._finishing,
            "rolling-back": self._rolling_back,
            "restarting": self._reconciling,
            "removing": self._removing,
        }.get(service.state)
        if steps is not None:
            self._processes.start(service, steps(service))
        elif service.state == "active" and not self.units.settled(service):
            self.update(service)

    def update(self, service: Row) -> None:
        """The process behind a PUT; which of them it is depends on the state."""
        state = UPDATING[service.state]
        if state not in ("updating-active", "updating-inactive"):
            return
        self._store.put(service, state=state, transitioningMessage=None)
        active = state == "updating-active"
        self._processes.start(service, self._reconciling(service) if active else self._ending(service, "inactive"))

    def disturbed(self, instance: Row) -> None:
        """A container has changed by itself or by somebody's hand."""
        service = self._store.get("service", instance.data.get("serviceId"))
        if service is None or service.gone:
            return
        if service.state in _WATCHED and self.units.hosts(service):
            self._note_health(service)
        if service.state == "active" and not self.units.settled(service):
            self.update(service)
        elif service.state in ("upgraded", "canceled-upgrade"):
            self.units.place(service, prune=False)

    def note_stack_health(self, stack: Row) -> None:
        services = [row for row in self._store.children("service", stack.number) if row.state != "removing"]
        health = stack_health(str(row.data["healthState"]) for row in services)
        if health != stack.data["healthState"]:
            self._store.put(stack, healthState=health)

    def _note_health(self, service: Row) -> None:
        health = self.units.health(service)
        if health != service.data["healthState"]:
            self._store.put(service, healthState=health)
            stack = self._store.get("stack", service.data["stackId"])
            if stack is not None:
                self.note_stack_health(stack)

    def _settle(self, service: Row, state: str) -> None:
        self._store.put(
            service,
            state=state,
            transitioningMessage=None,
            currentScale=self.units.count(service),
            _failures=0,
            _retry_at=0,
        )
        if self.units.hosts(service):
            self._note_health(service)

    def _registering(self, service: Row) -> Steps:
        self._settle(service, "inactive")
        if service.data.get("startOnCreate"):
            yield 0.0
            self._store.put(service, state="activating")
            yield self._timings.step
            yield from self._activating(service)

    def _activating(self, service: Row) -> Steps:
        yield from self._placed(service)
        self._settle(service, "active")

    def _reconciling(self, service: Row) -> Steps:
        yield from self._placed(service)
        self._settle(service, "active")

    def _placed(self, service: Row) -> Steps:
        """Until everything runs. Without a host nothing is started, and that is not an error."""
        while self.units.hosts(service):
            self.units.place(service)
            if self.units.settled(service):
                return
            yield self._timings.tick

    def _ending(self, service: Row, state: str) -> Steps:
        self._settle(service, state)
        yield from ()

    def _deactivating(self, service: Row) -> Steps:
        self.units.stop(self.units.all(service))
        yield from waiting(lambda: all(_rests(row) for row in self.units.all(service)), self._timings.tick)
        self._settle(service, "inactive")

    def _upgrading(self, service: Row) -> Steps:
        if (service.data.get("upgrade") or {}).get("toServiceStrategy"):
            yield from self._upgrades.shift(service)
        else:
            yield from self._upgrades.forward(service)
        self._settle(service, "upgraded")

    def _canceling(self, service: Row) -> Steps:
        self._settle(service, "canceled-upgrade")
        yield from ()

    def _finishing(self, service: Row) -> Steps:
        yield from self._upgrades.finish(service)
        yield from self._placed(service)
        self._settle(service, "active")

    def _rolling_back(self, service: Row) -> Steps:
        yield from self._upgrades.back(service)
        yield from self._placed(service)
        self._settle(service, "active")

    def _restarting(self, service: Row) -> Steps:
        yield from self._upgrades.restart(service)
        yield from self._placed(service)
        self._settle(service, "active")

    def _removing(self, service: Row) -> Steps:
        rows = list(self._store.children("instance", service.number))
        self.units.remove(rows)
        yield from waiting(lambda: not any(self._store.children("instance", service.number)), self._timings.tick)
        for table in ("serviceConsumeMap", "serviceExposeMap"):
            for row in self._store.children(table, service.number):
                self._store.retire(row)
        self._unlink(service)
        self._store.retire(service)
        self.removed(service)

    def _unlink(self, service: Row) -> None:
        """Links and balancers' rules that point at it go with it."""
        for row in [one for one in self._store.rows("serviceConsumeMap") if one.project == service.project]:
            if row.data["consumedServiceId"] == service.number:
                self._store.retire(row)
                other = self._store.get("service", row.data["serviceId"])
                if other is not None:
                    links = {
                        name: number
                        for name, number in (other.data.get("linkedServices") or {}).items()
                        if number != service.number
                    }
                    self._store.put(other, linkedServices=links or None)


def _rests(row: Row) -> bool:
    return row.state in ("stopped", "error", "removed")
