"""Services as the API writes them: created, changed and linked, with the checks that Cattle makes."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.lab.rancher.faults import Fault, invalid
from pipeline.lab.rancher.fields import Kind, checked
from pipeline.lab.rancher.ids import parsed_id
from pipeline.lab.rancher.kinds_other import KINDS
from pipeline.lab.rancher.names import check_service_name
from pipeline.lab.rancher.rows import Fields, Row, Store
from pipeline.lab.rancher.service_engine import ServiceEngine
from pipeline.lab.rancher.states import UPDATING

METADATA_LIMIT = 1024 * 1024
LB_IMAGE = "docker:rancher/lb-service-haproxy:v0.9.14"
_SCHEDULED = frozenset(
    ("name", "scale", "metadata", "scalePolicy", "retainIp", "selectorLink", "selectorContainer", "lbConfig")
)
_PORT = re.compile(r"(?:(?:(?:[\d.]+|\[[0-9a-fA-F:]+\]):)?(\d+)?:)?(\d+)(?:/(\w+))?")
_CLOSED = ("error", "erroring", "removing", "removed")
_SELECTOR = re.compile(r"[^=!,\s]+(\s*(=|!=)\s*[^=!,\s]+|\s+(in|notin)\s*\([^()]+\))?")


class Services:
    def __init__(self, store: Store, engine: ServiceEngine) -> None:
        self._store = store
        self._engine = engine

    def create(self, kind: Kind, given: Mapping[str, Any], project: Row) -> Row:
        """A new service in state registering. Raises Fault."""
        fields = checked(kind, KINDS, given, creating=True)
        stack = self._stack(fields.get("stackId"), project)
        fields["stackId"] = stack.number
        self._check_names(stack, fields["name"], fields.get("secondaryLaunchConfigs") or ())
        _check_configs(kind, fields)
        _check_others(kind, fields)
        if kind.name == "loadBalancerService":
            self._check_rules(fields.get("lbConfig"), project)
            _inject_balancer(fields["launchConfig"])
        for config in _configs(fields):
            config["version"] = "0"
            self.check_image(config)
        row = self._store.add(
            "service",
            kind.name,
            fields | {"state": "registering", "healthState": "healthy", "currentScale": 0, "system": False},
            project=project.number,
        )
        self._engine.created(row)
        return row

    def check_image(self, config: Mapping[str, Any]) -> None:
        """Raises Fault for an image of a registry that the setting `registry.whitelist` does not name."""
        setting = next((row for row in self._store.rows("setting") if row.name == "registry.whitelist"), None)
        allowed = str(setting.data.get("value") or "") if setting is not None else ""
        if not allowed:
            return
        first, slash, _ = str(config.get("imageUuid") or "").removeprefix("docker:").partition("/")
        registry = first if slash and re.search(r"[.:]|^localhost$", first) else "index.docker.io"
        if registry not in (one.strip() for one in allowed.split(",")):
            raise invalid("InvalidOption", "The provided registry is not whitelisted")

    def update(self, row: Row, given: Mapping[str, Any]) -> None:
        """PUT: stores what has changed, and starts a process when a field wants one. Raises Fault."""
        kind = KINDS[row.kind]
        fields = checked(kind, KINDS, given, creating=False)
        if row.kind == "loadBalancerService" and given.get("launchConfig"):
            fields |= checked(kind, KINDS, {"launchConfig": given["launchConfig"]} | _required(row), creating=True)
            fields = {name: value for name, value in fields.items() if name in given}
        changed = {name: value for name, value in fields.items() if row.data.get(name) != value}
        if "name" in changed:
            stack = self._store.get("stack", row.data["stackId"])
            if stack is not None:
                self._check_names(stack, changed["name"], (), but=row)
        _check_others(kind, changed)
        if not changed:
            return
        self._store.put(row, **changed)
        if _SCHEDULED & changed.keys():
            if row.state not in UPDATING:
                # Cattle stores the field first, and does not catch what its process engine says then.
                raise Fault(500)
            self._engine.update(row)

    def _stack(self, number: Any, project: Row) -> Row:
        stack = self._store.get("stack", parsed_id(str(number)))
        if stack is None or stack.project != project.number:
            raise invalid("InvalidReference", "stackId")
        if stack.gone or stack.state in _CLOSED:
            raise invalid("InvalidState", "stackId")
        return stack

    def _check_names(
        self, stack: Row, name: str, sidekicks: Sequence[Mapping[str, Any]], *, but: Row | None = None
    ) -> None:
        names = [name, *(str(one["name"]) for one in sidekicks)]
        for one in names:
            check_service_name(one)
        taken = {one.lower() for one in self._names_in(stack, but)}
        for one in names:
            if one.lower() in taken:
                raise invalid("NotUnique", "name")
            taken.add(one.lower())

    def _names_in(self, stack: Row, but: Row | None) -> Iterator[str]:
        for row in self._store.children("service", stack.number):
            if row is not but:
                yield row.name
                yield from (str(one["name"]) for one in row.data.get("secondaryLaunchConfigs") or ())

    def _check_rules(self, config: Mapping[str, Any] | None, project: Row) -> None:
        if not config:
            raise invalid("MissingRequired", "lbConfig")
        for rule in config.get("portRules") or ():
            if bool(rule.get("serviceId")) == bool(rule.get("selector")):
                raise invalid("InvalidOption", "serviceId")
            if rule.get("sourcePort") == 42:
                raise invalid("InvalidOption", "sourcePort")
            if rule.get("serviceId"):
                if not rule.get("targetPort"):
                    raise invalid("MissingRequired", "targetPort")
                target = self._store.get("service", parsed_id(str(rule["serviceId"])))
                if target is None or target.gone or target.project != project.number:
                    raise invalid("InvalidReference", "serviceId")


def _inject_balancer(config: Fields) -> None:
    """What the server adds to a balancer's config."""
    config["imageUuid"] = LB_IMAGE
    config["labels"] = {
        **(config.get("labels") or {}),
        "io.rancher.container.agent.role": "environmentAdmin",
        "io.rancher.container.create_agent": "true",
    }
    config["healthCheck"] = {
        "type": "instanceHealthCheck",
        "port": 42,
        "interval": 2000,
        "responseTimeout": 2000,
        "healthyThreshold": 2,
        "unhealthyThreshold": 3,
        "strategy": "recreate",
    }


def _required(row: Row) -> dict[str, Any]:
    return {name: row.data.get(name) for name in ("name", "stackId")}


def _configs(fields: Mapping[str, Any]) -> Iterator[Fields]:
    if fields.get("launchConfig"):
        yield fields["launchConfig"]
    yield from fields.get("secondaryLaunchConfigs") or ()


def _check_configs(kind: Kind, fields: Mapping[str, Any]) -> None:
    if kind.name == "service" and not fields.get("launchConfig") and not fields.get("selectorContainer"):
        raise invalid("MissingRequired", "launchConfig")
    check_references(str(fields["name"]), fields.get("launchConfig") or {}, fields.get("secondaryLaunchConfigs") or ())
    for config in _configs(fields):
        if kind.name == "service" and not config.get("imageUuid"):
            raise invalid("MissingRequired", "imageUuid")
        for port in config.get("ports") or ():
            check_port(str(port))


def check_references(name: str, primary: Mapping[str, Any], sidekicks: Sequence[Mapping[str, Any]]) -> None:
    """What shares a network or volumes must be there, and not in a circle. Raises Fault."""
    configs = {name: primary} | {str(one["name"]): one for one in sidekicks}
    for start in configs:
        seen, ahead = set(), [start]
        while ahead:
            current = ahead.pop()
            if current in seen:
                continue
            seen.add(current)
            for other in shared_with(configs[current]):
                if other not in configs or other == start:
                    raise invalid("InvalidReference", "launchConfig")
                ahead.append(other)


def shared_with(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The configs whose network or volumes this one uses."""
    network = config.get("networkLaunchConfig")
    return (*((str(network),) if network else ()), *(config.get("dataVolumesFromLaunchConfigs") or ()))


def check_port(text: str) -> None:
    found = _PORT.fullmatch(text)
    if found is None:
        raise invalid("PortWrongFormat", "ports")
    public, private, protocol = found.groups()
    if public and not 1 <= int(public) <= 65535:
        raise invalid("PortInvalidPublicPort", "ports")
    if not 1 <= int(private) <= 65535:
        raise invalid("PortInvalidPrivatePort", "ports")
    if protocol and protocol not in ("tcp", "udp"):
        raise invalid("PortInvalidProtocol", "ports")


def _check_others(kind: Kind, fields: Mapping[str, Any]) -> None:
    if fields.get("metadata") and len(json.dumps(fields["metadata"])) > METADATA_LIMIT:
        raise invalid("MaxLengthExceeded", "metadata")
    for name in ("selectorLink", "selectorContainer"):
        text = fields.get(name)
        if text and not all(_SELECTOR.fullmatch(part.strip()) for part in _selectors(text)):
            raise invalid("InvalidFormat", name)
    outside = kind.name == "externalService" and fields.get("stackId")
    if outside and bool(fields.get("hostname")) == bool(fields.get("externalIpAddresses")):
        raise invalid("InvalidOption", "hostname")


def _selectors(text: str) -> list[str]:
    return re.split(r",(?![^(]*\))", text)


def new_version() -> str:
    return str(uuid.uuid4())
