"""The devices that Home Assistant is told of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.config import Camera, Settings
from appliance.controller.entities import announce
from tests.home_assistant.hass import PYTHON, TOOLS, lint

SETTINGS = Settings(
    instance="home",
    cameras=(
        Camera(id="front_door", source="file:///a.mp4", area="Porch"),
        Camera(id="garden", source="file:///b.mp4", name="Garden gate"),
    ),
)


def payloads() -> dict[str, dict[str, object]]:
    return {payload.topic(): json.loads(payload.json()) for payload in announce(SETTINGS)}


def test_there_is_a_hub_and_a_device_for_each_camera() -> None:
    assert list(payloads()) == [
        "homeassistant/device/porchlight_home/config",
        "homeassistant/device/porchlight_home_front_door/config",
        "homeassistant/device/porchlight_home_garden/config",
    ]


def test_cameras_hang_on_the_hub_with_their_name_and_area() -> None:
    device = payloads()["homeassistant/device/porchlight_home_front_door/config"]["device"]
    assert isinstance(device, dict)
    assert device["via_device"] == "porchlight_home"
    assert device["name"] == "Front door"
    assert device["suggested_area"] == "Porch"


def test_unique_ids_are_unique_over_all_devices() -> None:
    ids = [c.unique_id for p in announce(SETTINGS) for c in p.components.values() if hasattr(c, "unique_id")]
    assert len(ids) == len(set(ids))


def test_what_depends_on_seeing_is_unavailable_when_the_camera_cannot_see() -> None:
    components = payloads()["homeassistant/device/porchlight_home_garden/config"]["components"]
    assert isinstance(components, dict)
    for key in ("person", "event", "person_count", "state", "mode"):
        topics = [entry["topic"] for entry in components[key]["availability"]]
        assert topics == ["porchlight/home/status", "porchlight/home/garden/status"], key
        assert components[key]["availability_mode"] == "all"


def test_another_discovery_prefix_is_used() -> None:
    assert announce(SETTINGS)[0].topic("ha") == "ha/device/porchlight_home/config"


@pytest.mark.real
@pytest.mark.timeout(180)
def test_home_assistants_own_schemas_take_every_key(tmp_path: Path) -> None:
    if not PYTHON.exists() or not TOOLS.exists():
        pytest.skip(f"not here: Home Assistant ({PYTHON}; ../shared/tools/ha/setup.sh makes it)")
    for number, payload in enumerate(announce(SETTINGS)):
        file = tmp_path / f"{number}.json"
        file.write_text(payload.json())
        assert "0 problem(s)" in lint(file)
