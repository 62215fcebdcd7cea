"""Who asks: keys, roles, and the project that a request acts in."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.lab.rancher.faults import Fault
from pipeline.lab.rancher.ids import parsed_id
from pipeline.lab.rancher.rows import Row, Store
from pipeline.lab.rancher.scope import Scope

REALM = 'Basic realm="Enter API access key and secret key as username and password"'

Headers = Mapping[str, str]
"""Names in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An account and its role outside of projects: admin, user, or project for an environment key."""

    account: Row
    role: str


class Auth:
    """`security` off: whoever has no valid key is admin, as in a Rancher out of the box."""

    def __init__(self, store: Store, admin: Row, *, security: bool) -> None:
        self._store = store
        self._admin = admin
        self.security = security

    def caller(self, headers: Headers) -> Caller:
        """Raises Fault 401."""
        account = self._by_key(headers.get("authorization", ""))
        if account is not None:
            return Caller(account=account, role=_role(account))
        if self.security or headers.get("x-enforce-authentication", "").lower() == "true":
            raise Fault(401)
        return Caller(account=self._admin, role="admin")

    def scope(self, caller: Caller, version: str, base: str, project: str | None, *, in_path: bool) -> Scope:
        """The scope of a request that names a project, or none. Raises Fault 403."""
        plain = Scope(version=version, base=base, account=caller.account, role=caller.role)
        if project is None:
            if caller.role == "project":
                return plain.into(caller.account, "project", in_path=False)
            return plain
        found = self._store.get("account", parsed_id(project))
        if found is None or found.kind != "project" or found.gone or found.state in ("inactive", "deactivating"):
            raise Fault(403)
        role = self._role_in(caller, found)
        if role is None:
            raise Fault(403)
        return plain.into(found, role, in_path=in_path)

    def projects(self, caller: Caller) -> Iterator[Row]:
        """The projects that the caller may see."""
        for row in self._store.rows("account"):
            if row.kind == "project" and self._role_in(caller, row) is not None:
                yield row

    def owns(self, scope: Scope, project: Row) -> bool:
        """Whether a project may be changed: by its owners and by admins."""
        if scope.role == "project":
            return False
        if scope.role in ("admin", "owner"):
            return True
        return (project.data.get("_members") or {}).get(scope.account.number) == "owner"

    def visible(self, caller: Caller, scope: Scope) -> frozenset[int]:
        """The accounts whose resources a request may see."""
        if scope.project is not None:
            return frozenset({scope.project.number})
        return frozenset({caller.account.number, *(row.number for row in self.projects(caller))})

    def _role_in(self, caller: Caller, project: Row) -> str | None:
        if caller.role == "project":
            return "project" if project is caller.account else None
        if caller.role == "admin":
            return "owner"
        return (project.data.get("_members") or {}).get(caller.account.number)

    def _by_key(self, header: str) -> Row | None:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        for row in self._store.rows("credential"):
            known = row.kind == "apiKey" and row.state == "active" and row.data["publicValue"] == name
            if known and hmac.compare_digest(str(row.data["secretValue"]).encode(), password.encode()):
                account = self._store.get("account", row.data["accountId"])
                return account if account is not None and not account.gone else None
        return None


def _role(account: Row) -> str:
    return "project" if account.kind == "project" else str(account.data.get("_role", "user"))
