"""The main job, on real footage, against a real broker: six visits of one person to a room."""

from __future__ import annotations

import asyncio
import datetime as dt
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import onnxruntime
import pytest
import simplejpeg

from appliance.gateway.wire import unpack
from tests.rig import CLIP, MODEL, Appliance, Broker, Ear, clip_settings, need, wait_for

VISITS = ((6.3, 19.5), (22.8, 44.7), (51.0, 69.6), (74.7, 86.7), (92.7, 119.7), (123.9, 135.9))
"""Seconds of the clip in which somebody is there: media/README.md of ../shared, femto at 0.5."""
ENTRY_PROMISE_S = 1.5
CLIP_S = 139.4
ANCESTOR_FIELDS = {"device_id", "timestamp", "state", "previous_state", "event_type"}

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

Start = Callable[[dict[str, Any]], Appliance]
Figure = Callable[[str, str], None]


def test_six_visits_are_six_entries_and_six_departures(
    broker: Broker, ear: Ear, appliance: Start, figure: Figure
) -> None:
    need(CLIP, MODEL)
    porch = appliance(clip_settings(broker.port, f"file://{CLIP}"))
    wait_for("the clip has begun", 30, lambda: "I420" in porch.log_text())
    messages = asyncio.run(_read_messages(porch.url, 100))
    _check_messages(messages, figure)

    wait_for("the clip has ended", CLIP_S + 30, lambda: "the clip has ended" in porch.log_text())
    wait_for("the last departure", 5, lambda: len(ear.all("/front_door/event")) >= 12)
    events = [heard.json() for heard in ear.all("/front_door/event")]
    assert [event["event_type"] for event in events] == ["person_entered", "person_left"] * 6
    assert all(set(event) >= ANCESTOR_FIELDS for event in events)
    assert not any(heard.retain for heard in ear.all("/front_door/event"))

    # The frame number counts the clip's frames from 1, ten a second: scene time without any clock in between.
    entered = [(event["frame_number"] - 1) / 10 for event in events[::2]]
    left = [(event["frame_number"] - 1) / 10 for event in events[1::2]]
    late = [at - begin for at, (begin, _) in zip(entered, VISITS, strict=True)]
    figure("clip: seconds from somebody being there to person_entered, each visit", _list(late))
    figure(
        "clip: seconds from being gone to person_left",
        _list([at - end for at, (_, end) in zip(left, VISITS, strict=True)]),
    )
    assert all(-0.3 <= seconds <= ENTRY_PROMISE_S for seconds in late), late
    assert all(end <= at for at, (_, end) in zip(left, VISITS, strict=True)), left

    # The same in real time: the events' own timestamps are as far apart as the scene's.
    stamps = [dt.datetime.fromisoformat(event["timestamp"]).timestamp() for event in events[::2]]
    drift = [(stamp - stamps[0]) - (at - entered[0]) for stamp, at in zip(stamps, entered, strict=True)]
    assert max(map(abs, drift)) < 1.0, drift
    figure("clip: latency_ms in the events", _list([event["latency_ms"] for event in events if "latency_ms" in event]))

    wait_for("unavailable after the end", 5, lambda: ear.last("/front_door/status") == "offline")
    assert ear.last("/front_door/person") == "OFF"
    assert porch.stop() == 0
    assert not porch.run_folder.exists()
    assert not porch.pids()


async def _read_messages(url: str, count: int) -> list[tuple[dict[str, Any], bytes]]:
    """As a client of the ancestor does: /ws, binary messages, nothing else known."""
    messages: list[tuple[dict[str, Any], bytes]] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws", max_msg_size=0) as socket:
        while len(messages) < count:
            message = await socket.receive(timeout=20)
            assert message.type is aiohttp.WSMsgType.BINARY
            messages.append(unpack(message.data))
    return messages


def _check_messages(messages: list[tuple[dict[str, Any], bytes]], figure: Figure) -> None:
    """JSON and JPEG decode; boxes are in source pixels, where a plain use of the model puts them in that picture."""
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    overlaps, ages, with_person = [], [], 0
    numbers = [metadata["frame_number"] for metadata, _ in messages]
    assert numbers == sorted(set(numbers))
    for metadata, jpeg in messages:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
        picture = simplejpeg.decode_jpeg(jpeg, "RGB")
        assert (metadata["width"], metadata["height"]) == (width, height) == (768, 432)
        assert metadata["status"] in {"complete", "frame_only"}
        ages.append(metadata["age_ms"])
        people = [row for row in metadata["detections"] or [] if row["class_id"] == 0]
        for row in people:
            assert -1 <= row["x1"] < row["x2"] <= width + 1
            assert -1 <= row["y1"] < row["y2"] <= height + 1
            assert 0.5 <= row["confidence"] <= 1
        if people and metadata["detections_frame_number"] == metadata["frame_number"]:
            with_person += 1
            expected = _plain_person(session, picture)
            if expected is not None:
                best = people[0]
                overlaps.append(_iou((best["x1"], best["y1"], best["x2"], best["y2"]), expected))
    assert with_person >= 10, "the first visit should be in these messages"
    assert statistics.median(overlaps) >= 0.9, overlaps
    figure(
        "ws: median IoU of boxes with a plain use of the model on the same picture",
        f"{statistics.median(overlaps):.3f}",
    )
    figure("ws: median ms from capture to sending, picture and its own boxes", f"{statistics.median(ages):.0f}")


def _plain_person(session: Any, picture: Any) -> tuple[float, float, float, float] | None:
    """Return the best person's box the simple way: floats, no buffers, no tricks."""
    height, width = picture.shape[:2]
    resized = cv2.resize(picture.astype(np.float32) / 255, (384, 384), interpolation=cv2.INTER_LINEAR)
    normal = (resized - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    tensor = normal.transpose(2, 0, 1)[None].astype(np.float32)
    dets, labels = session.run(("dets", "labels"), {"input": tensor})
    scores = 1 / (1 + np.exp(-labels[0, :, 1]))
    best = int(scores.argmax())
    if scores[best] < 0.5:
        return None
    cx, cy, w, h = dets[0, best]
    return (cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    inner_w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    inner_h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inner = inner_w * inner_h
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


def _list(values: list[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def test_settings_that_cannot_work_start_nothing(tmp_path: Path, broker: Broker, ear: Ear, appliance: Start) -> None:
    """A text file as the model, and a port that is taken: exit code 2, the reason, no MQTT message, nothing left."""
    need(CLIP)
    text = tmp_path / "model.onnx"
    text.write_text("I am no model")
    for more, reason in (
        ({"model": {"path": str(text)}}, "is not an ONNX model"),
        ({"gateway": {"port": broker.port}}, f"cannot listen on 127.0.0.1:{broker.port}"),
    ):
        porch = appliance({**clip_settings(broker.port, f"file://{CLIP}"), **more})
        assert porch.process is not None
        assert porch.process.wait(30) == 2
        assert reason in porch.log_text()
        assert not porch.run_folder.exists()
        assert not porch.pids()
    assert not [heard for heard in ear.heard if heard.topic.startswith("homeassistant/")]
