"""Events on their way, on disk: an sqlite file. Each call may wait for the disk, so a thread makes them."""

from __future__ import annotations

import json
import os
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
        # What sqlite makes beside the file gets the file's mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._set_up()
        except BaseException:
            self._connection.close()
            raise

    def load(self) -> list[Event]:
        """Return the events in their order."""
        rows = self._connection.execute("SELECT number, topic, wall_ns, payload FROM event ORDER BY number").fetchall()
        return [Event(number, topic, json.loads(text), wall_ns, late=True) for number, topic, wall_ns, text in rows]

    def highest(self) -> int:
        """Return the highest number that was ever given away, as far as is known here."""
        row = self._connection.execute("SELECT max(number) FROM highest").fetchone()
        return int(row[0] or 0)

    def change(self, put: Iterable[Event], remove: Iterable[int], highest: int = 0) -> None:
        """Put these events and remove those, and note the highest number, all or nothing."""
        rows = [(event.number, event.topic, event.wall_ns, json.dumps(event.payload)) for event in put]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany("INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?)", rows)
            self._connection.executemany("DELETE FROM event WHERE number = ?", [(number,) for number in remove])
            self._connection.execute("UPDATE highest SET number = max(number, ?)", (highest,))
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise

    def close(self) -> None:
        self._connection.close()

    def _set_up(self) -> None:
        execute = self._connection.execute
        version = execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:  # before anything is changed there
            raise NewerStoreError(
                "a newer Porchlight has kept the file: install that one again and give the file its name back, or go "
                f"on without it; its version is {version}, this Porchlight reads {VERSION}"
            )
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA journal_size_limit = 1000000")
        execute(
            "CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY, topic TEXT NOT NULL, "
            "wall_ns INTEGER NOT NULL, payload TEXT NOT NULL)"
        )
        execute("CREATE TABLE IF NOT EXISTS highest (number INTEGER NOT NULL)")
        execute("INSERT INTO highest SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM highest)")
        execute(f"PRAGMA user_version = {VERSION}")
