"""A stack of external services that lead nowhere: what a Rancher server keeps under unique names, containers aside."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from pipeline.edge.rancher_answers import RancherAnswered, Unanswered
from pipeline.edge.rancher_client import RancherClient
from pipeline.errors import Failed, Refused
from pipeline.model.clock import Clock, Deadline
from pipeline.model.rancher import GOING, GONE, StackRow

_KIND = "externalService"
# A name that no resolver answers for (RFC 2606): the server wants an address or a name.
_NOWHERE = "ledger.invalid"
_SECONDS = 60.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_LONGEST_NAME = 63


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that is kept. `metadata` never changes, `description` may."""

    id: str
    name: str
    state: str | None = None
    stack_id: str | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    created_ts: float | None = msgspec.field(default=None, name="createdTS")

    @property
    def created(self) -> float:
        """Seconds since 1970 by the server's clock."""
        return (self.created_ts or 0.0) / 1000

    @property
    def age(self) -> int:
        """Smaller for what was made earlier: numbers of ids only grow."""
        return int(re.sub(r"\D", "", self.id[1:]) or 0)

    @property
    def going(self) -> bool:
        return self.state in GOING


class RancherKeeper:
    """The stack `pipeline-ledger-<environment>`. Names in it are unique, whatever their case: the server refuses."""

    def __init__(self, client: RancherClient, environment: str, clock: Clock) -> None:
        self.client = client
        self._environment = environment
        self._clock = clock
        self._stack = ""

    def entries(self, **filters: str) -> list[Entry]:
        """What is kept and not on its way out, oldest first; in one listing, the stack need not be known."""
        rows = self.client.every("services", Entry, externalId=self._owner, kind=_KIND, **filters)
        return sorted((row for row in rows if not row.going), key=lambda row: row.age)

    def find(self, id_: str) -> Entry | None:
        row = self.client.find("services", id_, Entry)
        return None if row is None or row.going else row

    def create(self, name: str, metadata: dict[str, Any]) -> Entry | None:
        """The new entry, or None when the name is taken. Waits for one of that name that is being removed."""
        deadline = Deadline(self._clock, _SECONDS)
        while True:
            stack = self._stack or self._ensure_stack(deadline)
            body = {
                "name": name,
                "stackId": stack,
                "externalId": self._owner,
                "hostname": _NOWHERE,
                "metadata": metadata,
            }
            try:
                made = self.client.create("externalservices", body, Entry)
            except Unanswered:
                mine = [one for one in self.entries(name=name) if one.metadata == metadata]
                if not mine:
                    continue
                made = mine[0]
            except RancherAnswered as error:
                if error.code == "NotUnique":
                    if not self._wait_for_going(stack, name, deadline):
                        return None
                    continue
                if error.code not in ("InvalidReference", "InvalidState") or deadline.passed:
                    raise
                # The stack was removed by hand: with it went what it kept.
                self._stack = ""
                continue
            return made if self._is_first(made) else None

    def update(self, id_: str, description: str) -> Entry | None:
        """The entry with another description, or None when it is gone or going."""
        try:
            row = self.client.update("externalservices", id_, {"description": description}, Entry)
        except RancherAnswered as error:
            if error.status in (404, 405):
                return None
            raise
        return None if row.going else row

    def remove(self, id_: str) -> None:
        """Begins its removal; one that is gone is no error."""
        self.client.delete("services", id_)

    def readable(self, name: str) -> str:
        """A name of Rancher's for one of ours: what it cannot hold is told by a hash."""
        plain = re.sub(r"-+", "-", re.sub(r"[^a-z0-9]", "-", name.lower())).strip("-")
        told = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{plain[: _LONGEST_NAME - len(told) - 1].rstrip('-')}-{told}"

    def _is_first(self, made: Entry) -> bool:
        """Of two that a server let in at the same moment the older one counts; the other goes again."""
        same = [one for one in self.entries(name=made.name) if one.name.lower() == made.name.lower()]
        if all(made.age <= one.age for one in same):
            return True
        self.remove(made.id)
        return False

    def _wait_for_going(self, stack: str, name: str, deadline: Deadline) -> bool:
        """Whether the name's holder was on its way out, and is gone now."""
        pause, waited = _FIRST_PAUSE, False
        while not deadline.passed:
            rows = self.client.every("services", Entry, stackId=stack, name=name)
            holders = [row for row in rows if row.stack_id == stack and row.state not in GONE]
            if not holders:
                return True
            if any(not row.going for row in holders):
                return False
            waited = True
            deadline.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise Failed(
            f"{name} is being removed since {_SECONDS:g} s" if waited else f"{name} can not be looked at",
            hint=f"Look at the stack {self._stack_name} in Rancher ({self.client.url}).",
        )

    @property
    def _stack_name(self) -> str:
        plain = re.fullmatch(r"[a-z0-9-]{1,40}", self._environment)
        return f"pipeline-ledger-{self._environment if plain else self.readable(self._environment)[-40:].lstrip('-')}"

    def _find_stack(self) -> str:
        rows = self.client.every("stacks", StackRow, name=self._stack_name)
        found = [row for row in rows if row.name == self._stack_name and row.state not in GONE]
        for row in found:
            if row.external_id != self._owner:
                raise Refused(
                    f"there is a stack {row.name} that is no ledger of {self._environment}",
                    hint="Look at it in Rancher; rename or remove it, then run this again.",
                )
        live = [row for row in found if not row.going]
        self._stack = min((row.id for row in live), key=lambda id_: int(re.sub(r"\D", "", id_)), default="")
        return self._stack

    def _ensure_stack(self, deadline: Deadline) -> str:
        body = {
            "name": self._stack_name,
            "externalId": self._owner,
            "description": "What `invoke` keeps: who changes what, and what was done. Nothing here runs.",
        }
        while not self._find_stack():
            try:
                self.client.create("stacks", body, StackRow)
            except Unanswered:
                continue
            except RancherAnswered as error:
                if error.code != "NotUnique" or deadline.passed:
                    raise
                deadline.pause(_FIRST_PAUSE)
        return self._stack

    @property
    def _owner(self) -> str:
        return f"pipeline-ledger://{self._environment}"
