"""Children that die, hang or refuse, in miniature: the same supervisor, small scripts instead of stages."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.ipc.heartbeat import HeartbeatFile, read_heartbeats
from appliance.ipc.run_folder import RunFolder
from appliance.messages import Health
from appliance.stage import Pulse, StageContext, Stop
from appliance.supervisor import Child, ChildRefusedError, Supervisor
from tests.rig import wait_for

CHILD = """
import os, signal, sys, time
from pathlib import Path
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.ipc.run_folder import RunFolder
from appliance.messages import Health
from appliance.stage import Pulse, stop_on_signals, stop_with_supervisor
instance, notes, name, deed = sys.argv[1:5]
with open(Path(notes) / name, "a") as file:
    file.write(f"{os.getpid()}\\n")
if deed == "refuse":
    sys.exit(2)
if deed == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop = None
else:
    stop = stop_on_signals()
    stop_with_supervisor(stop)
pulse = Pulse(HeartbeatFile(RunFolder(instance), name), name)
pulse.health = Health.RUNNING
while not stop:
    pulse.beat()
    if deed == "hang":
        while True:
            time.sleep(1)
    time.sleep(0.02)
"""


class Nursery:
    """A supervisor in a thread, over children of the script above."""

    def __init__(self, folder: RunFolder, notes: Path) -> None:
        self.folder, self.notes = folder, notes
        self.stop = Stop()
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._deeds: queue.SimpleQueue[Callable[[Supervisor], None]] = queue.SimpleQueue()
        self._supervisor: Supervisor | None = None

    def ask(self, deed: Callable[[Supervisor], None]) -> None:
        """Have it done in the supervisor's own thread, at its next look."""
        self._deeds.put(deed)

    def _do(self) -> None:
        while not self._deeds.empty():
            assert self._supervisor is not None
            self._deeds.get()(self._supervisor)

    def start(self, *children: tuple[str, str], first: tuple[str, ...] = (), silence_s: float = 10) -> None:
        script = self.notes / "child.py"
        script.write_text(CHILD)
        context = StageContext(
            Settings(), self.folder, Pulse(HeartbeatFile(self.folder, "supervisor"), "supervisor"), self.stop
        )
        instance = self.folder.path.name.removeprefix("porchlight-")
        supervisor = Supervisor(
            context,
            restart_most_s=1,
            silence_s=silence_s,
            program=(sys.executable, str(script)),
        )

        self._supervisor = supervisor
        for name, deed in children:
            supervisor.add(Child(name, (instance, str(self.notes), name, deed)))

        def run() -> None:
            try:
                supervisor.run(first, at_each_look=self._do)
            except ChildRefusedError as error:
                self.error = error

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def pids(self, name: str) -> list[int]:
        """Return every process that this child has ever been."""
        with contextlib.suppress(FileNotFoundError):
            return [int(line) for line in (self.notes / name).read_text().split()]
        return []

    def running(self, name: str) -> bool:
        beat = read_heartbeats(self.folder).get(name)
        return beat is not None and beat.health is Health.RUNNING

    def end(self) -> None:
        self.stop.set()
        if self._thread is not None:
            self._thread.join(20)
            assert not self._thread.is_alive()


@pytest.fixture
def nursery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nursery]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parent.parent))
    folder = RunFolder(f"test_{secrets.token_hex(4)}")
    folder.claim()
    one = Nursery(folder, tmp_path)
    yield one
    one.end()
    folder.remove()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_child_is_started_again_and_its_heartbeat_was_gone(nursery: Nursery) -> None:
    nursery.start(("one", "work"), ("two", "work"))
    wait_for("both run", 20, lambda: nursery.running("one") and nursery.running("two"))
    os.kill(nursery.pids("one")[0], signal.SIGKILL)
    wait_for("a second life", 20, lambda: len(nursery.pids("one")) == 2 and nursery.running("one"))
    assert len(nursery.pids("two")) == 1


def test_a_child_that_hangs_is_replaced(nursery: Nursery) -> None:
    nursery.start(("one", "hang"), silence_s=0.5)
    wait_for("a second life", 30, lambda: len(nursery.pids("one")) >= 2)
    assert not _lives(nursery.pids("one")[0])


def test_a_stop_ends_all_also_the_deaf(nursery: Nursery) -> None:
    nursery.start(("one", "work"), ("two", "deaf"))
    wait_for("both run", 20, lambda: nursery.running("one") and nursery.running("two"))
    nursery.end()
    assert not any(_lives(pid) for name in ("one", "two") for pid in nursery.pids(name))


def test_a_child_that_refuses_keeps_the_others_from_starting(nursery: Nursery) -> None:
    nursery.start(("one", "refuse"), ("two", "work"), first=("one",))
    wait_for("refused", 20, lambda: nursery.error)
    assert str(nursery.error) == "one"
    assert nursery.pids("two") == []


def test_the_first_are_up_before_the_others_start(nursery: Nursery) -> None:
    nursery.start(("one", "work"), ("two", "work"), first=("one",))
    wait_for("two starts", 20, lambda: nursery.pids("two"))
    assert nursery.running("one")


def test_the_pause_between_deaths_grows_but_is_bounded(nursery: Nursery) -> None:
    nursery.start(("one", "refuse"))
    wait_for("four lives", 30, lambda: len(nursery.pids("one")) >= 4)
    assert nursery.error is None, "a refusal after the start is a death like any other"


def test_children_end_when_their_supervisor_is_gone(nursery: Nursery) -> None:
    """The other half, from the child's side: standard input ends, and that is a stop."""
    script = nursery.notes / "child.py"
    script.write_text(CHILD)
    instance = nursery.folder.path.name.removeprefix("porchlight-")
    child = subprocess.Popen(
        [sys.executable, str(script), instance, str(nursery.notes), "orphan", "work"], stdin=subprocess.PIPE
    )
    wait_for("it runs", 20, lambda: nursery.running("orphan"))
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(10) == 0


def test_a_child_that_is_renewed_is_another_process_and_no_failure(nursery: Nursery) -> None:
    nursery.start(("one", "work"), ("other", "work"))
    wait_for("both run", 30, lambda: nursery.running("one") and nursery.running("other"))
    nursery.ask(lambda supervisor: supervisor.renew("one"))
    wait_for("another life", 30, lambda: len(nursery.pids("one")) == 2 and nursery.running("one"))
    assert len(nursery.pids("other")) == 1
    beat = read_heartbeats(nursery.folder).get("supervisor")
    assert beat is not None
    assert beat.counters.get("restarts.one", 0) == 0


@pytest.mark.parametrize("deed", ["work", "deaf"])
def test_a_child_that_is_dropped_ends_for_good_also_the_deaf(nursery: Nursery, deed: str) -> None:
    nursery.start(("one", deed), ("other", "work"))
    wait_for("both run", 30, lambda: nursery.running("one") and nursery.running("other"))
    nursery.ask(lambda supervisor: supervisor.drop(supervisor._children[0]))
    wait_for("it is gone", 30, lambda: not _lives(nursery.pids("one")[0]))
    wait_for("and its heartbeat", 30, lambda: "one" not in read_heartbeats(nursery.folder))
    assert len(nursery.pids("one")) == 1


def test_a_child_of_the_same_name_waits_until_the_one_before_is_gone(nursery: Nursery) -> None:
    nursery.start(("one", "deaf"))
    wait_for("it runs", 30, lambda: nursery.running("one"))
    instance = nursery.folder.path.name.removeprefix("porchlight-")

    def replace(supervisor: Supervisor) -> None:
        supervisor.drop(supervisor._children[0])
        supervisor.add(Child("one", (instance, str(nursery.notes), "one", "work")))

    nursery.ask(replace)
    wait_for("the second one runs", 30, lambda: len(nursery.pids("one")) == 2 and nursery.running("one"))
    assert not _lives(nursery.pids("one")[0])
