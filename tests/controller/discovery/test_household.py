"""The devices that Home Assistant is told of."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from appliance.config import Alarm, Camera, Settings, Zone
from appliance.controller.alarm.words import Command, EventKind
from appliance.controller.commands import AlarmCommand, Restart, in_words, parse
from appliance.controller.discovery.household import ALARM, ENTERED, LEFT, household
from appliance.controller.overlay import RANGES, Setting
from appliance.controller.topics import Topics
from appliance.inference.backends import BACKENDS
from tests.home_assistant.hass import PYTHON, TOOLS, lint

LAWN = ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0))
SETTINGS = Settings(
    instance="home",
    cameras=(
        Camera(id="front_door", source="file:///a.mp4", area="Porch"),
        Camera(
            id="garden",
            source="file:///b.mp4",
            name="Garden gate",
            zones=(Zone(id="person", polygon=LAWN), Zone(id="lawn", name="The lawn", polygon=LAWN)),
        ),
    ),
)
TOPICS = Topics("home")
CAMERAS = [camera.id for camera in SETTINGS.cameras]


def payloads() -> dict[str, dict[str, Any]]:
    return {payload.topic(): json.loads(payload.json()) for payload in household(SETTINGS)}


def components(device: str, settings: Settings = SETTINGS, *, has_pin: bool = False) -> dict[str, dict[str, Any]]:
    """Return the components of a device, as they are announced."""
    topic = f"homeassistant/device/porchlight_home{device}/config"
    announced = {payload.topic(): payload.json() for payload in household(with_pin(settings) if has_pin else settings)}
    found: dict[str, dict[str, Any]] = json.loads(announced[topic])["components"]
    return found


def with_pin(settings: Settings) -> Settings:
    alarm = settings.alarm.model_copy(update={"pin": SecretStr("$argon2id$...")})
    return settings.model_copy(update={"alarm": alarm})


def with_codes(arm: bool, disarm: bool, trigger: bool) -> Settings:
    alarm = Alarm(code_to_arm=arm, code_to_disarm=disarm, code_to_trigger=trigger)
    return SETTINGS.model_copy(update={"alarm": alarm})


def test_there_is_a_hub_and_a_device_for_each_camera() -> None:
    assert list(payloads()) == [
        "homeassistant/device/porchlight_home/config",
        "homeassistant/device/porchlight_home_front_door/config",
        "homeassistant/device/porchlight_home_garden/config",
    ]


def test_cameras_hang_on_the_hub_with_their_name_and_area() -> None:
    device = payloads()["homeassistant/device/porchlight_home_front_door/config"]["device"]
    assert device["via_device"] == "porchlight_home"
    assert device["name"] == "Front door"
    assert device["suggested_area"] == "Porch"


def test_unique_ids_are_unique_over_all_devices() -> None:
    ids = [c.unique_id for p in household(SETTINGS) for c in p.components.values() if hasattr(c, "unique_id")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("has_pin", [False, True])
def test_each_device_has_what_a_household_looks_for(has_pin: bool) -> None:
    assert set(components("", has_pin=has_pin)) == {
        "alarm", "alarm_event", "problem", "started", "backend", "detector", "restart",
        "stage_capture", "stage_inference", "stage_controller", "stage_gateway",
        "alarm_latency_p50", "alarm_latency_p95", "alarm_latency_last",
    }  # fmt: skip
    of_every_camera = {
        "camera", "last_person", "person", "event", "person_entered", "person_count", "last_seen", "state", "mode",
        "connectivity", "watching", "fps", "latency", "dropped",
        "alarm_latency_p50", "alarm_latency_p95", "alarm_latency_last",
        "detection", "live_view", "threshold", "clear_seconds",
    }  # fmt: skip
    assert set(components("_front_door")) == of_every_camera
    assert set(components("_garden")) == of_every_camera | {"zone_person", "zone_lawn"}


def test_the_panel_is_the_main_entity_of_the_hub_and_the_picture_that_of_a_camera() -> None:
    for device, main in (("", "alarm"), ("_front_door", "camera"), ("_garden", "camera")):
        assert [key for key, one in components(device).items() if one.get("name", "") is None] == [main]


def test_only_what_can_be_set_is_in_the_settings_of_a_device() -> None:
    for device in ("", "_garden"):
        set_here = {key for key, one in components(device).items() if one.get("entity_category") == "config"}
        told = {key for key, one in components(device).items() if "command_topic" in one}
        assert set_here == told - {"alarm"}


def test_what_depends_on_seeing_is_unavailable_when_the_camera_cannot_see() -> None:
    garden = components("_garden")
    for key in ("person", "zone_person", "zone_lawn", "event", "person_count", "state", "mode"):
        topics = [entry["topic"] for entry in garden[key]["availability"]]
        assert topics == ["porchlight/home/status", "porchlight/home/garden/status"], key
        assert garden[key]["availability_mode"] == "all"


@pytest.mark.parametrize("setting", Setting)
def test_a_setting_is_there_while_the_controller_is_whether_the_camera_sees_or_not(setting: Setting) -> None:
    one = components("_garden")[setting]
    assert one["availability"] == [{"topic": "porchlight/home/status"}]
    assert one["state_topic"] == f"porchlight/home/garden/cfg/{setting}"
    assert one["command_topic"] == f"porchlight/home/garden/cfg/{setting}/set"


def test_a_number_goes_as_far_as_its_setting_does() -> None:
    garden = components("_garden")
    assert (garden["threshold"]["min"], garden["threshold"]["max"]) == (5, 99)
    assert garden["threshold"]["unit_of_measurement"] == "%"
    assert garden["clear_seconds"]["max"] == 3600
    assert (garden["clear_seconds"]["unit_of_measurement"], garden["clear_seconds"]["device_class"]) == (
        "s",
        "duration",
    )
    # The payload leaves out what Home Assistant has as its own default.
    assert "min" not in garden["clear_seconds"]
    assert in_words(Setting.CLEAR_SECONDS, RANGES[Setting.CLEAR_SECONDS][0]) == "0"


def test_the_picture_of_the_last_person_goes_with_the_gateway_and_stays_with_a_dead_camera() -> None:
    image = components("_garden")["last_person"]
    assert [entry["topic"] for entry in image["availability"]] == [TOPICS.status, TOPICS.picture_status]
    assert (image["image_topic"], image["content_type"]) == ("porchlight/home/garden/last_person", "image/jpeg")


def test_a_live_view_that_is_off_leaves_no_old_picture_standing() -> None:
    availability = components("_garden")["camera"]["availability"]
    live_view = next(entry for entry in availability if entry["topic"] == "porchlight/home/garden/cfg/live_view")
    assert live_view["payload_available"] == in_words(Setting.LIVE_VIEW, True)
    assert live_view["payload_not_available"] == in_words(Setting.LIVE_VIEW, False)


def test_a_zone_called_person_is_not_taken_for_the_camera() -> None:
    garden = components("_garden")
    zone, camera = garden["zone_person"], garden["person"]
    assert zone["name"] == camera["name"] == "Person"
    assert zone["unique_id"] == "porchlight_home_garden_zone-person"
    assert camera["unique_id"] == "porchlight_home_garden_person"
    assert zone["state_topic"] == "porchlight/home/garden/zone/person/person"
    assert garden["zone_lawn"]["name"] == "The lawn"


def test_the_event_entities_know_every_event() -> None:
    assert components("")["alarm_event"]["event_types"] == [str(kind) for kind in EventKind]
    assert components("_garden")["event"]["event_types"] == [ENTERED, LEFT, ALARM]


def test_without_a_pin_no_code_is_asked_for_whatever_the_settings_say() -> None:
    settings = with_codes(arm=True, disarm=True, trigger=True)
    panel = components("", settings, has_pin=False)["alarm"]
    assert "code" not in panel
    assert "command_template" not in panel
    assert not any(panel[f"code_{what}_required"] for what in ("arm", "disarm", "trigger"))


@pytest.mark.parametrize(("arm", "disarm", "trigger"), list(product([False, True], repeat=3)))
def test_with_a_pin_the_code_is_asked_for_where_the_settings_say_so(arm: bool, disarm: bool, trigger: bool) -> None:
    settings = with_codes(arm, disarm, trigger)
    panel = components("", settings, has_pin=True)["alarm"]
    asked = tuple(panel[f"code_{what}_required"] for what in ("arm", "disarm", "trigger"))
    assert asked == (arm, disarm, trigger)
    assert panel.get("code") == ("REMOTE_CODE" if any(asked) else None)


def test_what_home_assistant_sends_is_understood() -> None:
    hub = components("", has_pin=True)
    assert hub["alarm"]["supported_features"] == ["arm_home", "arm_away", "arm_night", "trigger"]
    assert '"action"' in hub["alarm"]["command_template"].replace("'", '"')
    for action in ("ARM_HOME", "ARM_AWAY", "ARM_NIGHT", "DISARM", "TRIGGER"):
        payload = json.dumps({"action": action, "code": "0815"}).encode()
        asked = parse(hub["alarm"]["command_topic"], payload, False, TOPICS, CAMERAS)
        assert asked == AlarmCommand(Command(action), "0815")
    pressed = hub["restart"].get("payload_press", "PRESS").encode()
    assert parse(hub["restart"]["command_topic"], pressed, False, TOPICS, CAMERAS) == Restart()


def test_another_discovery_prefix_is_used() -> None:
    assert household(SETTINGS)[0].topic("ha") == "ha/device/porchlight_home/config"


@pytest.mark.real
@pytest.mark.timeout(180)
@pytest.mark.parametrize("has_pin", [False, True])
def test_home_assistants_own_schemas_take_every_key(tmp_path: Path, has_pin: bool) -> None:
    if not PYTHON.exists() or not TOOLS.exists():
        pytest.skip(f"not here: Home Assistant ({PYTHON}; ../shared/tools/ha/setup.sh makes it)")
    for number, payload in enumerate(household(with_pin(SETTINGS) if has_pin else SETTINGS)):
        file = tmp_path / f"{number}.json"
        file.write_text(payload.json())
        assert "0 problem(s)" in lint(file)


def test_every_backend_there_is_can_be_shown() -> None:
    assert set(components("")["backend"]["options"]) == set(BACKENDS)
