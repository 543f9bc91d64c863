"""What a household sees: hub and camera in a real Home Assistant, fed by real footage through a real broker."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import simplejpeg

from tests.home_assistant.hass import Hass, lint
from tests.rig import CLIP, MODEL, ROOT, Appliance, Broker, Ear, clip_settings, need, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(420)]

REPORTS = Path(os.environ.get("TEST_REPORTS", ROOT / "reports"))
LAG_S = 1.0
"""Between the broker and Home Assistant's state machine, polled from outside."""
SAYS_NOTHING = {None, "unknown", "unavailable"}
HAS_NOT_HAPPENED = {
    "porchlight_porch_alarm_event": "unknown",  # the alarm has only been disarmed
    "porchlight_porch_restart": "unknown",  # a button's state is when it was pressed
}
"""Two visits have filled the sensors of what happens now and then: last seen, the alarm latencies, the last picture."""


@pytest.fixture
def hass(tmp_path: Path, broker: Broker) -> Iterator[Hass]:
    home = Hass(tmp_path / "hass", broker.port)
    yield home
    home.down()


def test_a_household_sees_hub_and_camera_and_occupancy_follows_the_clip(
    tmp_path: Path, broker: Broker, ear: Ear, hass: Hass, appliance: Callable[[dict[str, Any]], Appliance],
    figure: Callable[[str, str], None],
) -> None:  # fmt: skip
    need(CLIP, MODEL)
    REPORTS.mkdir(exist_ok=True)
    hass.run("mark")
    porch = appliance(clip_settings(broker.port, f"file://{CLIP}", instance="porch"))
    wait_for("the camera is available", 60, lambda: ear.last("/front_door/status") == "online")
    _, _ = porch.get("/healthz")
    wait_for("Home Assistant has the camera", 20, lambda: "porchlight_porch_front_door_person" in hass.entities())
    entities = hass.entities()
    person = entities["porchlight_porch_front_door_person"]["entity_id"]
    seen = _follow(hass, person, ear, visits=2, seconds=70)

    _occupancy_follows(seen, ear, figure)
    for heard in ear.heard:
        if heard.topic.startswith("homeassistant/device/"):
            payload = tmp_path / f"{heard.topic.split('/')[2]}.json"
            payload.write_bytes(heard.payload)
            lint(payload)
            hass.run("check", "--payload", str(payload), "--since-mark")
    entities = hass.entities()
    assert set(entities) == _announced(ear)
    assert {key: e["state"] for key, e in entities.items() if e["state"] in SAYS_NOTHING} == HAS_NOT_HAPPENED
    figure(f"Home Assistant {hass.version}: entities", str(len(entities)))

    camera = entities["porchlight_porch_front_door_camera"]["entity_id"]
    shot = REPORTS / "home-assistant-camera.jpg"
    hass.run("snapshot", camera, str(shot))
    height, width, _, _ = simplejpeg.decode_jpeg_header(shot.read_bytes())
    assert width <= 640
    assert width / height == pytest.approx(768 / 432, rel=0.01)
    picture = simplejpeg.decode_jpeg(shot.read_bytes(), "RGB")
    assert picture.std() > 20, "a picture of something"
    hass.run("screenshot", str(REPORTS / "home-assistant-camera.png"), "--device", "Front door", "--text", "Sentry",
             "--images", "1")  # fmt: skip
    hass.run("screenshot", str(REPORTS / "home-assistant-hub.png"), "--device", "Porchlight porch", "--text", "Backend")

    # It starts anew: what is retained and what is announced again brings everything back, with its present state.
    hass.run("restart")
    wait_for("occupancy is there again", 15, lambda: hass.state(person) in {"on", "off"})

    # Nobody is there to decide any more: unavailable, never "off".
    assert porch.stop() == 0
    wait_for("occupancy is unavailable", 10, lambda: hass.state(person) == "unavailable")
    wait_for("the camera is unavailable", 10, lambda: hass.state(camera) == "unavailable")
    hass.run("check", "--since-mark")


def _announced(ear: Ear) -> set[str]:
    """Return the unique ids of what stands in the announcements."""
    payloads = {one.topic: one.json() for one in ear.heard if one.topic.startswith("homeassistant/device/")}
    components = [one for payload in payloads.values() for one in payload["components"].values()]
    return {one["unique_id"] for one in components if one["platform"] != "device_automation"}


def _follow(hass: Hass, person: str, ear: Ear, visits: int, seconds: float) -> list[tuple[float, str]]:
    """Look at the occupancy sensor until so many visits are over; return each change with its time."""
    changes: list[tuple[float, str]] = []
    deadline = time.time() + seconds
    while time.time() < deadline and len(ear.all("/front_door/event")) < 2 * visits:
        state = hass.state(person)
        if not changes or changes[-1][1] != state:
            changes.append((time.time(), state))
        time.sleep(0.05)
    time.sleep(LAG_S)
    changes.append((time.time(), hass.state(person)))
    return [change for change in changes if change[1] in {"on", "off"}]


def _occupancy_follows(seen: list[tuple[float, str]], ear: Ear, figure: Callable[[str, str], None]) -> None:
    lags = []
    for heard in ear.all("/front_door/event"):
        want = "on" if heard.json()["event_type"] == "person_entered" else "off"
        lag = min((at - heard.at for at, state in seen if state == want and at >= heard.at - 0.2), default=99.0)
        lags.append(lag)
    figure("Home Assistant: seconds from event to occupancy, polled", " ".join(f"{lag:.2f}" for lag in lags))
    assert len(lags) >= 4
    assert max(lags) <= LAG_S + 0.5
