"""Runs inside the emulated machine (test_v4l2_appliance.py starts it): the whole appliance on two real V4L2 devices.

vivid is a USB camera that gives YUYV, v4l2loopback one that gives MJPG; the model is a stand-in of ../shared.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.demo import embedded_broker
from appliance.ipc.heartbeat import fresh_heartbeats
from appliance.ipc.run_folder import RunFolder
from tests.capture.clips import jpeg, noise
from tests.rig import Appliance, Ear, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

VIVID, LOOPBACK = "/dev/video0", "/dev/video10"
SLOW_S = 150
"""The machine is emulated: what takes a second outside takes half a minute here."""


def settings(model: str, port: int) -> dict[str, Any]:
    return {
        "cameras": [
            {"id": "vivid", "source": f"v4l2://{VIVID}?size=640x360&format=yuyv", "standby_fps": 1.0},
            {"id": "mjpg", "source": f"v4l2://{LOOPBACK}?format=mjpg", "standby_fps": 1.0},
        ],
        # Trying backends would take minutes here.
        "model": {"path": model, "backend": "onnxruntime", "threads": 2, "threshold": 0.9},
        "mqtt": {"host": "127.0.0.1", "port": port},
        "supervisor": {"silence_seconds": 60},
    }


def feed(folder: Path) -> subprocess.Popen[bytes]:
    """An MJPG camera: ffmpeg writes a short film into the loopback, over and over."""
    film = folder / "film.mjpeg"
    film.write_bytes(b"".join(jpeg(noise(seed, 320, 240)) for seed in range(10)))
    command = ["ffmpeg", "-loglevel", "error", "-re", "-stream_loop", "-1", "-f", "mjpeg", "-framerate", "10"]
    return subprocess.Popen([*command, "-i", str(film), "-c", "copy", "-f", "v4l2", LOOPBACK])


def control(name: str) -> None:
    subprocess.run(["v4l2-ctl", "-d", VIVID, "-c", f"{name}=1"], check=True)


def heard(ear: Ear, topic: str, payload: str, since: float = 0) -> Callable[[], float]:
    """Return what says when this was first heard after `since`, 0 while it was not."""
    return lambda: next((m.at for m in ear.all(topic, since) if m.payload.decode() == payload), 0)


def inferred(home: Appliance, camera: str) -> bool:
    beat = fresh_heartbeats(RunFolder(home.instance)).get("inference")
    return beat is not None and f"inference_ms.{camera}" in beat.counters


def main(model: str, told: Path) -> None:
    folder = Path("/tmp/appliance")
    folder.mkdir()
    facts: dict[str, Any] = {}
    with embedded_broker() as port:
        ear = Ear(port)
        feeder = feed(folder)
        home = Appliance(folder, settings(model, port))
        home.start()
        try:
            for camera in ("vivid", "mjpg"):
                wait_for(f"{camera} is looked at", SLOW_S, partial(inferred, home, camera))
                wait_for(f"{camera} is connected", 30, heard(ear, f"/{camera}/connectivity", "ON"))
                wait_for(f"{camera} is seen", 60, heard(ear, f"/{camera}/status", "online"))
            code, picture = home.get("/cameras/vivid/snapshot.jpg")
            facts["snapshot"] = [code, picture[:2].hex()]
            before = time.time()
            control("disconnect")
            facts["off_after_s"] = wait_for("off", 60, heard(ear, "/vivid/connectivity", "OFF", before)) - before
            facts["reason"] = next(iter(fresh_heartbeats(RunFolder(home.instance))["capture.vivid"].sources)).reason
            wait_for("gone", 60, lambda: ear.last("/vivid/status") == "offline")
            facts["unavailable_after_s"] = time.time() - before
            facts["other"] = ear.last("/mjpg/connectivity")
            # vivid plugs itself in again as soon as nobody holds what was unplugged.
            facts["on_after_s"] = wait_for("on", 60, heard(ear, "/vivid/connectivity", "ON", before)) - before
            wait_for("seen", 60, lambda: ear.last("/vivid/status") == "online")
            facts["exit"] = home.stop()
        finally:
            home.close()
            feeder.kill()
            feeder.wait()
            ear.close()
            facts["log"] = home.log_text()
            told.write_text(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
