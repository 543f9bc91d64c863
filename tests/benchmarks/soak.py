"""Chapter: half an hour of work, and whether any process grows."""

from __future__ import annotations

import contextlib
import http.client
import os
import threading
import time
import urllib.request
from statistics import median
from typing import TYPE_CHECKING, Any

from appliance.inference.demo import PORCH_DEMO
from tests.benchmarks.processes import usage
from tests.benchmarks.report import Chapter, Plot, Ratio, Table
from tests.rig import Appliance, wait_for

if TYPE_CHECKING:
    from pathlib import Path

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
WARM_SHARE = 0.2
"""The first part does not count: caches fill, allocators find their size."""
LIMIT = 1.05
NAMES = ("capture.porch", "capture.yard", "capture", "inference", "controller", "gateway")


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter. It takes SOAK_MINUTES, half an hour by default."""
    minutes = 1.0 if quick else MINUTES
    home = Appliance(folder, _settings())
    home.start()
    gone = threading.Event()
    viewer = threading.Thread(target=_watch, args=(home.url, gone))
    samples: list[tuple[float, dict[str, tuple[int, int]]]] = []
    try:
        wait_for("both cameras are seen", 120, lambda: _all_known(home))
        viewer.start()
        pids = {name: home.pid_of(name) for name in NAMES}
        began = time.monotonic()
        while (at := time.monotonic() - began) < minutes * 60:
            used = {name: usage(pid) for name, pid in pids.items() if pid}
            samples.append((at, {name: (one.pss, one.descriptors) for name, one in used.items()}))
            time.sleep(min(15, minutes * 60 / 20))
        shm = sum(file.stat().st_size for file in home.run_folder.rglob("*") if file.is_file())
    finally:
        gone.set()
        home.close()
        viewer.join(10)
    warm = [sample for at, sample in samples if at > minutes * 60 * WARM_SHARE]
    third = max(1, len(warm) // 3)
    rows, ratios = [], []
    for name in warm[0]:
        first, last = (median(sample[name][0] for sample in part) for part in (warm[:third], warm[-third:]))
        ratios.append(Ratio(f"{name}: memory in the last third : in the first", last / first, LIMIT))
        rows.append((name, first / 1e6, last / 1e6, warm[0][name][1], warm[-1][name][1]))
    return Chapter(
        f"A soak of {minutes:g} minutes",
        "Two synthetic cameras with people, one of them at its full rate, a viewer of the live stream, the demo "
        f"detector. PSS, medians of thirds after the first {WARM_SHARE:.0%}.",
        tuple(ratios),
        (
            Table(
                "Memory and descriptors",
                ("process", "MB, first third", "MB, last third", "descriptors before", "after"),
                tuple(rows),
                f"The run folder held {shm / 1e6:.0f} MB at the end.",
            ),
        ),
        (
            Plot(
                "Memory",
                "minutes",
                "MB",
                {name: [(at / 60, sample[name][0] / 1e6) for at, sample in samples] for name in warm[0]},
            ),
        ),
    )


def _settings() -> dict[str, Any]:
    return {
        "cameras": [
            {"id": "porch", "source": "synthetic://porch?size=640x360&fps=10&seed=12&people_per_minute=4"},
            {
                "id": "yard",
                "source": "synthetic://porch?size=640x360&fps=10&seed=13&hour=20&rain=true&people_per_minute=2",
                "standby_fps": 10.0,
            },
        ],
        "model": {"path": str(PORCH_DEMO)},
        "mqtt": {"enabled": False},
    }


def _all_known(home: Appliance) -> bool:
    cameras = home.status().get("cameras", [])
    return len(cameras) == 2 and all(camera["known"] for camera in cameras)


def _watch(url: str, gone: threading.Event) -> None:
    """A viewer of the MJPEG stream."""
    while not gone.is_set():
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(f"{url}/cameras/porch/stream.mjpeg", timeout=10) as stream,
        ):
            while not gone.is_set() and stream.read(65536):
                pass
