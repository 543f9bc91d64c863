"""A text that is kept while the loop goes on: the newest is on disk soon, and whoever asks is told where it is not."""

from __future__ import annotations

import asyncio
import copy
import errno
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from appliance.controller import keeper as keeper_module
from appliance.controller import kept
from appliance.controller.keeper import Keeper

FULL = OSError(errno.ENOSPC, "No space left on device")
PATIENCE_S = 30.0


class Disk:
    """The real disk, until it is told to fail or to hang."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.asked: list[str] = []
        """Every text that was to be written, also in vain."""
        self.answers = threading.Event()
        self.answers.set()
        self._write = kept.write

    def write(self, path: Path, text: str) -> None:
        self.asked.append(text)
        assert self.answers.wait(PATIENCE_S)
        if self.fault is not None:
            raise copy.copy(self.fault)  # its traceback holds on to whoever met it
        self._write(path, text)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    one = Disk()
    monkeypatch.setattr(kept, "write", one.write)
    yield one
    one.answers.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "words.json"


def in_loop(script: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await script()

    asyncio.run(main())


async def until(look: Callable[[], object]) -> None:
    async def wait() -> None:
        while not look():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), PATIENCE_S)


async def tried(keeper: Keeper) -> None:
    """Wait until the disk has said yes or no."""
    await keeper.settled(PATIENCE_S)


def text_of(path: Path) -> str:
    return path.read_text()


def lay(path: Path, text: str) -> None:
    """Leave this where the keeper will look."""
    path.parent.mkdir()
    path.write_text(text)


def words(text: str) -> str:
    """Understand what begins with a letter."""
    if not text[:1].isalpha():
        raise ValueError("these are no words")
    return text


def test_what_is_kept_is_there_after_a_restart(path: Path) -> None:
    async def script() -> None:
        keeper = Keeper(path, "a text")
        assert keeper.load(words) is None
        assert not keeper.lost
        keeper.keep("one")
        assert await keeper.settled(PATIENCE_S)
        again = Keeper(path, "a text")
        assert again.load(words) == "one"
        assert not again.lost
        assert not again.problem

    in_loop(script)


def test_keeping_returns_at_once_and_only_the_newest_of_those_that_waited_is_written(path: Path, disk: Disk) -> None:
    async def script() -> None:
        keeper = Keeper(path, "a text")
        disk.answers.clear()
        keeper.keep("one")
        await until(lambda: disk.asked == ["one"])
        for text in ("two", "three", "four"):
            keeper.keep(text)
        assert not await keeper.settled(0)
        disk.answers.set()
        assert await keeper.settled(PATIENCE_S)
        assert disk.asked == ["one", "four"]
        assert text_of(path) == "four"

    in_loop(script)


def test_what_is_on_disk_already_is_not_written_again(path: Path, disk: Disk) -> None:
    async def script() -> None:
        first = Keeper(path, "a text")
        for _ in range(3):
            first.keep("one")
            assert await first.settled(PATIENCE_S)
        second = Keeper(path, "a text")
        second.load(words)
        second.keep("one")
        assert await second.settled(0)
        assert disk.asked == ["one"]

    in_loop(script)


def test_a_text_that_came_back_to_what_is_on_disk_before_it_was_tried_costs_nothing(path: Path, disk: Disk) -> None:
    async def script() -> None:
        keeper = Keeper(path, "a text")
        keeper.keep("one")
        await tried(keeper)
        keeper.keep("two")
        keeper.keep("one")
        assert await keeper.settled(PATIENCE_S)
        assert disk.asked == ["one"]

    in_loop(script)


def test_a_file_that_nobody_understands_is_set_aside_whole_and_said(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script() -> None:
        lay(path, "{broken")
        keeper = Keeper(path, "a text")
        assert keeper.load(words) is None
        aside = path.with_name("words.json.broken")
        assert keeper.lost == f"a text could not be read: these are no words (set aside as {aside})"
        assert keeper.lost in caplog.text
        keeper.keep("one")
        assert await keeper.settled(PATIENCE_S)
        assert (text_of(aside), text_of(path)) == ("{broken", "one")

    in_loop(script)


def test_a_file_that_is_no_text_is_set_aside_too(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe")
    keeper = Keeper(path, "a text")
    assert keeper.load(words) is None
    assert "byte 0 cannot be read" in keeper.lost
    assert path.with_name("words.json.broken").read_bytes() == b"\xff\xfe"


def test_what_the_disk_does_not_give_is_lost_and_said(path: Path) -> None:
    path.mkdir(parents=True)  # a folder in its place
    keeper = Keeper(path, "a text")
    assert keeper.load(words) is None
    assert keeper.lost == f"a text could not be read: Is a directory ({path})"


def test_a_full_disk_is_a_problem_until_it_has_room_again(
    path: Path, disk: Disk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "RETRY_S", 0.01)
    caplog.set_level(logging.INFO)

    async def script() -> None:
        keeper = Keeper(path, "a text")
        disk.fault = FULL
        keeper.keep("one")
        assert not await keeper.settled(PATIENCE_S)
        assert keeper.problem == "a text cannot be kept: No space left on device"
        disk.fault = None
        await until(path.exists)  # nobody keeps anything anew: it tries again by itself
        assert await keeper.settled(PATIENCE_S)
        assert not keeper.problem
        assert text_of(path) == "one"

    in_loop(script)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert len(said) == 2
    assert "well again" in said[1]


def test_the_newest_text_is_tried_at_once_though_the_last_one_failed(path: Path, disk: Disk) -> None:
    async def script() -> None:
        keeper = Keeper(path, "a text")
        disk.fault = FULL
        keeper.keep("one")
        await tried(keeper)
        disk.fault = None
        keeper.keep("two")
        assert await keeper.settled(PATIENCE_S)
        assert text_of(path) == "two"

    in_loop(script)


def test_a_disk_that_does_not_answer_is_a_problem_after_a_while_and_none_when_it_answers(
    path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        keeper = Keeper(path, "a text")
        disk.answers.clear()
        keeper.keep("one")
        await until(lambda: disk.asked)
        before = keeper.problem
        monkeypatch.setattr(keeper_module, "SLOW_S", -1.0)  # the while is over
        assert (before, keeper.problem) == ("", "a text cannot be kept: the disk does not answer")
        assert not await keeper.settled(0)
        disk.answers.set()
        assert await keeper.settled(PATIENCE_S)
        assert not keeper.problem

    in_loop(script)


def test_who_stops_waiting_does_not_stop_the_writing(path: Path, disk: Disk) -> None:
    async def script() -> None:
        keeper = Keeper(path, "a text")
        disk.answers.clear()
        keeper.keep("one")
        waiting = asyncio.create_task(keeper.settled(PATIENCE_S))
        await until(lambda: disk.asked)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        disk.answers.set()
        assert await keeper.settled(PATIENCE_S)
        assert text_of(path) == "one"

    in_loop(script)


def test_a_disk_that_fails_is_not_asked_again_at_every_look(path: Path, disk: Disk) -> None:
    async def script() -> None:
        keeper = Keeper(path, "a text")
        disk.fault = FULL
        for _ in range(20):  # five seconds of an alarm panel
            keeper.keep("one")
            await tried(keeper)
        assert disk.asked == ["one"]

    in_loop(script)


def test_whatever_keeps_it_from_the_disk_is_a_problem(path: Path, disk: Disk) -> None:
    async def script() -> None:
        keeper = Keeper(path, "a text")
        disk.fault = RuntimeError("can't start new thread")
        keeper.keep("one")
        try:
            settled = await keeper.settled(PATIENCE_S)
        except RuntimeError:
            settled = False
        assert not settled
        assert "can't start new thread" in keeper.problem

    in_loop(script)


def test_a_file_that_could_not_be_read_is_never_overwritten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: Path) -> str:
        raise OSError(errno.EIO, "Input/output error")

    async def script() -> None:
        lay(path, "one")
        keeper = Keeper(path, "a text")
        with monkeypatch.context() as patched:
            patched.setattr(kept, "read", unreadable)
            assert keeper.load(words) is None
        keeper.keep("two")
        await tried(keeper)
        assert "one" in {text_of(file) for file in path.parent.iterdir()}

    in_loop(script)


def test_a_file_that_could_not_be_set_aside_is_never_overwritten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(_: Path) -> Path:
        raise OSError(errno.EROFS, "Read-only file system")

    async def script() -> None:
        lay(path, "{broken")
        keeper = Keeper(path, "a text")
        with monkeypatch.context() as patched:
            patched.setattr(kept, "set_aside", read_only)
            assert keeper.load(words) is None
        assert "it cannot be set aside: Read-only file system" in keeper.lost
        keeper.keep("two")
        await tried(keeper)
        assert "{broken" in {text_of(file) for file in path.parent.iterdir()}

    in_loop(script)
