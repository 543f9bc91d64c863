"""The painted porch through the whole appliance in lockstep: scene time, asserted exactly."""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from appliance.capture.synthetic import Scene, SceneOptions
from appliance.gateway.wire import unpack
from appliance.inference.demo import PORCH_DEMO
from appliance.ipc.heartbeat import read_heartbeats
from appliance.ipc.run_folder import RunFolder
from tests.rig import Appliance, Broker, Ear, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

FPS = 10
ENTRY_PROMISE_S = 1.5
VISITS = 20

Start = Callable[[dict[str, Any]], Appliance]


def settings(broker: Broker, query: str) -> dict[str, Any]:
    source = f"synthetic://porch?size=640x360&fps={FPS}&rate=lockstep&{query}"
    return {
        "cameras": [{"id": "porch", "source": source}],
        "model": {"path": str(PORCH_DEMO)},
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
    }


def _scene_time(porch: Appliance) -> float:
    """Return how far the scene has gone, by the newest frame that the sentry has taken into account."""
    return _frames(porch) / FPS


def _frames(porch: Appliance) -> float:
    beat = read_heartbeats(RunFolder(porch.instance)).get("capture.porch")
    return beat.counters.get("frames_captured", 0) if beat else 0


@pytest.mark.parametrize(
    "query", ["seed=11&hour=14&people_per_minute=0", "seed=12&hour=20.5&people_per_minute=0&rain=true"]
)
def test_ten_minutes_without_people_are_ten_minutes_without_an_event(
    broker: Broker, ear: Ear, appliance: Start, figure: Callable[[str, str], None], query: str
) -> None:
    porch = appliance(settings(broker, query))
    wait_for("ten minutes of scene", 280, lambda: _scene_time(porch) >= 600)
    changes = [heard.json()["state"] for heard in ear.all("/porch/state")]
    figure(f"porch without people, ten minutes, {query}", f"{changes.count('validation')} validations, no event")
    assert porch.stop() == 0
    assert ear.all("/porch/event") == []


def test_twenty_visits_are_twenty_entries_and_departures_and_boxes_sit_on_people(
    broker: Broker, ear: Ear, appliance: Start, figure: Callable[[str, str], None]
) -> None:
    scene = Scene(SceneOptions(seed=21, width=640, height=360, people_per_minute=3))
    visits = scene.visits(3600)[:VISITS]
    porch = appliance(settings(broker, "seed=21&people_per_minute=3"))
    overlaps: list[float] = []
    stop = threading.Event()
    wait_for("the gateway serves", 30, lambda: porch.get("/readyz")[0] == 200)
    watcher = threading.Thread(target=lambda: asyncio.run(_overlaps(porch.url, scene, overlaps, stop)), daemon=True)
    watcher.start()
    wait_for("the last visit is over", 560, lambda: len(ear.all("/porch/event")) >= 2 * VISITS)
    stop.set()
    watcher.join(10)
    events = [heard.json() for heard in ear.all("/porch/event")][: 2 * VISITS]
    assert porch.stop() == 0

    assert [event["event_type"] for event in events] == ["person_entered", "person_left"] * VISITS
    entered = [(event["frame_number"] - 1) / FPS for event in events[::2]]
    left = [(event["frame_number"] - 1) / FPS for event in events[1::2]]
    late = [at - visit.begin for at, visit in zip(entered, visits, strict=True)]
    figure(
        "porch: seconds from visible to person_entered, median and most",
        f"{statistics.median(late):.2f} {max(late):.2f}",
    )
    figure("porch: median IoU of boxes with the ground truth", f"{statistics.median(overlaps):.2f} of {len(overlaps)}")
    assert max(late) <= ENTRY_PROMISE_S, late
    assert min(late) >= -ENTRY_PROMISE_S, late
    assert all(visit.begin <= at for at, visit in zip(left, visits, strict=True))
    assert statistics.median(overlaps) >= 0.5


async def _overlaps(url: str, scene: Scene, overlaps: list[float], stop: threading.Event) -> None:
    """Note, for each person that the detector boxed, how well the box fits the best of the people that are there."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws", max_msg_size=0) as socket:
        while not stop.is_set():
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                return
            metadata, _ = unpack(message.data)
            if metadata["detections_frame_number"] != metadata["frame_number"]:
                continue
            there = [t.box for t in scene.truth((metadata["frame_number"] - 1) / FPS) if t.kind == "person"]
            for row in metadata["detections"]:
                if row["class_id"] == 0:
                    box = (row["x1"], row["y1"], row["x2"], row["y2"])
                    overlaps.append(max((_iou(box, other) for other in there), default=0.0))


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    inner_w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    inner_h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inner = inner_w * inner_h
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    return inner / union if union else 0.0
