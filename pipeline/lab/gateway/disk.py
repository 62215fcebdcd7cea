"""Keeps the entities in an SQLite file: every change is on the disk before its future is done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Refused
from pipeline.lab.gateway.schema import Entity

_FORMAT = 1
_BEFORE_OTHERS = "2.8.5"
"""The version that files speak of which none is noted: there was no other then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entity to keep, or (without an entity) to forget. `moment` orders what was made in the same second."""

    kind: str
    key: str
    entity: Entity | None = None
    moment: float = 0.0


@dataclass(frozen=True, slots=True)
class _Batch:
    changes: tuple[Change, ...]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Disk:
    """One state file, held by one gateway at a time.

    Changes are written by a thread of their own; those that wait for the disk together share one commit, so that many
    writers are not slower than one.
    """

    def __init__(self, path: Path, version: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1.0)
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        try:
            self._base.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            self._prepare(path, version)
        except sqlite3.Error as error:
            self._base.close()
            raise Refused(
                f"the lab gateway's state {path} cannot be used: {error}",
                hint="another lab gateway may be running on it; stop that one or choose another --state",
            ) from error
        self._thread = threading.Thread(target=self._work, name="lab-gateway-disk", daemon=True)
        self._thread.start()

    def _prepare(self, path: Path, version: str) -> None:
        found = self._base.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, _FORMAT):
            self._base.close()
            raise Refused(
                f"the lab gateway's state {path} has format {found}; this toolkit reads format {_FORMAT}",
                hint="use the toolkit that wrote it, or remove the file to begin anew",
            )
        self._base.execute("BEGIN IMMEDIATE")
        self._base.execute(
            "CREATE TABLE IF NOT EXISTS entities"
            " (kind TEXT, key TEXT, moment REAL, entity BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )
        self._base.execute("CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT)")
        noted = version if found == 0 else _BEFORE_OTHERS
        self._base.execute("INSERT OR IGNORE INTO about VALUES ('kong', ?)", (noted,))
        self._base.execute(f"PRAGMA user_version={_FORMAT}")
        self._base.execute("COMMIT")
        written = self._base.execute("SELECT value FROM about WHERE name = 'kong'").fetchone()[0]
        if written != version:
            self._base.close()
            raise Refused(
                f"the lab gateway's state {path} is that of Kong {written}, and not of {version}",
                hint=f"choose --kong-version {written.rpartition('.')[0]}, another --state, or remove the file",
            )

    def load(self) -> Iterator[Change]:
        """Everything that is kept, in the order of its making."""
        rows = self._base.execute("SELECT kind, key, moment, entity FROM entities ORDER BY moment, key")
        for kind, key, moment, entity in rows:
            text = bytes(entity).decode("utf-8", "surrogateescape")
            yield Change(kind=kind, key=key, moment=moment, entity=json.loads(text))

    def keep(self, changes: tuple[Change, ...]) -> asyncio.Future[None]:
        """Write all of the changes or none; the future is done when they are on the disk, or has the sqlite3.Error."""
        loop = asyncio.get_running_loop()
        batch = _Batch(changes, loop, loop.create_future())
        self._queue.put(batch)
        return batch.done

    def close(self) -> None:
        """Write what waits, then let go of the file."""
        self._queue.put(None)
        self._thread.join()
        self._base.close()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batches = [first]
            stop = False
            with contextlib.suppress(queue.Empty):
                while len(batches) < 256:
                    another = self._queue.get_nowait()
                    if another is None:
                        stop = True
                        break
                    batches.append(another)
            error = self._commit(batches)
            for batch in batches:
                # A loop that was closed meanwhile has nobody waiting any more.
                with contextlib.suppress(RuntimeError):
                    batch.loop.call_soon_threadsafe(_settle, batch.done, error)
            if stop:
                return

    def _commit(self, batches: list[_Batch]) -> sqlite3.Error | None:
        try:
            self._base.execute("BEGIN IMMEDIATE")
            for batch in batches:
                for change in batch.changes:
                    self._write(change)
            self._base.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            return error
        return None

    def _write(self, change: Change) -> None:
        if change.entity is None:
            self._base.execute("DELETE FROM entities WHERE kind = ? AND key = ?", (change.kind, change.key))
            return
        text = json.dumps(change.entity, ensure_ascii=False).encode("utf-8", "surrogateescape")
        self._base.execute(
            "INSERT OR REPLACE INTO entities (kind, key, moment, entity) VALUES (?, ?, ?, ?)",
            (change.kind, change.key, change.moment, text),
        )


def _settle(done: asyncio.Future[None], error: sqlite3.Error | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
