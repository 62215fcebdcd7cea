"""One lab Rancher without its port: the rows, the engine that moves them, and what it starts with."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.lab.rancher.auth import Auth
from pipeline.lab.rancher.compose_executor import ComposeExecutor
from pipeline.lab.rancher.instances import Instances
from pipeline.lab.rancher.logs import Logs
from pipeline.lab.rancher.others import Others
from pipeline.lab.rancher.rows import Row, Store
from pipeline.lab.rancher.runtime import Runtime
from pipeline.lab.rancher.runtime_memory import Faults
from pipeline.lab.rancher.scheduler import Processes, Scheduler, Timings
from pipeline.lab.rancher.service_actions import ServiceActions
from pipeline.lab.rancher.service_engine import ServiceEngine
from pipeline.lab.rancher.services import LB_IMAGE, Services
from pipeline.lab.rancher.stacks import Stacks
from pipeline.lab.rancher.units import Units

SERVER_VERSION = "v1.6.30"
_SETTINGS = {
    "rancher.server.version": SERVER_VERSION,
    "rancher.compose.version": "v0.12.5",
    "lb.instance.image": LB_IMAGE.removeprefix("docker:"),
    "catalog.url": "{}",
    "api.host": "",
    "registry.default": "",
    "registry.whitelist": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An access key and its secret."""

    access: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What a new lab has: a project `1a5`, so many hosts in it, and keys that are known beforehand."""

    project: str = "Default"
    hosts: int = 1
    environment_key: Key | None = None
    account_key: Key | None = None
    security: bool = False


class LabState:
    def __init__(self, scheduler: Scheduler, timings: Timings, runtime: Runtime, faults: Faults, seed: Seed) -> None:
        self.store = Store(scheduler.now)
        self.scheduler = scheduler
        self.faults = faults
        processes = Processes(scheduler, timings)
        processes.is_stuck = lambda row: bool(faults.stuck) and row.name in faults.stuck
        self.instances = Instances(self.store, runtime)
        units = Units(self.store, self.instances, timings)
        self.engine = ServiceEngine(self.store, processes, units, timings)
        self.instances.disturbed = self.engine.disturbed
        self.engine.removed = self._service_gone
        self.services = Services(self.store, self.engine)
        self.service_actions = ServiceActions(self.store, self.engine, self.services)
        executor = ComposeExecutor(self.store, self.services, self.service_actions, self.engine, timings)
        self.stacks = Stacks(self.store, processes, self.engine, executor, timings)
        self.others = Others(self.store, processes, self.instances, runtime, timings)
        self.others.host_changed = self._host_changed
        self.admin, self.project = self._seeded(seed)
        self.auth = Auth(self.store, self.admin, security=seed.security)
        self.logs = Logs(runtime.log)
        self._seed = seed

    def lose_host(self, number: int) -> None:
        """The agent of a host is gone: the host stays active, checked containers on it turn unhealthy."""
        host = self.store.get("host", number)
        if host is None:
            return
        self.store.put(host, agentState="disconnected")
        for row in list(self.store.rows("instance")):
            if row.data.get("hostId") == number and row.data.get("healthCheck"):
                self.instances.health(row.number, healthy=False)

    def find_host(self, number: int) -> None:
        """The agent is back."""
        host = self.store.get("host", number)
        if host is not None:
            self.store.put(host, agentState="active")

    def resume(self) -> None:
        """After rows have been restored: whatever was under way goes on, and the keys of this start are valid too."""
        self._rebind()
        for row in list(self.store.all()):
            if row.gone or row.table == "instance":
                continue
            if row.table == "service":
                self.engine.resume(row)
            elif row.table == "stack":
                self.stacks.resume(row)
            elif "state" in row.data:
                self.others.resume(row)

    def _service_gone(self, service: Row) -> None:
        stack = self.store.get("stack", service.data["stackId"])
        if stack is not None and not stack.gone:
            self.engine.note_stack_health(stack)

    def _host_changed(self, host: Row) -> None:
        for service in self.store.rows("service"):
            beside = service.project == host.project and service.state == "active"
            if beside and not self.engine.units.settled(service):
                self.engine.update(service)

    def _seeded(self, seed: Seed) -> tuple[Row, Row]:
        active = {"state": "active"}
        admin = self.store.add("account", "account", active | {"name": "admin", "_role": "admin"}, project=1, number=1)
        project = self.add_project(seed.project, 5)
        for number in range(1, seed.hosts + 1):
            self.add_host(project, f"host-{number}")
        for name, value in _SETTINGS.items():
            fields = {"name": name, "value": value, "activeValue": value, "source": "Code Packaged Defaults"}
            self.store.add("setting", "setting", fields, project=None)
        self._add_keys(seed, admin, project)
        return admin, project

    def _add_keys(self, seed: Seed, admin: Row, project: Row) -> None:
        known = {row.data.get("publicValue") for row in self.store.rows("credential")}
        for key, account in ((seed.environment_key, project), (seed.account_key, admin)):
            if key is not None and key.access not in known:
                self.add_key(key, account)

    def _rebind(self) -> None:
        """The rows of the admin and the project are others than those that this start made."""
        admin, project = (self.store.get("account", row.number) for row in (self.admin, self.project))
        if admin is not None and project is not None:
            self.admin, self.project = admin, project
            self.auth = Auth(self.store, admin, security=self._seed.security)
            self._add_keys(self._seed, admin, project)

    def add_project(self, name: str, number: int | None = None) -> Row:
        fields = {"name": name, "state": "active", "orchestration": "cattle", "healthState": "healthy"}
        row = self.store.add("account", "project", fields, project=None, number=number)
        row.project = row.number
        return row

    def add_user(self, name: str, role: str = "user") -> Row:
        return self.store.add("account", "account", {"name": name, "state": "active", "_role": role}, project=None)

    def add_key(self, key: Key, account: Row) -> Row:
        fields = {"state": "active", "publicValue": key.access, "secretValue": key.secret, "accountId": account.number}
        return self.store.add("credential", "apiKey", fields, project=account.number)

    def add_host(self, project: Row, name: str) -> Row:
        fields = {
            "name": name,
            "hostname": name,
            "state": "active",
            "agentState": "active",
            "agentIpAddress": "127.0.0.1",
            "labels": {},
            "memory": 0,
            "milliCpu": 0,
            "localStorageMb": 0,
        }
        return self.store.add("host", "host", fields, project=project.number)
