"""What the lab remembers: rows of tables, found by number, by parent and by project."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Fields = dict[str, Any]

PARENTS = {
    "service": "stackId",
    "instance": "serviceId",
    "credential": "registryId",
    "serviceConsumeMap": "serviceId",
    "serviceExposeMap": "serviceId",
}
"""The column by which a table's rows are found quickly."""

KEPT_SECONDS = 2 * 24 * 3600.0
"""How long a removed row can still be fetched by its id."""


class Row:
    """One resource. `data` has the API's names, references as numbers; a name with `_` in front is never shown."""

    __slots__ = ("data", "kind", "number", "project", "rendered", "table", "version")

    def __init__(self, table: str, kind: str, number: int, project: int | None, data: Fields) -> None:
        self.table = table
        self.kind = kind
        self.number = number
        self.project = project
        self.data = data
        self.version = 0
        self.rendered: tuple[Any, bytes] | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.number} {self.data.get('name')} {self.state}>"

    @property
    def state(self) -> str:
        return str(self.data["state"])

    @property
    def name(self) -> str:
        return str(self.data.get("name") or "")

    @property
    def gone(self) -> bool:
        return self.data.get("removed") is not None


class Store:
    """All rows. `listeners` are told of every change, in the order of the changes."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.listeners: list[Callable[[Row], None]] = []
        self._tables: dict[str, dict[int, Row]] = {}
        self._shown: dict[str, dict[int, Row]] = {}
        self._children: dict[tuple[str, int], dict[int, Row]] = {}
        self._last: dict[str, int] = {}

    def add(self, table: str, kind: str, data: Fields, *, project: int | None, number: int | None = None) -> Row:
        """A new row with the fields that every resource has."""
        if number is None:
            number = self._last.get(table, 0) + 1
        self._last[table] = max(number, self._last.get(table, 0))
        common: Fields = {
            "name": None,
            "description": None,
            "uuid": str(uuid.uuid4()),
            "created": self.now(),
            "removed": None,
            "removeTime": None,
            "accountId": project,
        }
        row = Row(table, kind, number, project, common | data)
        self._tables.setdefault(table, {})[number] = row
        self._shown.setdefault(table, {})[number] = row
        parent = row.data.get(PARENTS.get(table, ""))
        if parent is not None:
            self._children.setdefault((table, parent), {})[number] = row
        self.changed(row)
        self._changed_above(row)
        return row

    def all(self) -> Iterator[Row]:
        """Every row, the removed ones too."""
        for table in self._tables.values():
            yield from table.values()

    def clear(self) -> None:
        for index in (self._tables, self._shown, self._children, self._last):
            index.clear()

    def restore(self, row: Row) -> None:
        """Puts back a row that was saved, as it was."""
        self._tables.setdefault(row.table, {})[row.number] = row
        self._last[row.table] = max(row.number, self._last.get(row.table, 0))
        if not row.gone:
            self._shown.setdefault(row.table, {})[row.number] = row
            parent = row.data.get(PARENTS.get(row.table, ""))
            if parent is not None:
                self._children.setdefault((row.table, parent), {})[row.number] = row

    def get(self, table: str, number: int | str | None) -> Row | None:
        """A row by number, the removed ones too for two days."""
        row = self._tables.get(table, {}).get(number) if isinstance(number, int) else None
        if row is None or (row.gone and self.now() - row.data["removed"] > KEPT_SECONDS):
            return None
        return row

    def rows(self, table: str, *, removed: bool = False) -> Iterable[Row]:
        """The table's rows in the order of their numbers, without the removed ones unless they are asked for."""
        return (self._tables if removed else self._shown).get(table, {}).values()

    def children(self, table: str, parent: int) -> Iterator[Row]:
        """A parent's rows that are not removed; safe against changes while it runs."""
        yield from tuple(self._children.get((table, parent), {}).values())

    def put(self, row: Row, **changes: Any) -> None:
        """Writes fields, and tells those who listen."""
        row.data.update(changes)
        self.changed(row)

    def changed(self, row: Row) -> None:
        row.version += 1
        row.rendered = None
        for listener in self.listeners:
            listener(row)

    def retire(self, row: Row, state: str = "removed") -> None:
        """Sets the dates of removal: from now on no list has it."""
        self._shown.get(row.table, {}).pop(row.number, None)
        parent = row.data.get(PARENTS.get(row.table, ""))
        if parent is not None:
            self._children.get((row.table, parent), {}).pop(row.number, None)
        self.put(row, state=state, removed=self.now(), removeTime=self.now())
        self._changed_above(row)

    def _changed_above(self, row: Row) -> None:
        """A stack shows the ids of its services, a service those of its containers."""
        above = {"service": "stack", "instance": "service"}.get(row.table)
        if above and (parent := self.get(above, row.data.get(PARENTS[row.table]))):
            self.changed(parent)
