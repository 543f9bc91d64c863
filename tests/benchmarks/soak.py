"""Chapter: half an hour of work, and whether any process grows."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from appliance.inference.demo import PORCH_DEMO
from tests.benchmarks.processes import usage
from tests.benchmarks.report import Chapter, Plot, Ratio, Table
from tests.rig import Appliance, Broker, wait_for

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
WARM_SHARE = 0.2
"""The first part does not count: caches fill, allocators find their size."""
LIMIT = 1.05
NAMES = ("capture.porch", "capture.yard", "capture.day", "capture", "inference", "controller", "gateway")


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter. It takes SOAK_MINUTES, half an hour by default."""
    minutes = 1.0 if quick else MINUTES
    broker = Broker(folder)
    broker.start()
    home = Appliance(folder, _settings(broker.port))
    home.start()
    day = Day(broker.port)
    gone = threading.Event()
    viewer = threading.Thread(target=_watch, args=(home.url, gone))
    samples: list[tuple[float, dict[str, tuple[int, int]]]] = []
    try:
        wait_for("both cameras are seen", 120, lambda: _all_known(home))
        viewer.start()
        pids = {name: home.pid_of(name) for name in NAMES}
        before = _left(home)
        began = time.monotonic()
        while (at := time.monotonic() - began) < minutes * 60:
            used = {name: usage(pid) for name, pid in pids.items() if pid}
            samples.append((at, {name: (one.pss, one.descriptors) for name, one in used.items()}))
            time.sleep(min(15, minutes * 60 / 20))
        after = _left(home)
    finally:
        gone.set()
        day.close()
        home.close()
        broker.stop()
        viewer.join(10)
    warm = [sample for at, sample in samples if at > minutes * 60 * WARM_SHARE]
    third = max(1, len(warm) // 3)
    rows, ratios = [], []
    for name in warm[0]:
        first, last = (median(sample[name][0] for sample in part) for part in (warm[:third], warm[-third:]))
        ratios.append(Ratio(f"{name}: memory in the last third : in the first", last / first, LIMIT))
        rows.append((name, first / 1e6, last / 1e6, warm[0][name][1], warm[-1][name][1]))
    ratios += [Ratio(f"{what} at the end : at the beginning", after[what] / before[what], LIMIT) for what in before]
    return Chapter(
        f"A soak of {minutes:g} minutes",
        "Two synthetic cameras with people, one of them at its full rate, a third whose time flies (lockstep: the next "
        "frame comes as soon as the sentry has taken the last one in), a viewer of the live stream, a broker, the demo "
        f"detector. PSS, medians of thirds after the first {WARM_SHARE:.0%}.",
        tuple(ratios),
        (
            Table(
                "Memory and descriptors",
                ("process", "MB, first third", "MB, last third", "descriptors before", "after"),
                tuple(rows),
                f"The run folder held {after['MB in the run folder']:.0f} MB at the end. On the third camera "
                f"{day.hours:.1f} hours went by, with {day.events} events.",
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


def _left(home: Appliance) -> dict[str, float]:
    """Return what would grow if somebody forgot to clean up: files, their size, message queues."""
    files = [file for file in home.run_folder.rglob("*") if file.is_file()]
    state = [file for file in Path(home.settings["state_dir"]).rglob("*") if file.is_file()]
    queues = list(Path("/dev/mqueue").iterdir()) if Path("/dev/mqueue").is_dir() else []
    return {
        "files in the run folder": len(files),
        "MB in the run folder": sum(file.stat().st_size for file in files) / 1e6,
        "files in the state folder": len(state),
        "message queues": max(1, len(queues)),
    }


def _settings(broker_port: int) -> dict[str, Any]:
    return {
        "cameras": [
            {"id": "porch", "source": "synthetic://porch?size=640x360&fps=10&seed=12&people_per_minute=4"},
            {
                "id": "yard",
                "source": "synthetic://porch?size=640x360&fps=10&seed=13&hour=20&rain=true&people_per_minute=2",
                "standby_fps": 10.0,
            },
            {"id": "day", "source": "synthetic://porch?size=320x180&fps=5&seed=14&people_per_minute=1&rate=lockstep"},
        ],
        "model": {"path": str(PORCH_DEMO), "backend": "onnxruntime", "threads": 1},
        "mqtt": {"host": "127.0.0.1", "port": broker_port},
    }


class Day:
    """Counts the events of the camera whose time flies, and nothing else: pictures would fill this process."""

    def __init__(self, port: int) -> None:
        self.events = 0
        self._times: list[datetime] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("porchlight/+/day/event", qos=1)
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    @property
    def hours(self) -> float:
        """Between the first event and the last."""
        return (self._times[-1] - self._times[0]).total_seconds() / 3600 if self._times else 0.0

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.events += 1
        self._times = [*self._times[:1], datetime.fromisoformat(json.loads(message.payload)["timestamp"])]


def _all_known(home: Appliance) -> bool:
    cameras = home.status().get("cameras", [])
    return len(cameras) == 3 and all(camera["known"] for camera in cameras)


def _watch(url: str, gone: threading.Event) -> None:
    """A viewer of the MJPEG stream."""
    while not gone.is_set():
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(f"{url}/cameras/porch/stream.mjpeg", timeout=10) as stream,
        ):
            while not gone.is_set() and stream.read(65536):
                pass
