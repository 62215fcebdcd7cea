"""The actions of a service: what each checks, what it changes at once, and the process that it starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.lab.rancher.faults import invalid
from pipeline.lab.rancher.fields import checked
from pipeline.lab.rancher.ids import parsed_id, shown_id
from pipeline.lab.rancher.kinds_other import KINDS
from pipeline.lab.rancher.names import check_alias, check_service_name
from pipeline.lab.rancher.rows import Fields, Row, Store
from pipeline.lab.rancher.service_engine import ServiceEngine
from pipeline.lab.rancher.services import Services, check_port, new_version, shared_with
from pipeline.lab.rancher.units import is_none

_GLOBAL = "io.rancher.scheduler.global"
PLAIN = ("activate", "deactivate", "cancelupgrade", "continueupgrade", "finishupgrade", "remove")
"""Processes that need nothing but their state."""


class ServiceActions:
    def __init__(self, store: Store, engine: ServiceEngine, services: Services) -> None:
        self._store = store
        self._engine = engine
        self._services = services

    def act(self, row: Row, action: str, given: Mapping[str, Any]) -> int:
        """Does an action that the state offers, and gives the status of the answer. Raises Fault."""
        if action in PLAIN:
            self._engine.act(row, action)
        elif action == "upgrade":
            self._upgrade(row, given)
        elif action == "rollback":
            self._roll_back(row)
        elif action == "restart":
            self._restart(row, given)
        elif action == "update":
            self._engine.update(row)
        else:
            self._links(row, action, given)
            return 200
        return 202

    def _upgrade(self, row: Row, given: Mapping[str, Any]) -> None:
        wanted = checked(KINDS["serviceUpgrade"], KINDS, given, creating=True)
        if wanted.get("toServiceStrategy"):
            self._check_target(row, wanted["toServiceStrategy"])
            self._store.put(row, upgrade=wanted | {"type": "serviceUpgrade"}, _previous=None, _upgrading=())
        elif wanted.get("inServiceStrategy"):
            self._replace_configs(row, wanted["inServiceStrategy"])
        else:
            raise invalid("MissingRequired", "Upgrade strategy needs to be set")
        self._engine.act(row, "upgrade")

    def _replace_configs(self, row: Row, strategy: Fields) -> None:
        primary: Fields | None = strategy.get("launchConfig")
        sidekicks: list[Fields] = strategy.get("secondaryLaunchConfigs") or []
        self._check_strategy(row, strategy)
        before = {
            "launchConfig": row.data["launchConfig"],
            "secondaryLaunchConfigs": row.data.get("secondaryLaunchConfigs") or [],
        }
        merged = {str(one["name"]): one for one in before["secondaryLaunchConfigs"]}
        merged |= {str(one["name"]): one for one in sidekicks}
        listed = {str(one["name"]) for one in sidekicks} | ({""} if primary is not None else set())
        configs = {"": primary if primary is not None else before["launchConfig"]} | merged
        listed |= _sharing(row.name, configs, listed)
        version = new_version()
        fresh = {
            name: dict(config) | ({"version": version} if name in listed else {}) for name, config in configs.items()
        }
        for name, config in fresh.items():
            # What was not sent again keeps the version of its containers.
            if name not in listed:
                config["version"] = configs[name].get("version", "0")
        kept = [config for name, config in fresh.items() if name and not is_none(config)]
        self._store.put(
            row,
            launchConfig=fresh[""],
            secondaryLaunchConfigs=kept,
            upgrade={"type": "serviceUpgrade", "inServiceStrategy": strategy, "toServiceStrategy": None},
            _previous=before,
            _upgrading=tuple(sorted(listed)),
        )

    def _check_strategy(self, row: Row, strategy: Mapping[str, Any]) -> None:
        primary = strategy.get("launchConfig")
        sidekicks = strategy.get("secondaryLaunchConfigs") or []
        if primary is None and not sidekicks:
            raise invalid("InvalidOption", "launchConfig")
        if row.kind == "loadBalancerService" and primary is None:
            raise invalid("MissingRequired", "launchConfig")
        if strategy.get("startFirst") and row.data.get("retainIp"):
            raise invalid("InvalidOption", "startFirst")
        if primary is not None and _global_label(primary) != _global_label(row.data["launchConfig"]):
            raise invalid("InvalidOption", _GLOBAL)
        for config in (*((primary,) if primary is not None else ()), *sidekicks):
            if row.kind == "service" and not config.get("imageUuid"):
                raise invalid("MissingRequired", "imageUuid")
            self._services.check_image(config)
            for port in config.get("ports") or ():
                check_port(str(port))
        for one in sidekicks:
            check_service_name(str(one["name"]))

    def _check_target(self, row: Row, strategy: Mapping[str, Any]) -> None:
        target = self._store.get("service", parsed_id(str(strategy["toServiceId"])))
        if target is None or target.gone or target.project != row.project or target is row:
            raise invalid("InvalidReference", "toServiceId")
        if strategy.get("updateLinks"):
            for link in list(self._store.rows("serviceConsumeMap")):
                if link.data["consumedServiceId"] == row.number:
                    source = self._store.get("service", link.data["serviceId"])
                    if source is not None:
                        self._add(source, target, str(link.data.get("name") or ""))

    def _roll_back(self, row: Row) -> None:
        previous = row.data.get("_previous")
        if previous is not None:
            self._store.put(row, **previous)
        self._engine.act(row, "rollback")

    def _restart(self, row: Row, given: Mapping[str, Any]) -> None:
        wanted = checked(KINDS["serviceRestart"], KINDS, given, creating=True)
        if not wanted.get("rollingRestartStrategy"):
            raise invalid("MissingRequired", "rollingRestartStrategy")
        row.data["_restart"] = wanted["rollingRestartStrategy"]
        self._engine.act(row, "restart")

    # -- links

    def _links(self, row: Row, action: str, given: Mapping[str, Any]) -> None:
        if action == "setservicelinks":
            wanted = checked(KINDS["setServiceLinksInput"], KINDS, given, creating=True).get("serviceLinks") or []
            targets = [(self._target(row, link), str(link.get("name") or "")) for link in wanted]
            for old in self._store.children("serviceConsumeMap", row.number):
                self._store.retire(old)
            self._store.put(row, linkedServices=None)
            for target, name in targets:
                self._add(row, target, name)
            return
        link = checked(KINDS["addRemoveServiceLinkInput"], KINDS, given, creating=True)["serviceLink"]
        target, name = self._target(row, link), str(link.get("name") or "")
        there = [
            one
            for one in self._store.children("serviceConsumeMap", row.number)
            if one.data["consumedServiceId"] == target.number and str(one.data.get("name") or "") == name
        ]
        if action == "addservicelink":
            if there:
                raise invalid("NotUnique", "serviceId")
            self._add(row, target, name)
        else:
            for one in there:
                self._store.retire(one)
            self._show_links(row)

    def _target(self, row: Row, link: Mapping[str, Any]) -> Row:
        check_alias(str(link.get("name") or ""))
        if not link.get("serviceId") and not link.get("service"):
            raise invalid("MissingRequired", "serviceId")
        found = (
            self._store.get("service", parsed_id(str(link["serviceId"])))
            if link.get("serviceId")
            else self._by_path(row, str(link["service"]))
        )
        if found is None or found.project != row.project:
            raise invalid("InvalidReference", "serviceId")
        if found.gone or found.state == "removing":
            raise invalid(
                "InvalidReference", "serviceId", message=f"Service {shown_id('service', found.number)} is removed"
            )
        return found

    def _by_path(self, row: Row, path: str) -> Row | None:
        """`region/environment/stack/service`, of which the last two count here."""
        *_, stack, service = ("", *path.split("/"))
        for above in self._store.rows("stack"):
            if above.project == row.project and above.name.lower() == stack.lower():
                for one in self._store.children("service", above.number):
                    if one.name.lower() == service.lower():
                        return one
        return None

    def _add(self, row: Row, target: Row, name: str) -> None:
        self._store.add(
            "serviceConsumeMap",
            "serviceConsumeMap",
            {"state": "active", "serviceId": row.number, "consumedServiceId": target.number, "name": name or None},
            project=row.project,
        )
        self._show_links(row)

    def _show_links(self, row: Row) -> None:
        links = {
            key: number
            for one in self._store.children("serviceConsumeMap", row.number)
            for key, number in self._shown(row, one)
        }
        self._store.put(row, linkedServices=links or None)

    def _shown(self, row: Row, link: Row) -> Iterator[tuple[str, int]]:
        target = self._store.get("service", link.data["consumedServiceId"])
        if target is None:
            return
        stack = self._store.get("stack", target.data["stackId"])
        inside = target.data["stackId"] == row.data["stackId"] or stack is None
        key = link.name or (target.name if inside or stack is None else f"{stack.name}/{target.name}")
        yield key, target.number


def _global_label(config: Mapping[str, Any]) -> bool:
    return str((config.get("labels") or {}).get(_GLOBAL, "")).lower() == "true"


def _sharing(service: str, configs: Mapping[str, Mapping[str, Any]], listed: set[str]) -> set[str]:
    """The configs that share a network or volumes from a listed one, and so on."""
    found: set[str] = set()
    names = {(service if name == "" else name) for name in listed}
    while True:
        more = {
            name for name, config in configs.items() if name not in listed | found and names & set(shared_with(config))
        }
        if not more:
            return found
        found |= more
        names |= more
