"""Real processes, killed at any moment: no reader sees half a frame, and what a dead publisher said last is whole."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appliance.ipc.heartbeat import read_heartbeats
from appliance.ipc.mailbox import last_state, publish_state
from tests.ipc import actors
from tests.ipc.actors import CAMERA, STRIDE, a_heartbeat, a_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from appliance.ipc.publisher import Publisher
    from appliance.ipc.run_folder import RunFolder
    from appliance.ipc.slots import StateWriter

ROOT = Path(__file__).resolve().parents[2]
KILLS = 5


class Actor:
    """One process of actors.py."""

    def __init__(self, role: str, folder: RunFolder, name: str = "") -> None:
        instance = folder.path.name.removeprefix("porchlight-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", actors.__name__, role, instance, name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def goes_on(self, count: int) -> int:
        """Wait until it has come at least `count` further; return how far it has come in all."""
        assert self._process.stdout is not None
        for _ in range(-(-count // STRIDE)):
            line = self._process.stdout.readline().strip()
            assert line.isdecimal(), f"it said {line!r}"
        return int(line)

    def sees_half_a_frame(self) -> None:
        """Wait until it does."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == "TORN\n":
                return
        pytest.fail("it ended before it did")

    def says(self) -> str:
        """Let it end by itself; return what it said since."""
        said, _ = self._process.communicate(timeout=30)
        assert self._process.returncode == 0
        return said

    def kill(self) -> str:
        """SIGKILL; return what it said since."""
        self._process.kill()
        return self._process.communicate(timeout=30)[0]


@pytest.fixture
def play(folder: RunFolder) -> Iterator[Callable[..., Actor]]:
    """Starts actors; none survives the test."""
    with contextlib.ExitStack() as stack:

        def start(role: str, name: str = "") -> Actor:
            actor = Actor(role, folder, name)
            stack.callback(actor.kill)
            return actor

        yield start


def test_readers_that_are_killed_and_return_never_see_half_a_frame_nor_does_anyone_else(
    play: Callable[..., Actor],
) -> None:
    writer = play("write")
    steady = play("read", "inference")
    for _ in range(KILLS):
        mortal = play("read", "gateway")
        mortal.goes_on(2 * STRIDE)
        assert "TORN" not in mortal.kill()
    steady.goes_on(8 * STRIDE)
    assert "TORN" not in steady.says()
    writer.goes_on(STRIDE)  # nobody has blocked it
    writer.says()


def test_a_writer_that_is_killed_and_returns_never_shows_half_a_frame(play: Callable[..., Actor]) -> None:
    readers = [play("read", "inference"), play("read", "gateway")]
    for _ in range(KILLS):
        writer = play("write")
        writer.goes_on(STRIDE)
        for reader in readers:
            reader.goes_on(2 * STRIDE)
        writer.kill()
    for reader in readers:
        assert "TORN" not in reader.says()


def test_a_reader_that_gives_back_before_it_looks_does_see_half_a_frame(play: Callable[..., Actor]) -> None:
    """Else the tests above prove nothing."""
    play("write")
    play("read_carelessly", "inference").sees_half_a_frame()


def test_what_a_killed_controller_said_last_is_whole(folder: RunFolder, play: Callable[..., Actor]) -> None:
    for kill in range(KILLS):
        controller = play("state")
        said = controller.goes_on((kill + 1) * STRIDE)
        controller.kill()
        last = last_state(folder, CAMERA)
        assert last is not None
        assert last == a_state(last.observed_frame)
        assert last.observed_frame >= said


class KilledError(BaseException):
    """Nothing in the code under test catches it."""


def killed_at(moment: int, work: Callable[[], None]) -> bool:
    """Stop `work` dead before its line number `moment` within appliance/ipc; False where it had ended before."""
    left = moment

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if "/appliance/ipc/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KilledError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KilledError:
        return True
    finally:
        sys.settrace(before)
    return False


def test_a_controller_killed_at_any_line_of_a_publication_leaves_this_state_or_the_one_before(
    folder: RunFolder,
) -> None:
    for moment in range(1, 1000):
        with contextlib.closing(publish_state(folder, CAMERA)) as publisher:
            last = moment % 7 + 1
            for number in range(last + 1):
                publish_a_state(publisher, number)
            died = killed_at(moment, functools.partial(publish_a_state, publisher, last + 1))
            assert last_state(folder, CAMERA) in (a_state(last), a_state(last + 1))
            if not died:
                break
    assert moment > 30


def publish_a_state(publisher: Publisher[StateWriter], number: int) -> None:
    writer = publisher.borrow()
    writer.write(a_state(number))
    publisher.send(writer)


def test_a_heartbeat_is_seen_whole_or_not_at_all(folder: RunFolder, play: Callable[..., Actor]) -> None:
    actor = play("beat", "actor")
    actor.goes_on(STRIDE)
    seen = set()
    for _ in range(300):
        (beat,) = read_heartbeats(folder).values()
        assert beat == a_heartbeat(beat.beat_ns)
        seen.add(beat.beat_ns)
    actor.kill()
    (beat,) = read_heartbeats(folder).values()
    assert beat == a_heartbeat(beat.beat_ns)
    assert len(seen) > 1
