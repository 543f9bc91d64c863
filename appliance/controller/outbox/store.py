"""Events on their way, on disk: an sqlite file. Each call may wait for the disk, so a thread makes them."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

from appliance.controller.outbox.event import Event

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VERSION = 1
BUSY_S = 2.0


class NewerStoreError(Exception):
    """The file is a newer version's."""


class Store:
    """One connection, used by one thread at a time. sqlite3.Error where it cannot be had."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._set_up()
            path.chmod(0o600)
        except BaseException:
            self._connection.close()
            raise

    def load(self) -> list[Event]:
        """Return the events in their order."""
        rows = self._connection.execute("SELECT number, topic, wall_ns, payload FROM event ORDER BY number").fetchall()
        return [Event(number, topic, json.loads(text), wall_ns, late=True) for number, topic, wall_ns, text in rows]

    def highest(self) -> int:
        """Return the highest number that any event had."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        return int(row[0]) if row else 0

    def change(self, put: Iterable[Event], remove: Iterable[int]) -> None:
        """Put these events and remove those, all or nothing."""
        rows = [(event.number, event.topic, event.wall_ns, json.dumps(event.payload)) for event in put]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany("INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?)", rows)
            self._connection.executemany("DELETE FROM event WHERE number = ?", [(number,) for number in remove])
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise

    def close(self) -> None:
        self._connection.close()

    def _set_up(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA journal_size_limit = 1000000")
        version = execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise NewerStoreError(f"its version is {version}, this Porchlight reads {VERSION}")
        execute(
            "CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, "
            "wall_ns INTEGER NOT NULL, payload TEXT NOT NULL)"
        )
        execute(f"PRAGMA user_version = {VERSION}")
