"""Whatever becomes of the state folder: events go out live, the problem shows, and it heals by itself."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.controller.outbox import Outbox
from appliance.controller.outbox import outbox as outbox_module
from tests.controller.outbox.lives import Disk, House, disk_of, problem, put, tried, until, whats

PAGE = 4096
CANNOT = "events that were not delivered cannot be kept: "


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    yield from disk_of(monkeypatch)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "RETRY_S", 0.02)


class Mount:
    """A small disk of its own at the state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder))

    def fill(self) -> None:
        with (self._folder / "ballast").open("ab", buffering=0) as file:
            try:
                while file.write(bytes(512)):
                    pass
            except OSError:
                return

    def free(self) -> None:
        (self._folder / "ballast").unlink()

    def freeze(self) -> None:
        self._mount("-o", "remount,ro", str(self._folder))

    def thaw(self) -> None:
        self._mount("-o", "remount,rw", str(self._folder))

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self._folder)], check=True)

    def _mount(self, *words: str) -> None:
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here (it takes root): {done.stderr.strip()}")


@pytest.fixture
def mount(house: House) -> Iterator[Mount]:
    if shutil.which("mount") is None:
        pytest.skip("no small disk can be mounted here: there is no `mount`")
    one = Mount(house.state)
    yield one
    one.close()


FAULTS: list[tuple[Callable[[Mount], None], Callable[[Mount], None]]] = [
    (Mount.fill, Mount.free),
    (Mount.freeze, Mount.thaw),
]


@pytest.mark.usefixtures("hurried")
def test_a_disk_that_is_full_while_we_run_is_a_problem_until_there_is_room(house: House, mount: Mount) -> None:
    async def script(outbox: Outbox) -> None:
        put(outbox, "before")
        await tried(outbox)
        assert problem(outbox) == ""
        mount.fill()
        # There may be room for a few more rows where the last one was.
        put(outbox, *["x" * 1000] * 50)
        assert len(outbox.events) == 51
        await until(lambda: problem(outbox))
        assert problem(outbox) == f"{CANNOT}database or disk is full"
        mount.free()
        await until(lambda: not problem(outbox))
        assert len(outbox.events) == 51

    house.live(script)
    assert len(house.rows()) == 51


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    "fault",
    [sqlite3.OperationalError("attempt to write a readonly database"), OSError(30, "Read-only file system")],
    ids=["sqlite", "system"],
)
def test_a_disk_that_turns_read_only_while_we_run_is_a_problem_until_it_is_well(
    house: House, disk: Disk, fault: Exception
) -> None:
    async def script(outbox: Outbox) -> None:
        disk.fault = fault
        put(outbox, "a", "b")
        await tried(outbox)
        assert problem(outbox) == f"{CANNOT}{getattr(fault, 'strerror', None) or fault}"
        assert whats(outbox) == ["a", "b"]
        disk.fault = None
        await until(lambda: not problem(outbox))

    house.live(script)
    assert [row["what"] for row in house.rows()] == ["a", "b"]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("fail", "heal"), FAULTS, ids=["full", "read-only"])
def test_a_disk_that_failed_before_we_started_is_a_problem_until_it_is_well(
    house: House, mount: Mount, fail: Callable[[Mount], None], heal: Callable[[Mount], None]
) -> None:
    async def script(outbox: Outbox) -> None:
        put(outbox, "a", "b")
        assert whats(outbox) == ["a", "b"]
        await until(lambda: problem(outbox))
        assert problem(outbox).startswith(CANNOT)
        heal(mount)
        await until(lambda: not problem(outbox))
        assert whats(outbox) == ["a", "b"]

    fail(mount)
    house.live(script)
    assert [row["what"] for row in house.rows()] == ["a", "b"]


def test_a_read_only_disk_is_a_problem_before_the_first_event(house: House, mount: Mount) -> None:
    async def script(outbox: Outbox) -> None:
        await until(lambda: problem(outbox))

    mount.freeze()
    house.live(script)


@pytest.mark.usefixtures("hurried")
def test_a_disk_that_is_well_is_no_problem_though_the_event_was_delivered_meanwhile(house: House, disk: Disk) -> None:
    async def script(outbox: Outbox) -> None:
        disk.fault = OSError("No space left on device")
        put(outbox, "a")
        await tried(outbox)
        assert problem(outbox)
        outbox.remove(next(iter(outbox.events)))
        disk.fault = None
        await until(lambda: not problem(outbox))

    house.live(script)


@pytest.mark.usefixtures("hurried")
def test_a_disk_that_is_read_only_at_the_start_gives_its_events_when_it_is_well(house: House, mount: Mount) -> None:
    async def first(outbox: Outbox) -> None:
        put(outbox, "a")
        await tried(outbox)

    async def second(outbox: Outbox) -> None:
        put(outbox, "b")
        await until(lambda: problem(outbox))
        mount.thaw()
        await until(lambda: not problem(outbox))
        await until(lambda: whats(outbox) == ["a", "b"])

    house.live(first)
    house.lose_power()
    mount.freeze()
    house.live(second)


def test_a_disk_that_fails_is_asked_again_by_one_timer(
    house: House, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(outbox: Outbox) -> None:
        loop = asyncio.get_running_loop()
        call_later = loop.call_later
        timers: list[asyncio.TimerHandle] = []

        def note(seconds: float, callback: Callable[..., object], *arguments: object) -> asyncio.TimerHandle:
            handle = call_later(seconds, callback, *arguments)
            if seconds == outbox_module.RETRY_S:
                timers.append(handle)
            return handle

        disk.fault = OSError("No space left on device")
        monkeypatch.setattr(loop, "call_later", note)
        for number in range(20):
            put(outbox, number)
            await tried(outbox)
        assert len([one for one in timers if not one.cancelled()]) == 1

    house.live(script)


async def _serves(outbox: Outbox) -> None:
    put(outbox, *["x" * 2000] * 30, "new")  # more than has room where there are rows already
    await tried(outbox)
    assert problem(outbox) == ""


@pytest.mark.parametrize("content", [b"rubbish" * 1000, bytes(4096), b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_set_aside_whole_and_said(
    house: House, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    house.state.mkdir()
    house.path.write_bytes(content)
    house.live(_serves)
    aside = house.path.with_name("outbox.sqlite3.broken")
    assert aside.read_bytes() == content
    assert f"set aside as {aside}" in caplog.text
    assert [row["what"] for row in house.rows()][30:] == ["new"]


def test_a_newer_versions_file_is_set_aside_with_what_it_holds(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async def first(outbox: Outbox) -> None:
        put(outbox, "old")
        await tried(outbox)

    house.live(first)
    house.lose_power()
    other = sqlite3.connect(house.path)
    other.execute("PRAGMA user_version = 2")
    other.close()
    house.live(_serves)
    aside = house.path.with_name("outbox.sqlite3.broken")
    assert f"its version is 2, this Porchlight reads 1; set aside as {aside}" in caplog.text
    other = sqlite3.connect(aside)
    assert other.execute("SELECT count(*) FROM event").fetchone() == (1,)
    other.close()
    assert [row["what"] for row in house.rows()][30:] == ["new"]


def test_a_directory_in_its_place_is_a_problem_and_holds_nothing_up(house: House) -> None:
    async def script(outbox: Outbox) -> None:
        put(outbox, "a")
        assert whats(outbox) == ["a"]
        await tried(outbox)
        assert problem(outbox) == f"{CANNOT}Is a directory"

    async def second(outbox: Outbox) -> None:
        assert whats(outbox) == ["a"]

    house.path.mkdir(parents=True)
    house.live(script)
    house.live(second)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file that has seen use: rows over several pages, and pages that are free again."""
    house = House(tmp_path_factory.mktemp("used"))

    async def script(outbox: Outbox) -> None:
        put(outbox, *(f"{number:03}" + "x" * 500 for number in range(80)))
        await tried(outbox)
        for number in list(outbox.events)[20:60]:
            outbox.remove(number)
        await tried(outbox)

    house.live(script)
    return house.path.read_bytes()


SIZES = sorted(random.Random(36).random() for _ in range(40))


@pytest.mark.parametrize("share", SIZES, ids=[f"{share:.3f}" for share in SIZES])
def test_a_file_that_lost_its_end_is_read_or_set_aside_and_the_next_one_works(
    house: House, used: bytes, share: float
) -> None:
    house.state.mkdir()
    content = used[: int(share * len(used))]
    house.path.write_bytes(content)
    house.live(_serves)
    aside = house.path.with_name("outbox.sqlite3.broken")
    assert house.rows()[-1]["what"] == "new"
    assert len(house.rows()) == 40 + 31 or aside.read_bytes() == content or len(content) < 100


def _spoil(house: House, content: bytes, page: int, chance: random.Random) -> None:
    """Lay the file there with rubbish in one page; the first one is 1."""
    house.state.mkdir()
    start = (page - 1) * PAGE
    house.path.write_bytes(content[:start] + chance.randbytes(PAGE) + content[start + PAGE :])


def _free_list(content: bytes) -> int:
    """Return the page that says which pages are free (file format of sqlite, 1.3.9)."""
    return int.from_bytes(content[32:36], "big")


@pytest.mark.parametrize("seed", range(40))
def test_a_file_with_a_spoilt_page_is_read_or_set_aside_and_the_next_one_works(
    house: House, used: bytes, seed: int
) -> None:
    chance = random.Random(seed)
    pages = [page for page in range(1, len(used) // PAGE + 1) if page != _free_list(used)]
    _spoil(house, used, chance.choice(pages), chance)
    house.live(_serves)
    assert house.rows()[-1]["what"] == "new"


def test_a_file_with_a_spoilt_free_list_is_set_aside_at_the_next_start(house: House, used: bytes) -> None:
    """It can be read, and every event that it had room for: nothing more can be kept in it, ever."""

    async def first(outbox: Outbox) -> None:
        put(outbox, *["x" * 2000] * 30)
        await tried(outbox)

    _spoil(house, used, _free_list(used), random.Random(36))
    house.live(first)
    house.live(_serves)


def test_a_disk_that_spoils_each_file_is_given_time_and_no_more_files(house: House, disk: Disk) -> None:
    async def script(outbox: Outbox) -> None:
        disk.fault = sqlite3.DatabaseError("database disk image is malformed")
        put(outbox, "a")
        again_and_again = asyncio.create_task(until(lambda: disk.asked > 10))
        done, _ = await asyncio.wait([again_and_again], timeout=0.5)
        again_and_again.cancel()
        assert not done
        assert len(list(house.state.glob("*.broken*"))) < 3

    house.live(script)
