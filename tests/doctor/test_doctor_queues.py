"""Limits of message queues: what is said of them is what the kernel does."""

from __future__ import annotations

import os
import random
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import needs
from appliance.config import Camera
from appliance.doctor import queues
from appliance.doctor.finding import Finding, Level
from appliance.ipc.run_folder import RunFolder
from appliance.needs import QueueNeed
from tests.doctor.machine import Machine
from tests.rig import ROOT


@pytest.fixture
def needed(instance: str) -> list[QueueNeed]:
    return needs.queues(RunFolder(instance), [Camera(id="porch", source="synthetic://porch")])


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    """The kernel's limits as they are by default."""
    for name, value in (("queues_max", 256), ("msg_max", 10), ("msgsize_max", 8192)):
        (tmp_path / name).write_text(f"{value}\n")
    return tmp_path


@pytest.fixture(autouse=True)
def ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """No capability passes a limit, and no mounted mqueue tells of the queues of other tests."""
    monkeypatch.setattr(queues, "_binding", lambda: Level.PROBLEM)
    monkeypatch.setattr(queues, "mount_point_of", lambda _kind: None)


def bad(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level is not Level.OK]


AS_THE_KERNEL_DOES = """
import itertools, os, posix_ipc, resource, sys
from appliance.doctor.queues import kernel_bytes, used_bytes

uid, name = int(sys.argv[1]), sys.argv[2]
if uid:
    os.setuid(uid)
hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]
before = used_bytes(hard)


def remove(one):
    one.unlink()
    one.close()


def make(depth, message_bytes):
    one = posix_ipc.MessageQueue(
        f"{name}{next(numbers)}", posix_ipc.O_CREX, max_messages=depth, max_message_size=message_bytes
    )
    made.append(one)


for depth, message_bytes, count in ((10, 24, 3), (1, 32, 7), (10, 8192, 1), (7, 1, 2), (1, 1, 1)):
    numbers, made = itertools.count(), []
    try:
        need = count * kernel_bytes(depth, message_bytes)
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (before + need, hard))
        for _ in range(count):
            make(depth, message_bytes)
        assert used_bytes(hard) == before + need, (depth, message_bytes)
        remove(made.pop())
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (before + need - 1, hard))
        try:
            make(depth, message_bytes)
        except OSError as error:
            print(error)
        else:
            sys.exit(f"{count} of {depth} x {message_bytes} bytes fit into one byte less than {need}")
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (before + need, hard))
        make(depth, message_bytes)
    finally:
        for one in made:
            remove(one)
resource.setrlimit(resource.RLIMIT_MSGQUEUE, (before, hard))
assert used_bytes(before) is None, "where nothing more fits, nothing can be told"
"""


def test_the_kernel_charges_to_the_byte_what_is_foretold(instance: str) -> None:
    # The kernel counts by user: one of our own, where that can be had, is not disturbed by other tests.
    uid = random.randrange(100_000, 2**31) if os.geteuid() == 0 else 0
    done = subprocess.run(
        [sys.executable, "-c", AS_THE_KERNEL_DOES, str(uid), f"/porchlight-{instance}."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("maximum number of files open") == 5


def test_asking_what_is_used_changes_no_limit() -> None:
    before = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    assert queues.used_bytes(before[0]) is not None
    assert resource.getrlimit(resource.RLIMIT_MSGQUEUE) == before


def test_with_the_kernels_defaults_a_cameras_queues_have_room(needed: list[QueueNeed], limits: Path) -> None:
    findings = queues.examine(needed, "1 camera", limits)
    assert bad(findings) == []
    assert "256 queues" in findings[0].text
    assert "for 1 camera: 10 more" in findings[0].text
    assert "for 1 camera: 4,496 more" in findings[1].text


def test_queues_that_are_there_already_are_not_asked_for_again(
    needed: list[QueueNeed], limits: Path, queue: Callable[..., str]
) -> None:
    queue("frames.porch.gateway", 1, 32)
    queue("state.porch.releases", 10, 24)
    assert "8 more" in queues.examine(needed, "1 camera", limits)[0].text


def test_a_user_whose_bytes_are_used_up_is_told_how_many_it_takes(
    needed: list[QueueNeed], limits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (10_000, 10_000))
    monkeypatch.setattr(queues, "used_bytes", lambda _limit: 6000)
    (finding,) = bad(queues.examine(needed, "1 camera", limits))
    assert finding.level is Level.PROBLEM
    assert "may have 10,000 bytes of them and uses 6,000; for 1 camera: 4,496 more" in finding.text
    assert "ulimit -q 10496" in finding.remedy
    monkeypatch.setattr(queues, "used_bytes", lambda _limit: None)
    (finding,) = bad(queues.examine(needed, "1 camera", limits))
    assert "not even the smallest" in finding.text


def test_a_user_without_a_limit_needs_no_advice(
    needed: list[QueueNeed], limits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: unlimited)
    assert bad(queues.examine(needed, "1 camera", limits)) == []


@pytest.mark.parametrize(("name", "value"), [("msg_max", 9), ("msgsize_max", 31), ("queues_max", 9)])
def test_a_limit_of_the_kernel_that_is_too_low_is_named_with_the_command_that_raises_it(
    needed: list[QueueNeed], limits: Path, name: str, value: int
) -> None:
    (limits / name).write_text(f"{value}\n")
    (finding,) = bad(queues.examine(needed, "1 camera", limits))
    assert finding.level is Level.PROBLEM
    assert f"sysctl fs.mqueue.{name}={value + 1}" in finding.remedy


def test_the_queues_of_others_count_where_they_can_be_seen(
    needed: list[QueueNeed], limits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = tmp_path / "mqueue"
    mounted.mkdir()
    for number in range(250):
        (mounted / f"other{number}").touch()
    monkeypatch.setattr(queues, "mount_point_of", lambda _kind: mounted)
    (finding,) = bad(queues.examine(needed, "1 camera", limits))
    assert "256 queues, 250 are there" in finding.text
    assert "queues_max=260" in finding.remedy


def test_where_the_kernel_hides_its_limits_they_are_unknown_and_that_is_no_problem(
    needed: list[QueueNeed], tmp_path: Path
) -> None:
    findings = queues.examine(needed, "1 camera", tmp_path / "none")
    assert bad(findings) == []
    assert "unknown" in findings[0].text


def test_a_queue_of_another_shape_is_named_with_what_it_is(
    needed: list[QueueNeed], limits: Path, queue: Callable[..., str]
) -> None:
    name = queue("frames.porch.gateway", 3, 16)
    (finding,) = bad(queues.examine(needed, "1 camera", limits))
    assert finding.level is Level.PROBLEM
    assert f"{name} holds 3 messages of 16 bytes where 1 of 32 belong" in finding.text


def test_looking_at_a_queue_takes_nothing_out_and_makes_none(queue: Callable[..., str], instance: str) -> None:
    import posix_ipc

    name = queue()
    one = posix_ipc.MessageQueue(name)
    one.send(b"x" * 32)
    assert queues.attributes(name) == (1, 32)
    assert one.current_messages == 1
    one.close()
    assert queues.attributes(f"/porchlight-{instance}.nowhere") is None
    assert not queues.exists(f"/porchlight-{instance}.nowhere")


FOREIGN = """
import os, sys, posix_ipc
from appliance.doctor import queues
from appliance.needs import QueueNeed
queue = posix_ipc.MessageQueue("/porchlight-test.frames.porch.gateway", posix_ipc.O_CREX)
os.setuid(61_234)
print(queues.exists(queue.name))
print(queues.examine([QueueNeed(queue.name, 1, 32)], "1 camera")[0])
"""


def test_a_queue_of_another_users_is_named(machine: Callable[[str], Machine]) -> None:
    done = machine("1m").run(sys.executable, "-c", FOREIGN)
    said = done.stdout.splitlines()
    assert said[0] == "True", done.stderr
    assert re.search(r"problem.*/porchlight-test\.frames\.porch\.gateway belongs to another user", said[1])
