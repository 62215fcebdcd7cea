"""Everything around stacks and services: keys, registries, secrets, certificates, hosts, projects, pull tasks."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import string
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.lab.rancher.faults import Fault, invalid
from pipeline.lab.rancher.fields import Kind, checked
from pipeline.lab.rancher.ids import parsed_id
from pipeline.lab.rancher.instances import Instances
from pipeline.lab.rancher.kinds_other import KINDS
from pipeline.lab.rancher.rows import Fields, Row, Store
from pipeline.lab.rancher.runtime import Runtime
from pipeline.lab.rancher.scheduler import Processes, Steps, Timings, waiting
from pipeline.lab.rancher.scope import Scope
from pipeline.lab.rancher.states import TABLES

_FIRST = {"secret": "creating", "certificate": "activating", "genericObject": "creating", "volume": "registering"}
_RESTING = {"activate": "active", "deactivate": "inactive", "purge": "purged", "remove": "removed"}
_COMING = {"activate": "activating", "deactivate": "deactivating", "purge": "purging", "remove": "removing"}
_PEM = re.compile(r"\s*-----BEGIN [A-Z ]+-----.+-----END [A-Z ]+-----\s*", re.DOTALL)
_LETTERS = string.ascii_letters + string.digits


class Others:
    def __init__(
        self, store: Store, processes: Processes, instances: Instances, runtime: Runtime, timings: Timings
    ) -> None:
        self._store = store
        self._processes = processes
        self._instances = instances
        self._runtime = runtime
        self._timings = timings
        self.host_changed: Callable[[Row], None] = lambda _: None
        self._prepared: Mapping[str, Callable[[Fields, Scope], int | None]] = {
            "apiKey": self._prepare_key,
            "registry": self._prepare_registry,
            "registryCredential": self._prepare_login,
            "secret": self._prepare_secret,
            "certificate": self._prepare_certificate,
            "project": self._prepare_project,
            "registrationToken": self._prepare_token,
        }

    def create(self, kind: Kind, given: Mapping[str, Any], scope: Scope) -> Row:
        """A new resource in its first state. Raises Fault."""
        owner = scope.project if scope.project is not None else scope.account
        if kind.name == "container":
            return self._container(kind, given, owner)
        fields = self._checked(kind, given, owner)
        prepare = self._prepared.get(kind.name)
        project = prepare(fields, scope) if prepare is not None else owner.number
        first = _FIRST.get(kind.table, "registering")
        row = self._store.add(kind.table, kind.name, fields | {"state": first}, project=project)
        if kind.name == "project":
            row.project = row.number
        steps = self._pulling(row) if kind.name == "pullTask" else self._becoming(row, "active")
        self._processes.start(row, steps)
        return row

    def update(self, row: Row, given: Mapping[str, Any]) -> None:
        fields = checked(KINDS[row.kind], KINDS, given, creating=False)
        if row.kind == "certificate":
            _check_pem(fields)
        if row.kind == "setting" and "value" in fields:
            fields["activeValue"] = fields["value"]
        changed = {name: value for name, value in fields.items() if row.data.get(name) != value}
        if changed:
            self._store.put(row, **changed)

    def act(self, row: Row, action: str, given: Mapping[str, Any]) -> int:
        """Does an action that the state offers, and gives the status of the answer."""
        if action == "setmembers":
            row.data["_members"] = _members(given)
            self._store.changed(row)
            return 200
        if action in ("evacuate", "update"):
            if action == "evacuate":
                for one in self._on(row):
                    self._instances.remove(one)
            return 202
        self._store.put(row, state=_COMING[action])
        self._processes.start(row, self._removing(row) if action == "remove" else self._becoming(row, _RESTING[action]))
        return 202

    def resume(self, row: Row) -> None:
        """After a restart of the lab."""
        if row.state == "removing":
            self._processes.start(row, self._removing(row))
        elif row.kind == "pullTask" and row.state == "creating":
            self._processes.start(row, self._pulling(row))
        elif row.state in ("registering", "creating", "activating"):
            self._processes.start(row, self._becoming(row, "active"))
        elif row.state in ("deactivating", "purging"):
            self._processes.start(row, self._becoming(row, {"deactivating": "inactive"}.get(row.state, "purged")))

    def remove(self, row: Row) -> None:
        """DELETE: 405 where the state does not allow a removal. A project is deactivated on the way."""
        table = TABLES.get(row.table)
        if table is not None and "remove" not in table.get(row.state, ()):
            raise Fault(405)
        if row.state in ("removing", "removed", "purged"):
            raise Fault(405)
        if row.kind == "certificate" and self._balanced_with(row):
            raise Fault(405, "InvalidAction")
        self.act(row, "remove", {})

    def _becoming(self, row: Row, state: str) -> Steps:
        self._store.put(row, state=state)
        if row.table == "host":
            self.host_changed(row)
        yield from ()

    def _removing(self, row: Row) -> Steps:
        if row.kind == "registry":
            for one in self._store.children("credential", row.number):
                self._store.retire(one)
        if row.table == "host":
            for one in self._on(row):
                self._instances.remove(one)
            yield from waiting(lambda: not self._on(row), self._timings.tick)
        self._store.retire(row)

    def _pulling(self, row: Row) -> Steps:
        """Every host says Done, or why not."""
        hosts = [host for host in self._store.rows("host") if host.project == row.project and host.state == "active"]
        told: list[str] = []
        self._runtime.pull(str(row.data["image"]).removeprefix("docker:"), None, told.append)
        yield from waiting(lambda: bool(told), self._timings.tick)
        self._store.put(row, state="active", status={host.name: told[0] or "Done" for host in hosts})

    def _checked(self, kind: Kind, given: Mapping[str, Any], owner: Row) -> Fields:
        fields = checked(kind, KINDS, given, creating=True)
        for name, rule in kind.fields.items():
            if rule.unique and fields.get(name) and self._taken(kind, name, fields[name], owner):
                raise invalid("NotUnique", name)
        return fields

    def _taken(self, kind: Kind, name: str, value: Any, owner: Row) -> bool:
        rows = self._store.rows(kind.table)
        return any(
            row.kind == kind.name and row.project == owner.number and row.data.get(name) == value for row in rows
        )

    def _container(self, kind: Kind, given: Mapping[str, Any], owner: Row) -> Row:
        """A container of no service: it runs, and nobody replaces it."""
        fields = checked(kind, KINDS, given, creating=True)
        hosts = [row for row in self._store.rows("host") if row.project == owner.number and row.state == "active"]
        row = self._store.add(
            "instance",
            "container",
            fields
            | {
                "state": "creating",
                "labels": dict(fields.get("labels") or {}),
                "hostId": hosts[0].number if hosts else None,
                "startCount": 0,
                "serviceId": None,
                "stackId": None,
                "version": "0",
            },
            project=owner.number,
        )
        if hosts:
            self._instances.first(row)
        return row

    def _prepare_key(self, fields: Fields, scope: Scope) -> int:
        number = parsed_id(str(fields.get("accountId") or "")) if fields.get("accountId") else None
        owner = scope.project if scope.project is not None else scope.account
        target = self._store.get("account", number) if number is not None else owner
        if target is None:
            raise invalid("InvalidReference", "accountId")
        fields |= {
            "accountId": target.number,
            "publicValue": secrets.token_hex(10).upper(),
            "secretValue": "".join(secrets.choice(_LETTERS) for _ in range(40)),
        }
        return target.number

    def _prepare_registry(self, fields: Fields, scope: Scope) -> int | None:
        owner = scope.project or scope.account
        if self._taken(KINDS["registry"], "serverAddress", fields["serverAddress"], owner):
            raise Fault(400, "ServerAddressUsed")
        return owner.number

    def _prepare_login(self, fields: Fields, scope: Scope) -> int:
        owner = scope.project or scope.account
        registry = self._store.get("storagePool", parsed_id(str(fields["registryId"])))
        if registry is None or registry.gone or registry.project != owner.number:
            raise invalid("InvalidReference", "registryId")
        fields["registryId"] = registry.number
        return owner.number

    def _prepare_secret(self, fields: Fields, scope: Scope) -> int:
        if not fields.get("value"):
            raise invalid("EmptySecret", "value")
        try:
            base64.b64decode(fields["value"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid("InvalidBase64", "value") from error
        return (scope.project or scope.account).number

    def _prepare_certificate(self, fields: Fields, scope: Scope) -> int:
        _check_pem(fields)
        fields |= {"CN": fields["name"], "version": "3", "algorithm": "SHA256WITHRSA", "subjectAlternativeNames": []}
        return (scope.project or scope.account).number

    def _prepare_project(self, fields: Fields, scope: Scope) -> int | None:
        if scope.role == "project":
            raise Fault(403)
        fields |= {"orchestration": "cattle", "healthState": "healthy", "_members": {scope.account.number: "owner"}}
        fields.pop("members", None)
        return None

    def _prepare_token(self, fields: Fields, scope: Scope) -> int:
        token = secrets.token_hex(20)
        url = f"{scope.base}/v1/scripts/{token}"
        image = "rancher/agent:v1.2.11"
        fields |= {
            "token": token,
            "registrationUrl": url,
            "image": image,
            "command": f"sudo docker run --rm --privileged -v /var/run/docker.sock:/var/run/docker.sock {image} {url}",
        }
        return (scope.project or scope.account).number

    def _on(self, host: Row) -> list[Row]:
        return [row for row in self._store.rows("instance") if row.data.get("hostId") == host.number]

    def _balanced_with(self, row: Row) -> bool:
        for service in self._store.rows("service"):
            config = service.data.get("lbConfig") or {}
            ids = [*(config.get("certificateIds") or ()), config.get("defaultCertificateId") or ""]
            if row.number in {parsed_id(str(one)) for one in ids if one}:
                return True
        return False


def _check_pem(fields: Mapping[str, Any]) -> None:
    for name in ("cert", "key"):
        if fields.get(name) and not _PEM.fullmatch(fields[name]):
            raise invalid("InvalidFormat", name)


def _members(given: Mapping[str, Any]) -> dict[int, str]:
    found = {}
    for one in given.get("members") or ():
        number = parsed_id(str(one.get("externalId", ""))) if isinstance(one, dict) else None
        if isinstance(number, int):
            found[number] = str(one.get("role", "member"))
    return found
