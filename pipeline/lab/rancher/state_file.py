"""The lab's rows on disk, so that a lab Rancher that is started again finds its stacks and looks after them."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from pipeline.errors import BadInput
from pipeline.lab.rancher.rows import Row, Store

_PAUSE = 0.3
_FORMAT = 1


class StateFile:
    """Written a moment after a change, whole and by renaming: what is there is never half a state. Holds secrets."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._path = path
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None

    def load(self) -> bool:
        """Whether there was a state. Raises BadInput for a file that is none."""
        try:
            document = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return False
        except ValueError as error:
            raise BadInput(
                f"{self._path} is not the state of a lab Rancher", hint="Remove it, or name another with --state."
            ) from error
        if not isinstance(document, dict) or document.get("format") != _FORMAT:
            raise BadInput(
                f"{self._path} is not the state of this version's lab Rancher",
                hint="Remove it, or name another with --state.",
            )
        self._store.clear()
        for table, kind, number, project, data in document["rows"]:
            if "_members" in data:
                data["_members"] = {int(key): role for key, role in data["_members"].items()}
            self._store.restore(Row(table, kind, number, project, data))
        return True

    def follow(self) -> None:
        """Writes whenever something changes, from now on."""
        self._store.listeners.append(self._changed)

    async def close(self) -> None:
        """Writes what is not written yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            await self._writing
        self._write(self._encoded())

    def _changed(self, row: Row) -> None:
        del row
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._save)

    def _save(self) -> None:
        if self._writing is not None and not self._writing.done():
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._save)
            return
        self._timer = None
        content = self._encoded()
        # A disk may take seconds, and the name server lives in this loop.
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, content))

    def _encoded(self) -> bytes:
        rows = [[row.table, row.kind, row.number, row.project, row.data] for row in self._store.all()]
        return json.dumps({"format": _FORMAT, "rows": rows}).encode()

    def _write(self, content: bytes) -> None:
        fresh = self._path.with_suffix(".new")
        with open(fresh, "wb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
