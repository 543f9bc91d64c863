"""Chapter: from one process to another: until the view is there, beside a bare message to as many receivers."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import posix_ipc

from appliance.ipc.channels import frames_channel
from appliance.ipc.mailbox import publish_frames, subscribe_frames
from appliance.ipc.run_folder import RunFolder
from appliance.messages import FrameInfo, PixelFormat
from tests.benchmarks import native
from tests.benchmarks.report import Chapter, Plot, Ratio, Table
from tests.benchmarks.timing import percentiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.ipc.subscriber import Subscriber
    from appliance.messages import Frame

ROOT = Path(__file__).resolve().parents[2]
CAMERA = "porch"
PAUSE_US = 2000
"""Between two messages: longer than any hand-over, shorter than the processor's deep sleep."""
LIMIT = 1.5
SIZE = 4096
OURS, BARE, BARE_PYTHON = "Porchlight", "bare, C++", "bare, Python"
BARE_MODULE = "tests.benchmarks.native.handover"

Samples: TypeAlias = dict[str, list[float]]
INFO = FrameInfo(1, 0, 0, 64, 64, PixelFormat.JPEG)


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter; `folder` is for what is built, `quick` takes a tenth of the rounds."""
    bare = native.program("handover", folder)
    rounds, count = (2, 100) if quick else (10, 300)
    measured = {
        (receivers, loaded): _measure(bare, receivers, loaded, rounds, count)
        for loaded in (False, True)
        for receivers in (1, 2)
    }
    ratios, rows = [], []
    for (receivers, loaded), (samples, ratio, python_ratio) in measured.items():
        words = f"{receivers} receiver{'s' if receivers > 1 else ''}, {'loaded' if loaded else 'idle'}"
        ratios.append(Ratio(f"hand-over : bare poll + receive in C++, {words}", ratio, LIMIT))
        ratios.append(Ratio(f"hand-over : bare poll + receive in Python, {words}", python_ratio))
        rows += [(f"{who}, {words}", *percentiles(samples[who], 50, 95, 99)) for who in samples]
    letters = _letters()
    return Chapter(
        "The mailbox: hand-over between processes",
        "Time from the moment that the picture lies in its slot (`write`, `send`) until its view is in another "
        "process's hands. The reference is a C++ program that sends a bare message to as many queues, and C++ programs "
        "that poll and receive; beside it the same bare message between Python programs, which is what the interpreter "
        "alone costs. Rounds alternate; a ratio is the median of the rounds' own ratios of medians. Loaded: as many "
        "busy processes as there are cores.",
        tuple(ratios),
        (
            Table(
                "Hand-over, µs",
                ("", "p50", "p95", "p99"),
                tuple(rows),
            ),
            letters,
        ),
        (_spread(measured[2, False][0]),),
    )


def _measure(bare: Path, receivers: int, loaded: bool, rounds: int, count: int) -> tuple[Samples, float, float]:
    """Return all samples in µs by who was measured, and ours against both bare ones: medians of the rounds' ratios."""
    ways: dict[str, Callable[[], list[float]]] = {
        OURS: lambda: _ours(receivers, count),
        BARE: lambda: _bare([str(bare)], receivers, count),
        BARE_PYTHON: lambda: _bare([sys.executable, "-m", BARE_MODULE], receivers, count),
    }
    samples: Samples = {who: [] for who in ways}
    medians: Samples = {who: [] for who in ways}
    with _burning(len(os.sched_getaffinity(0)) if loaded else 0):
        for _ in range(rounds):
            for who, way in ways.items():
                took = way()
                samples[who] += took
                medians[who].append(median(took))

    def ratio(reference: str) -> float:
        return median(one / other for one, other in zip(medians[OURS], medians[reference], strict=True))

    return samples, ratio(BARE), ratio(BARE_PYTHON)


@contextlib.contextmanager
def _burning(processes: int) -> Iterator[None]:
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def _ours(receivers: int, count: int) -> list[float]:
    folder = RunFolder(f"bench_{secrets.token_hex(4)}")
    folder.create()
    names = frames_channel(CAMERA).subscribers[:receivers]
    try:
        with contextlib.closing(publish_frames(folder, CAMERA, SIZE)) as publisher:
            instance = folder.path.name.removeprefix("porchlight-")
            taking = [_start([sys.executable, "-m", __name__, instance, name, str(count)]) for name in names]
            for _ in range(count):
                time.sleep(PAUSE_US / 1e6)
                writer = publisher.borrow()
                writer.write(FrameInfo(1, time.monotonic_ns(), 0, 64, 64, PixelFormat.JPEG), SIZE)
                publisher.send(writer)
            return [took for process in taking for took in _told(process)]
    finally:
        folder.remove()


def _bare(program: list[str], receivers: int, count: int) -> list[float]:
    names = [f"/bench_{secrets.token_hex(4)}" for _ in range(receivers)]
    try:
        taking = [_start([*program, "receive", name, str(count)]) for name in names]
        subprocess.run([*program, "send", ",".join(names), str(count), str(PAUSE_US)], check=True, cwd=ROOT)
        return [took for process in taking for took in _told(process)]
    finally:
        for name in names:
            with contextlib.suppress(posix_ipc.ExistentialError):
                posix_ipc.unlink_message_queue(name)


def _start(command: list[str]) -> subprocess.Popen[str]:
    """Start a receiver and wait until it is ready."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _told(process: subprocess.Popen[str]) -> list[float]:
    """Return what a receiver has measured, in µs, when it is done."""
    said, _ = process.communicate(timeout=60)
    return [int(line) / 1000 for line in said.split()]


def _letters() -> Table:
    """What the letters alone cost each side, without waiting for anybody: publisher and subscribers in one process."""
    folder = RunFolder(f"bench_{secrets.token_hex(4)}")
    folder.create()
    rows = []
    try:
        with contextlib.closing(publish_frames(folder, CAMERA, SIZE)) as publisher, contextlib.ExitStack() as stack:
            names = publisher.channel.subscribers
            subscribers: list[Subscriber[Frame]] = []
            for seated in range(len(names) + 1):
                sending, taking = [], []
                for _ in range(3000):
                    began = time.perf_counter_ns()
                    writer = publisher.borrow()
                    writer.write(INFO, 0)
                    publisher.send(writer)
                    sent = time.perf_counter_ns()
                    for subscriber in subscribers:
                        loan = subscriber.receive()
                        assert loan is not None
                        loan.release()
                    taking.append((time.perf_counter_ns() - sent) / max(1, seated) / 1000)
                    sending.append((sent - began) / 1000)
                rows.append((seated, median(sending), median(taking) if seated else "-"))
                if seated < len(names):
                    subscribers.append(
                        stack.enter_context(contextlib.closing(subscribe_frames(folder, CAMERA, names[seated])))
                    )
    finally:
        folder.remove()
    return Table(
        "The letters' own cost for a frame, µs of processor time on each side, no waiting",
        ("subscribers seated", "publisher: borrow, write, send", "each subscriber: receive, release"),
        tuple(rows),
    )


def _spread(samples: Samples) -> Plot:
    shares = np.linspace(1, 99, 50)
    return Plot(
        "Hand-over to two receivers, idle: share of frames that took no longer",
        "µs",
        "% of frames",
        {who: list(zip(percentiles(took, *shares), shares.tolist(), strict=True)) for who, took in samples.items()},
    )


def _receive(instance: str, name: str, count: int) -> None:
    """The receiving process: how long each frame took until its view was there."""
    took: list[int] = []
    with contextlib.closing(subscribe_frames(RunFolder(instance), CAMERA, name)) as subscriber:
        print("ready", flush=True)
        while len(took) + subscriber.lost < count:
            loan = subscriber.wait(2)
            if loan is None:
                break
            with loan as frame:
                took.append(time.monotonic_ns() - frame.info.captured_ns)
    print("\n".join(map(str, took)))


if __name__ == "__main__":
    _receive(sys.argv[1], sys.argv[2], int(sys.argv[3]))
