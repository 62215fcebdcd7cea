"""Containers: created, started, stopped and removed by the runtime, and what it reports about them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.lab.rancher.faults import action_not_available
from pipeline.lab.rancher.hosts import chosen_host
from pipeline.lab.rancher.ids import parsed_id
from pipeline.lab.rancher.names import instance_name, system_labels
from pipeline.lab.rancher.rows import Fields, Row, Store
from pipeline.lab.rancher.runtime import Container, Runtime

_GRACE = 10
_COPIED = ("ports", "environment", "command", "healthCheck", "networkMode", "secrets", "requestedHostId", "dataVolumes")


class Instances:
    """The rows of containers. `disturbed` is called with a container whose state or health has changed."""

    def __init__(self, store: Store, runtime: Runtime) -> None:
        self._store = store
        self._runtime = runtime
        self.disturbed: Callable[[Row], None] = lambda _: None

    def create(self, service: Row, name: str, config: Mapping[str, Any], place: tuple[int, str, int | None]) -> Row:
        """A new container of a service; `place` is the unit's index and uuid, and a host for a global one.

        Raises Unschedulable.
        """
        index, unit, pinned = place
        host = chosen_host(self._store, service, config, pinned)
        stack = self._store.get("stack", service.data["stackId"])
        assert stack is not None, "a service has a stack for as long as it is there"  # noqa: S101  our own invariant
        labels = dict(config.get("labels") or {}) | system_labels(stack, service, name, unit)
        copied: Fields = {key: config.get(key) for key in _COPIED}
        row = self._store.add(
            "instance",
            "container",
            copied
            | {
                "name": instance_name(stack.name, service.name, name, index),
                "state": "creating",
                "healthState": None,
                "imageUuid": config.get("imageUuid"),
                "labels": labels,
                "hostId": host.number,
                "serviceId": service.number,
                "stackId": stack.number,
                "deploymentUnitUuid": unit,
                "version": config.get("version", "0"),
                "createIndex": self._next_index(service),
                "startCount": 0,
                "system": bool(service.data.get("system")),
                "_unit": index,
                "_config": name,
                "_launch": config,
            },
            project=service.project,
        )
        self._expose(row)
        self._runtime.run(self._container(row, service, stack))
        return row

    def start(self, row: Row) -> None:
        """Starts one that is stopped."""
        self._store.put(row, state="starting", transitioningMessage=None)
        self.first(row)

    def first(self, row: Row) -> None:
        """Hands one that is in its first state to the runtime."""
        self._runtime.run(self.container_of(row))

    def container_of(self, row: Row) -> Container:
        """The container as the runtime is asked for it."""
        service = self._store.get("service", row.data.get("serviceId"))
        stack = self._store.get("stack", row.data.get("stackId"))
        return self._container(row, service, stack)

    def stop(self, row: Row, seconds: int = 0, *, then_remove: bool = False) -> None:
        """`seconds` of grace, or what its config says."""
        self._store.put(row, state="stopping", _then="remove" if then_remove else "")
        self._runtime.stop(row.number, seconds or _grace(row))

    def restart(self, row: Row) -> None:
        self._store.put(row, state="restarting", _then="start")
        self._runtime.stop(row.number, _grace(row))

    def remove(self, row: Row) -> None:
        """Stops it first where it runs. A second call does nothing."""
        if row.state == "removing" or row.gone:
            return
        self._store.put(row, state="removing", _then="")
        self._runtime.remove(row.number)

    def act(self, row: Row, action: str, given: Mapping[str, Any]) -> None:
        """An action of the API on one container."""
        if action == "start":
            self.start(row)
        elif action == "stop":
            self.stop(row, _whole(given.get("timeout")), then_remove=bool(given.get("remove")))
        elif action == "restart":
            self.restart(row)
        elif action == "purge":
            self._store.put(row, state="purged")
        elif action != "update":
            raise action_not_available()

    # -- what the runtime reports

    def starting(self, number: int) -> None:
        row = self._row(number)
        if row is not None and row.state == "creating":
            self._store.put(row, state="starting")

    def running(self, number: int, external: str, address: str) -> None:
        row = self._row(number)
        if row is None or row.state in ("removing", "stopping"):
            return
        self._store.put(
            row,
            state="running",
            externalId=external,
            primaryIpAddress=address,
            startCount=row.data["startCount"] + 1,
            healthState="initializing" if row.data.get("healthCheck") else None,
            transitioningMessage=None,
            exitCode=None,
        )
        self.disturbed(row)

    def failed(self, number: int, reason: str) -> None:
        row = self._row(number)
        if row is not None and row.state != "removing":
            message = f"Expected state running but got error: {reason}"
            self._store.put(row, state="error", _error=True, transitioningMessage=message)
            self.disturbed(row)

    def health(self, number: int, *, healthy: bool) -> None:
        row = self._row(number)
        wanted = "healthy" if healthy else "unhealthy"
        if row is not None and row.state == "running" and row.data.get("healthState") != wanted:
            self._store.put(row, healthState=wanted)
            self.disturbed(row)

    def stopped(self, number: int, code: int) -> None:
        row = self._row(number)
        if row is None or row.state in ("removing", "stopped", "error", "removed"):
            return
        then = row.data.get("_then", "")
        self._store.put(row, state="stopped", healthState=None, exitCode=code, _then="")
        if then == "remove":
            self.remove(row)
        elif then == "start":
            self.start(row)
        self.disturbed(row)

    def removed(self, number: int) -> None:
        row = self._row(number)
        if row is None or row.gone:
            return
        for shown in self._store.children("serviceExposeMap", row.data.get("serviceId") or 0):
            if shown.data["instanceId"] == row.number:
                self._store.retire(shown)
        self._store.retire(row)
        self.disturbed(row)

    def _row(self, number: int) -> Row | None:
        return self._store.get("instance", number)

    def _next_index(self, service: Row) -> int:
        index = int(service.data.get("createIndex") or 0) + 1
        service.data["createIndex"] = index
        return index

    def _expose(self, row: Row) -> None:
        self._store.add(
            "serviceExposeMap",
            "serviceExposeMap",
            {"state": "active", "serviceId": row.data["serviceId"], "instanceId": row.number, "managed": True},
            project=row.project,
        )

    def _project(self, row: Row) -> str:
        found = self._store.get("account", row.project)
        return found.name if found is not None else ""

    def _container(self, row: Row, service: Row | None, stack: Row | None) -> Container:
        config = row.data.get("_launch", row.data)
        sidekick = str(row.data.get("_config") or "")
        return Container(
            number=row.number,
            uuid=row.data["uuid"],
            name=row.name,
            project=self._project(row),
            stack=stack.name if stack is not None else "",
            service=service.name if service is not None else "",
            sidekick=sidekick,
            unit=str(row.data.get("deploymentUnitUuid") or ""),
            config=config,
            labels=row.data.get("labels") or {},
            network_of=self._beside(row, service, str(config.get("networkLaunchConfig") or "")),
            volumes_of=tuple(
                number
                for name in config.get("dataVolumesFromLaunchConfigs") or ()
                if (number := self._beside(row, service, str(name)))
            ),
            secrets=self._secrets(config),
            login=self._login(row, str(config.get("imageUuid") or "").removeprefix("docker:")),
        )

    def _beside(self, row: Row, service: Row | None, name: str) -> int:
        """The container of another config in the same unit; 0 without one."""
        if service is None or not name:
            return 0
        wanted = "" if name == service.name else name
        for one in self._store.children("instance", service.number):
            same = one.data["_unit"] == row.data["_unit"] and one.data["_config"] == wanted
            if same and one is not row and not one.data.get("_aside") and one.state != "removing":
                return one.number
        return 0

    def _secrets(self, config: Mapping[str, Any]) -> dict[str, bytes]:
        found = {}
        for reference in config.get("secrets") or ():
            number = parsed_id(str(reference.get("secretId") or ""))
            row = self._store.get("secret", number)
            if row is not None:
                found[str(reference.get("name") or row.name)] = base64.b64decode(row.data["value"])
        return found

    def _login(self, row: Row, image: str) -> tuple[str, str] | None:
        for registry in self._store.rows("storagePool"):
            address = str(registry.data["serverAddress"]).removeprefix("https://").removeprefix("http://")
            if registry.project == row.project and image.startswith(f"{address}/"):
                for one in self._store.children("credential", registry.number):
                    if one.state == "active":
                        return str(one.data["publicValue"]), str(one.data["secretValue"])
        return None


def _grace(row: Row) -> int:
    return _whole((row.data.get("_launch") or row.data).get("stopTimeout")) or _GRACE


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
