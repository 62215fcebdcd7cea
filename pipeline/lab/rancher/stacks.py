"""Stacks: what is checked when one is written, and the processes of its state machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.lab.rancher.compose import ComposeError
from pipeline.lab.rancher.compose_executor import ComposeExecutor
from pipeline.lab.rancher.faults import Fault, invalid
from pipeline.lab.rancher.fields import checked
from pipeline.lab.rancher.kinds_other import KINDS
from pipeline.lab.rancher.names import check_stack_name
from pipeline.lab.rancher.rows import Row, Store
from pipeline.lab.rancher.scheduler import Processes, Steps, Timings, waiting
from pipeline.lab.rancher.service_engine import ServiceEngine

_MISREAD = (AttributeError, KeyError, TypeError, ValueError)
"""What a file brings about whose keys are known and whose values are something else than is meant by them."""
_DEACTIVATED = ("active", "activating", "updating-active", "updating-inactive", "restarting")
_SKIPPED = ("inactive", "deactivating", "removing", "removed")


class Stacks:
    def __init__(
        self,
        store: Store,
        processes: Processes,
        engine: ServiceEngine,
        executor: ComposeExecutor,
        timings: Timings,
    ) -> None:
        self._store = store
        self._processes = processes
        self._engine = engine
        self._executor = executor
        self._timings = timings

    def create(self, given: Mapping[str, Any], project: Row) -> Row:
        """A new stack in state activating. Raises Fault."""
        fields = checked(KINDS["stack"], KINDS, given, creating=True)
        self._check_name(fields["name"], project.number)
        row = self._store.add(
            "stack",
            "stack",
            fields | {"state": "activating", "healthState": "healthy", "system": False},
            project=project.number,
        )
        self._processes.start(row, self._activating(row))
        return row

    def update(self, row: Row, given: Mapping[str, Any]) -> None:
        """PUT: only a new name starts a process. Raises Fault."""
        fields = checked(KINDS["stack"], KINDS, given, creating=False)
        changed = {name: value for name, value in fields.items() if row.data.get(name) != value}
        if "name" in changed:
            self._check_name(changed["name"], row.project, but=row)
        if not changed:
            return
        self._store.put(row, **changed)
        if "name" in changed:
            if row.state != "active":
                raise Fault(500)
            self._store.put(row, state="updating-active")
            self._processes.start(row, self._ending(row, "active"))

    def act(self, row: Row, action: str, given: Mapping[str, Any]) -> int:
        """Does an action that the state offers, and gives the status of the answer. Raises Fault."""
        if action == "addoutputs":
            outputs = checked(KINDS["addOutputsInput"], KINDS, given, creating=True)["outputs"]
            self._store.put(row, outputs=(row.data.get("outputs") or {}) | outputs)
            return 200
        if action == "activateservices":
            for service in self._in_order(row):
                if service.state == "inactive":
                    self._engine.act(service, "activate")
            return 200
        if action == "deactivateservices":
            self._deactivate(row)
            return 200
        wanted = checked(KINDS["stackUpgrade"], KINDS, given, creating=True) if action == "upgrade" else {}
        processes: Mapping[str, tuple[str, Callable[[], Steps]]] = {
            "upgrade": ("upgrading", lambda: self._upgrading(row, wanted)),
            "finishupgrade": ("finishing-upgrade", lambda: self._finishing(row)),
            "rollback": ("rolling-back", lambda: self._rolling_back(row)),
            "cancelupgrade": ("canceling-upgrade", lambda: self._ending(row, "canceled-upgrade")),
            "error": ("erroring", lambda: self._erring(row)),
            "remove": ("removing", lambda: self._removing(row)),
            "update": ("updating-active", lambda: self._ending(row, "active")),
            "create": ("activating", lambda: self._activating(row)),
        }
        state, steps = processes[action]
        self._store.put(row, state=state, transitioningMessage=None, _error=False)
        self._processes.start(row, steps())
        return 202

    def resume(self, row: Row) -> None:
        """After a restart of the lab. What an upgrade was given is not kept: it stays until it is cancelled."""
        steps = {
            "activating": self._activating,
            "updating-active": lambda one: self._ending(one, "active"),
            "erroring": self._erring,
            "finishing-upgrade": self._finishing,
            "canceling-upgrade": lambda one: self._ending(one, "canceled-upgrade"),
            "rolling-back": self._rolling_back,
            "removing": self._removing,
        }.get(row.state)
        if steps is not None:
            self._processes.start(row, steps(row))

    def _check_name(self, name: str, project: int | None, *, but: Row | None = None) -> None:
        check_stack_name(name)
        for row in self._store.rows("stack"):
            if row is not but and row.project == project and row.name.lower() == name.lower():
                raise invalid("NotUnique", "name")

    def _activating(self, row: Row) -> Steps:
        if row.data.get("dockerCompose"):
            try:
                yield from self._executor.create(row)
            except (ComposeError, *_MISREAD) as error:
                self._store.put(row, state="erroring", transitioningMessage=_words(error))
                yield self._timings.step
                self._store.put(row, state="error", _error=True)
                return
        self._rest(row, "active")

    def _upgrading(self, row: Row, given: Mapping[str, Any]) -> Steps:
        if row.data.get("dockerCompose"):
            try:
                yield from self._executor.upgrade(row, given)
            except (ComposeError, *_MISREAD) as error:
                # The error is progress, not an end: the stack stays as it is until somebody cancels.
                self._store.put(row, transitioningMessage=_words(error))
                return
            self._store.put(
                row,
                previousExternalId=row.data.get("externalId"),
                previousEnvironment=row.data.get("environment"),
                externalId=given.get("externalId") or row.data.get("externalId"),
                environment=self._executor.variables(
                    row, given.get("environment") or {}, str(given.get("rancherCompose") or "")
                ),
            )
        self._rest(row, "upgraded")

    def _finishing(self, row: Row) -> Steps:
        yield from self._each_upgraded(row, "finishupgrade")
        self._rest(row, "active")

    def _rolling_back(self, row: Row) -> Steps:
        yield from self._each_upgraded(row, "rollback")
        if row.data.get("previousEnvironment") is not None or row.data.get("previousExternalId") is not None:
            self._store.put(
                row, externalId=row.data.get("previousExternalId"), environment=row.data.get("previousEnvironment")
            )
        self._rest(row, "active")

    def _each_upgraded(self, row: Row, action: str) -> Steps:
        states = ("upgraded",) if action == "finishupgrade" else ("upgraded", "upgrading", "canceled-upgrade")
        services = [one for one in self._store.children("service", row.number) if one.state in states]
        for service in services:
            previous = service.data.get("_previous")
            if action == "rollback" and previous is not None:
                self._store.put(service, **previous)
            self._engine.act(service, action)
        yield from waiting(lambda: all(one.state == "active" or one.gone for one in services), self._timings.tick)

    def _erring(self, row: Row) -> Steps:
        self._store.put(row, state="error", _error=True)
        yield from ()

    def _ending(self, row: Row, state: str) -> Steps:
        self._rest(row, state)
        yield from ()

    def _removing(self, row: Row) -> Steps:
        for service in self._store.children("service", row.number):
            if service.state != "removing":
                self._engine.act(service, "remove")
        yield self._timings.step
        # Its services may still be on their way out.
        self._store.retire(row)

    def _rest(self, row: Row, state: str) -> None:
        self._store.put(row, state=state, transitioningMessage=None)

    def _deactivate(self, row: Row) -> None:
        for service in self._store.children("service", row.number):
            if service.state in _DEACTIVATED:
                self._engine.act(service, "deactivate")
            elif service.state not in _SKIPPED:
                raise invalid(
                    "InvalidState", f"Service {service.name} is not in valid state to be deactivated: {service.state}"
                )

    def _in_order(self, row: Row) -> list[Row]:
        """Services after those that they link to."""
        there = {one.number: one for one in self._store.children("service", row.number)}
        found: list[Row] = []
        seen: set[int] = set()

        def visit(service: Row) -> None:
            if service.number in seen:
                return
            seen.add(service.number)
            for number in (service.data.get("linkedServices") or {}).values():
                if number in there:
                    visit(there[number])
            found.append(service)

        for service in there.values():
            visit(service)
        return found


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, ComposeError) else f"{type(error).__name__}: {error}"
