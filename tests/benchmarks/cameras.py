"""Chapter: many cameras on one small computer: what each costs, as a process of its own and as a thread."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.capture import service as capture
from appliance.config import Settings
from appliance.ipc.heartbeat import HeartbeatFile, fresh_heartbeats
from appliance.ipc.run_folder import RunFolder
from appliance.stage import Pulse, StageContext, Stop, stop_on_signals
from tests.benchmarks.processes import Usage, usage
from tests.benchmarks.report import Chapter, Ratio, Table
from tests.rig import ROOT, SHARED, Appliance, need, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

CAMERAS = 8
STANDBY_FPS = 3.0
MODEL = SHARED / "models" / "deimv2_atto_rfdetr_contract_320.onnx"


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter. It needs the atto model of ../shared."""
    need(MODEL)
    seconds = 8 if quick else 60
    with _appliance(folder, settings()) as home:
        pids = {f"cam{i}": home.pid_of(f"capture.cam{i}") for i in range(CAMERAS)}
        pids |= {stage: home.pid_of(stage) for stage in ("inference", "controller", "gateway", "capture")}
        before, began = _counters(home), time.monotonic()
        used = {name: usage(pid) for name, pid in pids.items() if pid}
        time.sleep(seconds)
        took = time.monotonic() - began
        after = _counters(home)
        shares = {name: (usage(pid), (usage(pid).cpu_s - used[name].cpu_s) / took) for name, pid in pids.items() if pid}
    published = sum(
        after[f"cam{i}"]["frames_published"] - before[f"cam{i}"]["frames_published"] for i in range(CAMERAS)
    )
    lost = sum(after[f"cam{i}"]["lost.inference"] - before[f"cam{i}"]["lost.inference"] for i in range(CAMERAS))
    inferred = sum(
        after["inference"][f"frames_inferred.cam{i}"] - before["inference"][f"frames_inferred.cam{i}"]
        for i in range(CAMERAS)
    )
    processes = _average([shares[f"cam{i}"] for i in range(CAMERAS)])
    thread, thread_start_s = _threads(folder, seconds)
    return Chapter(
        f"{CAMERAS} cameras at standby pace",
        f"Synthetic cameras of 1280x720 at {STANDBY_FPS:g} frames a second each, the atto stand-in model, the whole "
        f"appliance, {seconds} s. Memory is proportional (PSS): what is shared is split among those who share it.",
        (
            Ratio(
                "frames published : asked for by the pace",
                published / (CAMERAS * STANDBY_FPS * took),
                0.95,
                at_least=True,
            ),
            Ratio("frames lost on the way to inference : published", lost / published, 0.0),
            Ratio("frames looked at : published", inferred / published, 0.98, at_least=True),
        ),
        (
            Table(
                "Each stage",
                ("process", "% of a core", "PSS, MB", "private, MB", "threads", "descriptors"),
                (
                    *[
                        (name, share * 100, one.pss / 1e6, one.private / 1e6, one.threads, one.descriptors)
                        for name, (one, share) in shares.items()
                        if not name.startswith("cam")
                    ],
                    ("one camera's process", *processes[:3], "", processes[3]),
                ),
            ),
            Table(
                "A camera as a process, and as a thread of one process that holds all eight",
                ("", "% of a core", "PSS, MB", "private, MB", "processor s to start"),
                (
                    ("process", *processes[:3], _start_cost()),
                    ("thread", *thread, thread_start_s / CAMERAS),
                ),
                "The scene is painted and encoded in the camera's own process here: a real camera costs less.",
            ),
        ),
    )


def settings() -> dict[str, Any]:
    return {
        "cameras": [
            {
                "id": f"cam{i}",
                "source": f"synthetic://porch?size=1280x720&fps=15&seed={i}&hour=14&people_per_minute=0",
                "standby_fps": STANDBY_FPS,
            }
            for i in range(CAMERAS)
        ],
        "model": {"path": str(MODEL), "backend": "onnxruntime", "threads": 2, "threshold": 0.95},
        "mqtt": {"enabled": False},
    }


@contextlib.contextmanager
def _appliance(folder: Path, chosen: dict[str, Any]) -> Iterator[Appliance]:
    home = Appliance(folder, chosen)
    home.start()
    try:
        wait_for(
            "all cameras are seen",
            120,
            lambda: all(one["known"] for one in home.status().get("cameras", [{"known": False}])),
        )
        time.sleep(3)
        yield home
    finally:
        home.close()


def _counters(home: Appliance) -> dict[str, dict[str, float]]:
    beats = fresh_heartbeats(RunFolder(home.instance))
    return {name.removeprefix("capture."): beat.counters for name, beat in beats.items()}


def _average(shares: list[tuple[Usage, float]]) -> tuple[float, float, float, float]:
    """Return % of a core, PSS and private memory in MB, descriptors."""
    count = len(shares)
    return (
        sum(share for _, share in shares) / count * 100,
        sum(one.pss for one, _ in shares) / count / 1e6,
        sum(one.private for one, _ in shares) / count / 1e6,
        sum(one.descriptors for one, _ in shares) / count,
    )


def _start_cost() -> float:
    """Return the processor seconds that a camera's process takes before it opens anything: interpreter, imports."""
    code = "import appliance.cli, appliance.capture.service, time; print(time.process_time())"
    return min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout)
        for _ in range(3)
    )


def _threads(folder: Path, seconds: float) -> tuple[tuple[float, float, float], float]:
    """Return what a camera costs as a thread (% of a core, PSS, private), and the processor seconds that all took to
    start.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, f"bench_threads_{folder.name.replace('-', '_').lower()}"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        start_s = usage(process.pid).cpu_s
        time.sleep(8)  # the scenes' backdrops are painted
        before, began = usage(process.pid), time.monotonic()
        time.sleep(seconds)
        after = usage(process.pid)
        share = (after.cpu_s - before.cpu_s) / (time.monotonic() - began)
        return (share / CAMERAS * 100, after.pss / CAMERAS / 1e6, after.private / CAMERAS / 1e6), start_s
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _all_in_one(instance: str) -> None:
    """The process that holds every camera as a thread."""
    folder = RunFolder(instance)
    folder.create()
    chosen = Settings.model_validate(settings() | {"instance": instance, "model": {}})
    stop = stop_on_signals()
    threads = []
    stops = []
    for camera in chosen.cameras:
        stops.append(Stop())
        pulse = Pulse(HeartbeatFile(folder, f"capture.{camera.id}"), f"capture.{camera.id}")
        context = StageContext(chosen, folder, pulse, stops[-1])
        threads.append(threading.Thread(target=capture.run, args=(context, camera)))
        threads[-1].start()
    print("ready", flush=True)
    while not stop.wait(1):
        pass
    for one in stops:
        one.set()
    for thread in threads:
        thread.join()
    folder.remove()


if __name__ == "__main__":
    _all_in_one(sys.argv[1])
