"""The settings are edited while it runs: cameras come, change and go, and the others notice nothing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from appliance.inference.demo import PORCH_DEMO
from appliance.ipc.heartbeat import fresh_heartbeats
from appliance.ipc.run_folder import RunFolder
from tests.rig import Appliance, Broker, Ear, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

PORCH = {"id": "porch", "source": "synthetic://porch?size=320x180&fps=10&seed=3"}
YARD = {"id": "yard", "source": "synthetic://porch?size=320x180&fps=10&seed=4"}
PATIENCE_S = 15

Start = Callable[[dict[str, Any]], Appliance]


def edit(home: Appliance, cameras: list[dict[str, Any]], **more: Any) -> None:
    home.config.write_text(yaml.safe_dump({**home.settings, **more, "cameras": cameras}))


def inferred(home: Appliance, camera: str) -> bool:
    """Whether this camera's frames go through the model."""
    beat = fresh_heartbeats(RunFolder(home.instance)).get("inference")
    return beat is not None and f"inference_ms.{camera}" in beat.counters


def captured(home: Appliance, camera: str) -> float:
    return fresh_heartbeats(RunFolder(home.instance))[f"capture.{camera}"].counters["frames_captured"]


@pytest.fixture
def home(broker: Broker, appliance: Start) -> Appliance:
    one = appliance(
        {
            "cameras": [PORCH],
            "model": {"path": str(PORCH_DEMO)},
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
        }
    )
    wait_for("the porch is watched", 60, lambda: one.state() != "unknown")
    return one


def pids(home: Appliance) -> list[int | None]:
    return [home.pid_of(name) for name in ("inference", "controller", "gateway", "capture", "capture.porch")]


def test_a_camera_that_is_added_is_watched_and_one_that_is_removed_is_gone(home: Appliance, ear: Ear) -> None:
    before = pids(home)
    edit(home, [PORCH, YARD])
    wait_for("the yard is seen", PATIENCE_S, lambda: ear.last("/yard/status") == "online")
    wait_for("and its frames looked at", PATIENCE_S, lambda: inferred(home, "yard"))
    assert [camera["id"] for camera in home.status()["cameras"]] == ["porch", "yard"]
    assert json.loads(ear.last(f"porchlight_{home.instance}_yard/config") or "{}")["device"]["name"] == "Yard"

    edit(home, [PORCH])
    wait_for("Home Assistant is told", PATIENCE_S, lambda: ear.last(f"porchlight_{home.instance}_yard/config") == "")
    wait_for("its process is gone", PATIENCE_S, lambda: home.pid_of("capture.porch") in before and not yards(home))
    left = {m.topic: m.payload for m in ear.heard if "/yard/" in m.topic and m.topic.startswith("porchlight/")}
    told_live = ("event", "stats", "camera")
    assert {topic for topic, payload in left.items() if payload and not topic.endswith(told_live)} == set()
    wait_for("its picture is gone", PATIENCE_S, lambda: home.get("/cameras/yard/snapshot.jpg")[0] == 404)
    assert pids(home) == before
    assert "offline" not in [heard.payload.decode() for heard in ear.all("/porch/status")]


def yards(home: Appliance) -> list[int]:
    return home.pids("stage", "capture", "--camera", "yard")


def test_a_camera_that_is_changed_starts_anew_and_alone(home: Appliance) -> None:
    edit(home, [PORCH, YARD])
    wait_for("the yard is looked at", PATIENCE_S, lambda: inferred(home, "yard"))
    before, (yard,) = pids(home), yards(home)
    edit(home, [PORCH, {**YARD, "source": YARD["source"].replace("320x180", "640x360")}])
    wait_for("the yard has a new process", PATIENCE_S, lambda: yards(home) not in ([], [yard]))
    wait_for("and is seen", PATIENCE_S, lambda: snapshot_width(home, "yard") == 640)
    assert pids(home) == before


def snapshot_width(home: Appliance, camera: str) -> int:
    code, jpeg = home.get(f"/cameras/{camera}/snapshot.jpg")
    at = jpeg.find(b"\xff\xc0")
    return int.from_bytes(jpeg[at + 7 : at + 9]) if code == 200 and at > 0 else 0


def test_a_bad_edit_is_refused_and_even_a_stage_that_dies_then_has_the_last_good_settings(home: Appliance) -> None:
    before = pids(home)
    edit(home, [{**PORCH, "standby_fps": "many"}])
    wait_for("it is said", PATIENCE_S, lambda: "standby_fps" in home.log_text())
    assert "nothing is changed" in home.log_text()
    frames = captured(home, "porch")
    wait_for("the porch goes on", PATIENCE_S, lambda: captured(home, "porch") > frames)
    assert pids(home) == before

    (camera,) = home.pids("stage", "capture", "--camera", "porch")

    os.kill(camera, signal.SIGKILL)
    wait_for("another process", PATIENCE_S, lambda: home.pid_of("capture.porch") not in (None, camera))
    wait_for("the porch is seen again", PATIENCE_S, lambda: home.state() != "unknown")

    edit(home, [PORCH, YARD])
    wait_for("a good edit is taken over", PATIENCE_S, lambda: inferred(home, "yard"))


def test_another_sections_edit_starts_the_stages_anew_that_read_it(home: Appliance) -> None:
    before = dict(zip(("inference", "controller", "gateway", "capture", "porch"), pids(home), strict=True))
    edit(home, [PORCH], gateway={**home.settings["gateway"], "picture_width": 320})
    wait_for("a new gateway", PATIENCE_S, lambda: home.pid_of("gateway") not in (None, before["gateway"]))
    wait_for("it serves", PATIENCE_S, lambda: home.get("/readyz")[0] == 200)
    after = dict(zip(before, pids(home), strict=True))
    assert {name for name in before if before[name] != after[name]} == {"gateway"}
    assert "gateway ended" not in home.log_text()
