"""The store on disk: all or nothing, in order, and every number it ever had is remembered."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.controller.outbox import store as store_module
from appliance.controller.outbox.event import Event
from appliance.controller.outbox.store import NewerStoreError, Store


def event(number: int, **payload: object) -> Event:
    return Event(number, "porch/event", payload, number * 1000, late=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.sqlite3"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[[], Store]]:
    made: list[Store] = []

    def store() -> Store:
        made.append(Store(path))
        return made[-1]

    yield store
    for one in made:
        one.close()


def test_what_was_put_is_there_again_in_the_order_of_its_numbers(opened: Callable[[], Store]) -> None:
    opened().change([event(3, what="last"), event(1, what="H\u00fctte"), event(2, of={"boxes": [1, 2.5, None]})], [])
    assert opened().load() == [
        event(1, what="H\u00fctte"),
        event(2, of={"boxes": [1, 2.5, None]}),
        event(3, what="last"),
    ]


def test_what_was_removed_is_gone_and_what_never_was_there_is_no_error(opened: Callable[[], Store]) -> None:
    opened().change([event(1), event(2)], [])
    opened().change([event(3)], [1, 99])
    assert opened().load() == [event(2), event(3)]


def test_an_event_that_is_put_twice_is_there_once(opened: Callable[[], Store]) -> None:
    store = opened()
    store.change([event(1)], [])
    store.change([event(1), event(2)], [])
    assert store.load() == [event(1), event(2)]


def test_the_highest_number_is_remembered_whether_its_event_was_ever_here_or_not(opened: Callable[[], Store]) -> None:
    assert opened().highest() == 0
    opened().change([event(5)], [], 7)
    opened().change([event(2)], [5], 6)
    opened().change([], [2])
    assert opened().highest() == 7
    assert opened().load() == []


def test_a_change_that_fails_changes_nothing_and_the_next_one_works(opened: Callable[[], Store]) -> None:
    store = opened()
    store.change([event(1)], [])
    too_large = event(2**63)
    with pytest.raises(OverflowError):
        store.change([event(2), too_large], [1])
    assert store.load() == [event(1)]
    store.change([event(3)], [1])
    assert store.load() == [event(3)]


def test_a_file_that_somebody_else_is_writing_is_busy_for_a_while_and_free_again(
    path: Path, opened: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "BUSY_S", 0.01)
    store = opened()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        store.change([event(1)], [])
    other.execute("ROLLBACK")
    other.close()
    store.change([event(1)], [])
    assert store.load() == [event(1)]


def test_it_is_in_wal_mode_and_waits_for_the_disk(path: Path, opened: Callable[[], Store]) -> None:
    store = opened()
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_a_newer_versions_file_is_refused_and_stays_as_it_is(path: Path) -> None:
    Store(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 2")
    other.close()
    before = path.read_bytes()
    with pytest.raises(NewerStoreError, match="its version is 2, this Porchlight reads 1"):
        Store(path)
    assert path.read_bytes() == before


def test_a_folder_of_its_own_is_its_owners_alone(path: Path, opened: Callable[[], Store]) -> None:
    opened().change([event(1)], [])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_lies_beside_the_file_is_its_owners_alone_in_any_folder(path: Path, opened: Callable[[], Store]) -> None:
    path.parent.mkdir(mode=0o755)  # as a container's volume is
    before = os.umask(0o022)
    try:
        opened().change([event(1)], [])
    finally:
        os.umask(before)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert modes == dict.fromkeys(["outbox.sqlite3", "outbox.sqlite3-wal", "outbox.sqlite3-shm"], 0o600)
