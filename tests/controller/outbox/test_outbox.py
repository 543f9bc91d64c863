"""The outbox over deaths and power cuts: nothing lost, nothing brought back, numbers that only grow."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.controller.outbox import Outbox
from appliance.controller.outbox import outbox as outbox_module
from appliance.controller.outbox.event import Event
from appliance.controller.outbox.store import Store
from tests.controller.outbox.lives import PATIENCE_S, TOPIC, Disk, House, disk_of, problem, put, tried, until, whats

FULL = OSError(errno.ENOSPC, "No space left on device")
HOUR_NS = 3600 * 1_000_000_000


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    yield from disk_of(monkeypatch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The wall clock in nanoseconds: it stands until the test sets it."""
    now = [time.time_ns()]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    return now


@pytest.mark.parametrize("power_cut", [False, True])
def test_what_was_not_delivered_is_there_again_late_in_order_and_with_its_time(
    house: House, clock: list[int], power_cut: bool
) -> None:
    before: list[Event] = []

    async def first(outbox: Outbox) -> None:
        for what in "abc":
            put(outbox, what)
            clock[0] += HOUR_NS
        before.extend(outbox.events.values())
        assert not any(event.late for event in before)
        await tried(outbox)

    async def second(outbox: Outbox) -> None:
        assert whats(outbox) == ["a", "b", "c"]
        for event, was in zip(outbox.events.values(), before, strict=True):
            assert event.late
            assert event.acknowledged is None
            assert (event.number, event.topic, event.wall_ns) == (was.number, TOPIC, was.wall_ns)

    house.live(first)
    if power_cut:
        house.lose_power()
    house.live(second)


def test_a_death_before_the_disk_was_ready_loses_nothing(house: House, disk: Disk) -> None:
    async def first(outbox: Outbox) -> None:
        put(outbox, "on disk")
        await tried(outbox)
        disk.fault = FULL
        put(outbox, "in memory alone")

    async def second(outbox: Outbox) -> None:
        assert whats(outbox) == ["on disk", "in memory alone"]
        await tried(outbox)

    house.live(first)
    disk.fault = None
    house.live(second)
    assert [row["what"] for row in house.rows()] == ["on disk", "in memory alone"]


def test_what_was_delivered_does_not_come_back_though_its_row_is_still_on_disk(house: House, disk: Disk) -> None:
    async def first(outbox: Outbox) -> None:
        put(outbox, "a", "b")
        await tried(outbox)
        disk.fault = FULL
        outbox.remove(next(iter(outbox.events)))
        await tried(outbox)

    async def second(outbox: Outbox) -> None:
        assert whats(outbox) == ["b"]
        await tried(outbox)

    house.live(first)
    assert len(house.rows()) == 2
    disk.fault = None
    house.live(second)
    assert [row["what"] for row in house.rows()] == ["b"]


def test_nor_after_a_second_death_before_the_disk_was_ready(house: House, disk: Disk) -> None:
    async def first(outbox: Outbox) -> None:
        put(outbox, "a", "b")
        await tried(outbox)
        disk.fault = FULL
        for number in list(outbox.events):
            outbox.remove(number)

    async def dies_again(outbox: Outbox) -> None:
        await tried(outbox)

    async def third(outbox: Outbox) -> None:
        assert whats(outbox) == []

    house.live(first)
    house.live(dies_again)
    house.live(third)


def test_acknowledgements_of_events_that_never_reached_the_disk_leave_nothing_there(house: House, disk: Disk) -> None:
    async def first(outbox: Outbox) -> None:
        disk.answers.clear()
        put(outbox, "a")
        await until(lambda: disk.given)
        put(outbox, "b", "c")
        for number in list(outbox.events):
            outbox.remove(number)
        outbox.remove(12345)
        assert not outbox.events
        disk.answers.set()
        await tried(outbox)
        assert disk.given == ["a"]

    async def second(outbox: Outbox) -> None:
        assert not outbox.events

    house.live(first)
    assert house.rows() == []
    house.live(second)


@pytest.mark.parametrize("power_cut", [False, True])
def test_numbers_grow_over_a_restart_though_the_clock_was_set_back(
    house: House, clock: list[int], power_cut: bool
) -> None:
    numbers: list[int] = []

    async def once(outbox: Outbox) -> None:
        put(outbox, "a", "b", "c")
        numbers.extend(list(outbox.events)[-3:])
        await tried(outbox)
        for number in list(outbox.events):
            outbox.remove(number)
        await tried(outbox)

    for _ in range(3):
        house.live(once)
        clock[0] -= HOUR_NS
        if power_cut:
            house.lose_power()
    assert len(numbers) == 9
    assert numbers == sorted(set(numbers))


def test_numbers_grow_over_a_power_cut_though_the_last_ones_never_reached_the_disk(
    house: House, clock: list[int], disk: Disk
) -> None:
    numbers: list[int] = []

    async def once(outbox: Outbox) -> None:
        disk.answers.clear()
        put(outbox, "a")
        asked = disk.asked
        await until(lambda: disk.asked > asked)
        clock[0] += HOUR_NS
        put(outbox, "b")
        numbers.extend(outbox.events)
        outbox.remove(numbers[-1])
        disk.answers.set()
        await tried(outbox)
        outbox.remove(numbers[-2])
        await tried(outbox)

    house.live(once)
    house.lose_power()
    clock[0] -= 2 * HOUR_NS
    house.live(once)
    assert numbers == sorted(set(numbers))


def test_beyond_the_bound_the_oldest_give_way_and_are_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MOST", 5)

    async def first(outbox: Outbox) -> None:
        put(outbox, *range(12))
        assert whats(outbox) == [7, 8, 9, 10, 11]
        assert outbox.lost == 7
        await tried(outbox)

    async def second(outbox: Outbox) -> None:
        put(outbox, 12)
        assert whats(outbox) == [8, 9, 10, 11, 12]
        assert outbox.lost == 1
        await tried(outbox)

    house.live(first)
    house.live(second)
    assert [row["what"] for row in house.rows()] == [8, 9, 10, 11, 12]


def test_the_newest_of_a_topic_is_known_after_a_death_though_it_was_delivered(house: House) -> None:
    async def first(outbox: Outbox) -> None:
        assert outbox.newest(TOPIC) is None
        put(outbox, "a", "b")
        outbox.put("porch/other", {}, None, late=False)
        for number in list(outbox.events):
            outbox.remove(number)

    async def second(outbox: Outbox) -> None:
        newest = outbox.newest(TOPIC)
        assert newest is not None
        assert newest.payload == {"what": "b"}

    async def after_a_power_cut(outbox: Outbox) -> None:
        assert outbox.newest(TOPIC) is None

    house.live(first)
    house.live(second)
    house.live(second)
    house.lose_power()
    house.live(after_a_power_cut)


def test_a_disk_that_hangs_holds_nothing_up_and_is_a_problem_after_a_while(
    house: House, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(outbox: Outbox) -> None:
        disk.answers.clear()
        put(outbox, "a")
        await until(lambda: disk.given)
        put(outbox, "b", "c")
        assert whats(outbox) == ["a", "b", "c"]
        assert problem(outbox) == ""
        with monkeypatch.context() as patched:
            patched.setattr(outbox_module, "SLOW_S", -1.0)  # the while is over
            assert problem(outbox) == "events that were not delivered cannot be kept: the disk does not answer"
        disk.answers.set()
        await tried(outbox)
        assert problem(outbox) == ""

    house.live(script)
    assert [row["what"] for row in house.rows()] == ["a", "b", "c"]


def test_at_the_end_a_disk_that_hangs_holds_nothing_up_and_the_journal_has_it_all(house: House, disk: Disk) -> None:
    async def first(outbox: Outbox) -> None:
        disk.answers.clear()
        put(outbox, "a", "b")
        await until(lambda: disk.given)
        put(outbox, "c")
        await outbox.close(0)
        assert not disk.answers.is_set()

    async def second(outbox: Outbox) -> None:
        assert whats(outbox) == ["a", "b", "c"]

    house.live(first)
    disk.answers.set()
    house.live(second)


def test_at_the_end_the_disk_is_given_time(house: House) -> None:
    async def script(outbox: Outbox) -> None:
        put(outbox, "a", "b")
        await outbox.close(PATIENCE_S)

    house.live(script)
    assert [row["what"] for row in house.rows()] == ["a", "b"]


def test_what_is_no_json_is_refused_and_leaves_nothing_that_would_hold_the_others_up(house: House) -> None:
    async def script(outbox: Outbox) -> None:
        with pytest.raises(TypeError):
            put(outbox, object())
        assert not outbox.events

    house.live(script)


def _hang(monkeypatch: pytest.MonkeyPatch, disk: Disk, name: str) -> None:
    """Have one of the store's questions wait for the disk, when an outbox opens that will not."""
    ask: Callable[[Store], object] = getattr(Store, name)

    def wait(store: Store) -> object:
        assert disk.answers.wait(PATIENCE_S)
        return ask(store)

    monkeypatch.setattr(Store, name, wait)
    monkeypatch.setattr(outbox_module, "OPEN_S", 0.05)
    disk.answers.clear()


def test_a_disk_that_answers_late_at_the_start_gives_its_events_later(
    house: House, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first(outbox: Outbox) -> None:
        put(outbox, "a")
        await tried(outbox)

    async def second(outbox: Outbox) -> None:
        put(outbox, "b")
        disk.answers.set()
        await tried(outbox)
        assert outbox._on_disk  # it works again
        await until(lambda: whats(outbox) == ["a", "b"])

    house.live(first)
    house.lose_power()
    _hang(monkeypatch, disk, "load")
    house.live(second)


def test_a_disk_that_answers_late_at_the_start_sets_no_number_back(
    house: House, disk: Disk, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(outbox: Outbox) -> None:
        put(outbox, "a")
        disk.answers.set()
        await tried(outbox)
        clock[0] -= HOUR_NS
        put(outbox, "b")
        assert whats(outbox) == ["a", "b"]
        assert list(outbox.events) == sorted(outbox.events)

    _hang(monkeypatch, disk, "highest")
    house.live(script)


def test_what_the_disk_gives_late_keeps_to_the_bound_too(
    house: House, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST", 5)

    async def first(outbox: Outbox) -> None:
        put(outbox, *range(5))
        await tried(outbox)

    async def second(outbox: Outbox) -> None:
        put(outbox, *range(5, 10))
        disk.answers.set()
        await tried(outbox)
        assert whats(outbox) == [5, 6, 7, 8, 9]
        assert outbox.lost == 5

    house.live(first)
    house.lose_power()
    _hang(monkeypatch, disk, "load")
    house.live(second)
