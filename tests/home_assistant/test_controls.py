"""What a household sets, presses and arms, with Home Assistant's own services, and what is left of a removed camera."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from paho.mqtt import publish

from appliance.controller.alarm.pin import hash_pin
from appliance.controller.service import RESTART_FLOOR_S
from tests.home_assistant.hass import Hass, RefusedError
from tests.rig import CLIP, MODEL, ROOT, Appliance, Broker, Ear, clip_settings, need, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

REPORTS = Path(os.environ.get("TEST_REPORTS", ROOT / "reports"))
PIN, WRONG = "258036914", "471108352"
SOON_S = 10
"""For anything that a household would wait for."""
START_S = 60
VISIT_S = 45
"""Within this the clip has somebody coming and going."""
BLIND_S = 1.0
CORNER = {"id": "corner", "polygon": [[0, 0], [0.05, 0], [0.05, 0.05], [0, 0.05]]}
"""At the ceiling, where no feet come."""
HALL = {"id": "hall", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
SOURCE = f"file://{CLIP}?loop=true"
MODE = {"exit_delay_seconds": 0.5, "entry_delay_seconds": 1.0}
QUIET = {**MODE, "counts": ["front_door/corner"]}

HUB = {
    "alarm": ("alarm_control_panel", "", None, None),
    "alarm_event": ("event", "Alarm", None, None),
    "problem": ("binary_sensor", "Problem", "diagnostic", "problem"),
    "started": ("sensor", "Started", "diagnostic", "timestamp"),
    "backend": ("sensor", "Backend", "diagnostic", "enum"),
    "detector": ("binary_sensor", "Detector overloaded", "diagnostic", "problem"),
    "stage_capture": ("binary_sensor", "Capture", "diagnostic", "running"),
    "stage_inference": ("binary_sensor", "Inference", "diagnostic", "running"),
    "stage_controller": ("binary_sensor", "Controller", "diagnostic", "running"),
    "stage_gateway": ("binary_sensor", "Gateway", "diagnostic", "running"),
    "alarm_latency_p50": ("sensor", "Alarm latency p50", "diagnostic", "duration"),
    "alarm_latency_p95": ("sensor", "Alarm latency p95", "diagnostic", "duration"),
    "alarm_latency_last": ("sensor", "Alarm latency last", "diagnostic", "duration"),
    "restart": ("button", "Restart", "config", "restart"),
}
"""Platform, name behind the device's, category, device class."""
CAMERA = {
    "camera": ("camera", "", None, None),
    "last_person": ("image", "Last person", None, None),
    "person": ("binary_sensor", "Person", None, "occupancy"),
    "zone-corner": ("binary_sensor", "Corner", None, "occupancy"),
    "event": ("event", "Visit", None, "motion"),
    "person_count": ("sensor", "Person count", None, None),
    "last_seen": ("sensor", "Last seen", None, "timestamp"),
    "state": ("sensor", "Sentry", None, "enum"),
    "mode": ("sensor", "Mode", "diagnostic", "enum"),
    "watching": ("sensor", "Watching", "diagnostic", "enum"),
    "connectivity": ("binary_sensor", "Connectivity", "diagnostic", "connectivity"),
    "fps": ("sensor", "Frames per second", "diagnostic", None),
    "latency": ("sensor", "Latency", "diagnostic", "duration"),
    "dropped": ("sensor", "Dropped frames", "diagnostic", None),
    "alarm_latency_p50": ("sensor", "Alarm latency p50", "diagnostic", "duration"),
    "alarm_latency_p95": ("sensor", "Alarm latency p95", "diagnostic", "duration"),
    "alarm_latency_last": ("sensor", "Alarm latency last", "diagnostic", "duration"),
    "detection": ("switch", "Detection", "config", None),
    "live_view": ("switch", "Live view", "config", None),
    "threshold": ("number", "Detection threshold", "config", None),
    "clear_seconds": ("number", "Clear after", "config", "duration"),
}


@dataclasses.dataclass(slots=True)
class House:
    """A Home Assistant, and an appliance that it has found."""

    hass: Hass
    broker: Broker
    ear: Ear
    porch: Appliance
    entity: dict[str, str] = dataclasses.field(default_factory=dict)
    """Entity ids, by the end of our unique ids: `front_door_event`."""
    began: float = 0.0

    def call(self, service: str, key: str, **data: Any) -> None:
        self.hass.call(service, self.entity[key], **data)

    def state(self, key: str) -> str:
        return self.hass.state(self.entity[key])

    def attributes(self, key: str) -> dict[str, Any]:
        return self.hass.attributes(self.entity[key])

    def becomes(self, key: str, *wanted: str, within: float = SOON_S) -> None:
        wait_for(f"{key} is {' or '.join(wanted)}", within, lambda: self.state(key) in wanted)

    def follows(self, key: str, value: float) -> None:
        wait_for(f"{key} is {value}", SOON_S, lambda: float(self.state(key)) == value)

    def tells(self, key: str, kind: str) -> dict[str, Any]:
        """Wait until an event entity shows this kind, of an event since the test began; return what comes with it."""

        def told() -> bool:
            state = self.state(key)
            return (
                state not in {"unknown", "unavailable"}
                and dt.datetime.fromisoformat(state).timestamp() >= self.began
                and self.attributes(key)["event_type"] == kind
            )

        wait_for(f"{key} tells {kind}", SOON_S, told)
        return self.attributes(key)

    def reasons(self) -> list[str]:
        """Return all that was ever wrong since the test began."""
        return [reason for one in self.ear.all("/health", self.began) for reason in one.json()["reasons"]]

    def stages(self) -> dict[str, int | None]:
        return {name: self.porch.pid_of(name) for name in ("inference", "controller", "gateway", "capture.front_door")}

    def serves(self) -> None:
        """Wait until the camera is watched, as Home Assistant has it."""
        self.becomes("front_door_person", "on", "off", within=START_S)
        self.becomes("front_door_camera", "idle")


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hass, Broker, Ear]]:
    need(CLIP, MODEL)
    REPORTS.mkdir(exist_ok=True)
    folder = tmp_path_factory.mktemp("house")
    broker = Broker(folder)
    broker.start()
    with contextlib.ExitStack() as undo:
        undo.callback(broker.stop)
        ear = Ear(broker.port)
        undo.callback(ear.close)
        hass = Hass(folder / "hass", broker.port)
        undo.callback(hass.down)
        yield hass, broker, ear


@pytest.fixture(scope="module")
def settled(furnished: tuple[Hass, Broker, Ear], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One appliance for all tests but those that take cameras away."""
    hass, broker, ear = furnished
    alarm = {"pin": hash_pin(PIN), "blind_seconds": BLIND_S, "home": QUIET, "away": MODE, "night": QUIET}
    settings = clip_settings(broker.port, SOURCE, instance="porch", alarm=alarm, sentry={"clear_seconds": 1.0})
    settings["cameras"][0]["zones"] = [CORNER]
    house = House(hass, broker, ear, Appliance(tmp_path_factory.mktemp("porch"), settings))
    hass.run("mark")
    with serving(house, {*HUB, *(f"front_door_{key}" for key in CAMERA)}):
        yield house


@contextlib.contextmanager
def serving(house: House, keys: set[str]) -> Iterator[None]:
    """Run the appliance; Home Assistant has these entities of it, and no others."""
    house.porch.start()
    try:
        house.entity = wait_for("Home Assistant has it all", START_S, lambda: _found(house, keys))
        yield
    finally:
        house.porch.close()
        print(house.porch.log_text())  # pytest shows it where the test failed


def _found(house: House, keys: set[str]) -> dict[str, str]:
    ours = f"porchlight_{house.porch.instance}_"
    found = {key.removeprefix(ours): one for key, one in house.hass.entities().items() if key.startswith(ours)}
    is_whole = set(found) == keys and all(one["state"] is not None for one in found.values())
    return {key: one["entity_id"] for key, one in found.items()} if is_whole else {}


@pytest.fixture
def house(settled: House) -> Iterator[House]:
    """The house at rest: disarmed, watching. In the end Home Assistant has had nothing to say against us."""
    settled.serves()
    if settled.state("alarm") != "disarmed":
        settled.call("alarm_control_panel.alarm_disarm", "alarm", code=PIN)
    settled.becomes("alarm", "disarmed")
    settled.began = time.time()
    try:
        yield settled
        settled.hass.run("check", "--since-mark")
    finally:
        settled.hass.run("mark")


def test_each_entity_has_its_name_its_place_on_the_page_and_its_kind(house: House) -> None:
    entities = house.hass.entities()
    of_camera = {f"front_door_{key}": row for key, row in CAMERA.items()}
    for device, rows in (("Porchlight porch", HUB), ("Front door", of_camera)):
        for key, (platform, name, category, device_class) in rows.items():
            one = entities[f"porchlight_porch_{key}"]
            told = one["attributes"]
            assert one["entity_id"].partition(".")[0] == platform, key
            assert told["friendly_name"] == f"{device} {name}".strip()
            assert one["category"] == category, key
            assert told.get("device_class") == device_class, key
    assert house.hass.devices() == {"porchlight_porch": "Porchlight porch", "porchlight_porch_front_door": "Front door"}


def test_the_panel_is_armed_with_a_tap_and_disarmed_with_the_pin_alone(house: House) -> None:
    for mode in ("home", "night"):
        house.call(f"alarm_control_panel.alarm_arm_{mode}", "alarm")
        house.becomes("alarm", f"armed_{mode}")
        assert house.tells("alarm_event", "armed")["mode"] == mode

        house.call("alarm_control_panel.alarm_disarm", "alarm", code=WRONG)
        assert house.tells("alarm_event", "rejected_code")["reason"] == "wrong_code"
        assert house.state("alarm") == f"armed_{mode}"

        house.call("alarm_control_panel.alarm_disarm", "alarm", code=PIN)
        house.becomes("alarm", "disarmed")
        house.tells("alarm_event", "disarmed")

    house.call("alarm_control_panel.alarm_trigger", "alarm")
    house.becomes("alarm", "triggered")
    house.tells("alarm_event", "triggered")
    house.call("alarm_control_panel.alarm_disarm", "alarm", code=PIN)
    house.becomes("alarm", "disarmed")
    house.hass.run("check", "--since-mark")

    house.call("alarm_control_panel.alarm_arm_home", "alarm")
    house.becomes("alarm", "armed_home")
    asked = time.time()
    house.call("alarm_control_panel.alarm_disarm", "alarm")
    house.call("alarm_control_panel.alarm_disarm", "alarm", code=PIN)
    house.becomes("alarm", "disarmed")
    codes = [one.json()["code"] for one in house.ear.all("/alarm/set", asked)]
    assert codes == [PIN], "without a code, Home Assistant does not even ask"
    house.hass.run("mark")  # it warns of that
    assert PIN not in house.porch.log_text()
    assert WRONG not in house.porch.log_text()


def test_who_walks_in_while_it_is_armed_has_the_entry_delay_and_then_it_is_an_alarm(house: House) -> None:
    house.becomes("front_door_person", "off", within=VISIT_S)
    armed = dt.datetime.now(dt.UTC)
    house.call("alarm_control_panel.alarm_arm_away", "alarm")
    house.becomes("alarm", "triggered", within=VISIT_S)

    alarm = house.tells("alarm_event", "triggered")
    visit = house.tells("front_door_event", "alarm_triggered")
    assert (alarm["camera"], alarm["mode"]) == ("front_door", "away")
    entered = house.ear.all("/front_door/event", armed.timestamp())[0].json()
    assert entered["event_type"] == "person_entered"
    assert visit["incident"] == alarm["incident"] == entered["incident"]
    assert house.state("front_door_person") == "on"

    house.call("alarm_control_panel.alarm_disarm", "alarm", code=WRONG)
    house.tells("alarm_event", "rejected_code")
    assert house.state("alarm") == "triggered"
    house.call("alarm_control_panel.alarm_disarm", "alarm", code=PIN)
    house.becomes("alarm", "disarmed")

    course = ["disarmed", "arming", "armed_away", "pending", "triggered", "disarmed"]
    told = [one.payload.decode() for one in house.ear.all("/alarm/state", armed.timestamp())]
    assert [state for state, _again in itertools.groupby(told)] == course[1:], "each birth has the facts told again"
    wait_for("Home Assistant noted it all", SOON_S, lambda: house.hass.history(house.entity["alarm"], armed) == course)
    for figure in ("p50", "p95", "last"):
        for key in (f"alarm_latency_{figure}", f"front_door_alarm_latency_{figure}"):
            assert 0 < float(house.state(key)) < 5000, key


def test_a_camera_that_is_switched_off_says_nothing_and_only_an_armed_panel_minds(house: House) -> None:
    house.call("switch.turn_off", "front_door_detection")
    house.becomes("front_door_detection", "off")
    house.becomes("front_door_person", "unavailable")
    house.becomes("front_door_state", "unavailable")
    house.becomes("front_door_watching", "off")
    assert house.attributes("front_door_watching")["reason"] == "detection is switched off"
    assert house.state("front_door_camera") == "idle", "the picture has a switch of its own"
    off_at = time.time()
    wait_for("the picture goes on", VISIT_S, lambda: len(house.ear.all("/front_door/camera", off_at)) >= 2)
    assert not [reason for reason in house.reasons() if "Front door" in reason]

    house.call("alarm_control_panel.alarm_arm_away", "alarm")
    house.becomes("alarm", "armed_away")
    blind = house.tells("alarm_event", "blind")
    assert (blind["camera"], blind["reason"]) == ("front_door", "detection is switched off")
    house.becomes("problem", "on")
    (reason,) = (one for one in house.attributes("problem")["reasons"] if "Front door" in one)
    assert reason == "Front door, which the armed alarm relies on: detection is switched off"
    house.call("alarm_control_panel.alarm_disarm", "alarm", code=WRONG)
    house.tells("alarm_event", "rejected_code")
    assert house.state("alarm") == "armed_away"
    house.call("alarm_control_panel.alarm_disarm", "alarm", code=PIN)
    house.becomes("alarm", "disarmed")
    wait_for("it minds no more", SOON_S, lambda: reason not in house.attributes("problem")["reasons"])

    house.call("switch.turn_on", "front_door_detection")
    house.becomes("front_door_detection", "on")
    house.becomes("front_door_person", "on", "off")
    house.becomes("front_door_watching", "watching")


def test_without_its_live_view_a_camera_has_no_picture_but_still_sees(house: House, tmp_path: Path) -> None:
    house.call("switch.turn_off", "front_door_live_view")
    house.becomes("front_door_live_view", "off")
    house.becomes("front_door_camera", "unavailable")
    assert house.state("front_door_person") in {"on", "off"}
    off_at = time.time()
    wait_for("somebody comes or goes", VISIT_S, lambda: house.ear.all("/front_door/event", off_at))
    pictures = house.ear.all("/front_door/camera", off_at + 1)
    assert pictures == []

    house.call("switch.turn_on", "front_door_live_view")
    house.becomes("front_door_camera", "idle")
    wait_for("pictures again", SOON_S, lambda: house.ear.all("/front_door/camera", off_at))
    house.hass.run("snapshot", house.entity["front_door_camera"], str(tmp_path / "again.jpg"))
    assert (tmp_path / "again.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_numbers_are_kept_where_they_are_chosen_and_refused_out_of_range(house: House) -> None:
    chosen = Path(house.porch.settings["state_dir"]) / "choices.json"
    for key, value, kept in (("threshold", 60, 0.6), ("clear_seconds", 2, 2.0)):
        house.call("number.set_value", f"front_door_{key}", value=value)
        house.follows(f"front_door_{key}", value)
        _comes_to_be_kept(chosen, key, kept)

    before, now = chosen.read_bytes(), time.time()
    for key, value in (("threshold", 300), ("threshold", 1), ("clear_seconds", 4000), ("clear_seconds", -1)):
        with pytest.raises(RefusedError):
            house.call("number.set_value", f"front_door_{key}", value=value)
    for key, text in (("threshold", "300"), ("clear_seconds", "soon"), ("threshold", "")):
        refused = _refusals(house)
        topic = f"porchlight/porch/front_door/cfg/{key}/set"
        publish.single(topic, text, qos=1, hostname="127.0.0.1", port=house.broker.port)
        _are_more(house, refused)
    assert not house.ear.all("/cfg/threshold", now)
    assert not house.ear.all("/cfg/clear_seconds", now)
    assert chosen.read_bytes() == before
    assert (float(house.state("front_door_threshold")), float(house.state("front_door_clear_seconds"))) == (60, 2)


def _comes_to_be_kept(path: Path, key: str, value: float) -> None:
    wait_for(f"{key} is kept", SOON_S, lambda: _kept(path).get(key) == value)


def _kept(path: Path) -> dict[str, float]:
    """Return what was chosen for the front door."""
    if not path.exists():
        return {}
    choices = json.loads(path.read_text())["cameras"].get("front_door", {})
    return {setting: choice["value"] for setting, choice in choices.items()}


def _refusals(house: House) -> int:
    return house.porch.log_text().count("command refused")


def _are_more(house: House, than: int) -> None:
    wait_for("it is refused aloud", SOON_S, lambda: _refusals(house) > than)


def test_the_restart_button_starts_every_stage_anew_and_is_deaf_while_armed_and_at_first(house: House) -> None:
    house.call("alarm_control_panel.alarm_arm_night", "alarm")
    house.becomes("alarm", "armed_night")
    house.call("button.press", "restart")
    wait_for("refused aloud", SOON_S, lambda: "no restart while the alarm is armed" in house.porch.log_text())
    house.call("alarm_control_panel.alarm_disarm", "alarm", code=PIN)
    house.becomes("alarm", "disarmed")

    before, began = house.stages(), house.state("started")
    since_start = (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(began)).total_seconds()
    due = time.monotonic() + RESTART_FLOOR_S + 1 - since_start
    wait_for("it has run for a while", RESTART_FLOOR_S + 2, lambda: time.monotonic() > due)
    pressed = time.time()
    house.call("button.press", "restart")
    wait_for("new processes", START_S, lambda: _all_new(before, house.stages()))
    house.becomes("front_door_person", "on", "off", within=START_S)
    wait_for("its start is told", SOON_S, lambda: house.state("started") not in {began, "unavailable"})
    house.becomes("alarm", "disarmed")
    assert {one.payload.decode() for one in house.ear.all("/alarm/state", pressed)} <= {"disarmed"}

    after = house.stages()
    house.call("button.press", "restart")
    wait_for("refused aloud", SOON_S, lambda: "no restart: the controller has just started" in house.porch.log_text())
    assert house.stages() == after


def _all_new(before: dict[str, int | None], now: dict[str, int | None]) -> bool:
    return all(pid is not None and pid != before[name] for name, pid in now.items())


def test_what_was_set_and_armed_is_as_it_was_after_a_new_start_of_either_side(house: House) -> None:
    house.call("number.set_value", "front_door_threshold", value=55)
    house.call("number.set_value", "front_door_clear_seconds", value=7)
    house.call("switch.turn_off", "front_door_live_view")
    house.call("alarm_control_panel.alarm_arm_home", "alarm")
    house.becomes("front_door_camera", "unavailable")
    house.becomes("alarm", "armed_home")
    _holds(house)

    stopped = time.time()
    assert house.porch.stop() == 0
    for key in ("alarm", "front_door_detection", "front_door_threshold", "restart"):
        house.becomes(key, "unavailable")
    house.porch.start()
    house.becomes("alarm", "armed_home", within=START_S)
    house.becomes("front_door_person", "on", "off", within=START_S)
    _holds(house)
    assert {one.payload.decode() for one in house.ear.all("/alarm/state", stopped)} == {"armed_home"}

    house.hass.run("restart")
    house.becomes("alarm", "armed_home", within=START_S)
    house.becomes("front_door_person", "on", "off", within=START_S)
    _holds(house)

    house.call("switch.turn_on", "front_door_live_view")
    house.call("number.set_value", "front_door_clear_seconds", value=1)
    house.becomes("front_door_camera", "idle", within=START_S)


def _holds(house: House) -> None:
    """What the test has set holds, and nothing else is changed."""
    house.follows("front_door_threshold", 55)
    house.follows("front_door_clear_seconds", 7)
    assert house.state("front_door_live_view") == "off"
    assert house.state("front_door_detection") == "on"
    assert house.state("front_door_camera") == "unavailable"


def test_hub_camera_and_panel_as_a_household_sees_them(house: House) -> None:
    """For a person to look at; but what they must show, they show."""
    devices = {one["name"]: one["id"] for one in json.loads(house.hass.run("devices"))}
    for name, device, text in (
        ("hub", "Porchlight porch", ("Restart", "Alarm latency p95", "Detector overloaded")),
        ("camera", "Front door", ("Live view", "Detection threshold", "Clear after", "Detection", "Last person")),
    ):
        words = [word for one in text for word in ("--text", one)]
        path = f"/config/devices/device/{devices[device]}"
        house.hass.run("screenshot", str(REPORTS / f"home-assistant-{name}-device.png"), "--path", path, *words)
    house.call("alarm_control_panel.alarm_arm_home", "alarm")
    house.becomes("alarm", "armed_home")
    house.hass.run("screenshot", str(REPORTS / "home-assistant-alarm.png"), "--device", "Porchlight porch",
                   "--text", "Armed home", "--text", "Disarm")  # fmt: skip


@pytest.fixture
def estate(furnished: tuple[Hass, Broker, Ear], tmp_path: Path) -> Iterator[House]:
    """Another appliance, with two cameras and two zones, all of which have seen somebody."""
    hass, broker, ear = furnished
    settings = clip_settings(broker.port, SOURCE, instance="estate")
    settings["cameras"] = [
        {"id": "front_door", "source": SOURCE, "zones": [HALL, CORNER]},
        {"id": "garden", "source": SOURCE, "standby_fps": 2, "alarmed_fps": 4},
    ]
    hass.run("mark")
    house = House(hass, broker, ear, Appliance(tmp_path, settings))
    with serving(house, keys_of("front_door", "zone-hall", "zone-corner") | keys_of("garden")):
        wait_for("the front door has a picture", START_S, lambda: ear.all("estate/front_door/last_person"))
        wait_for("the garden has a picture", START_S, lambda: ear.all("estate/garden/last_person"))
        yield house
        hass.run("check", "--since-mark")


def keys_of(camera: str, *zones: str) -> set[str]:
    own = {*CAMERA, *zones} - {"zone-corner"} | set(zones)
    return {*HUB, *(f"{camera}_{key}" for key in own)}


def test_nothing_is_left_of_a_camera_and_a_zone_that_were_taken_away(estate: House) -> None:
    cameras = estate.porch.settings["cameras"]
    cameras[:] = [{**cameras[0], "zones": [HALL]}]
    estate.porch.config.write_text(yaml.safe_dump(estate.porch.settings))
    left = keys_of("front_door", "zone-hall")
    wait_for("the garden and the corner are gone", START_S, lambda: _found(estate, left))
    assert "porchlight_estate_garden" not in estate.hass.devices()
    edited = time.time()
    wait_for("the front door has seen more", VISIT_S, lambda: estate.ear.all("estate/front_door/event", edited))
    assert [topic for topic in retained(estate) if "garden" in topic or "corner" in topic] == []

    # Away from the appliance's eyes: a camera gets another name.
    assert estate.porch.stop() == 0
    cameras[:] = [{**cameras[0], "id": "gate"}]
    with serving(estate, keys_of("gate", "zone-hall")):
        estate.becomes("gate_person", "on", "off", within=START_S)
        assert set(estate.hass.devices()) >= {"porchlight_estate", "porchlight_estate_gate"}
        assert "porchlight_estate_front_door" not in estate.hass.devices()
        topics = retained(estate)
        assert [topic for topic in topics if "front_door" in topic] == []
        assert "porchlight/estate/gate/person" in topics


def retained(house: House) -> list[str]:
    """Return the topics of this appliance of which the broker holds something, as whoever comes late hears them."""
    late = Ear(house.broker.port)
    try:
        publish.single("marker", "", qos=1, hostname="127.0.0.1", port=house.broker.port)
        wait_for("all of it was heard", SOON_S, lambda: late.all("marker"))
        topics = [one.topic for one in late.heard if one.retain and one.payload]
    finally:
        late.close()
    own = (f"porchlight/{house.porch.instance}/", f"homeassistant/device/porchlight_{house.porch.instance}")
    return [topic for topic in topics if topic.startswith(own)]
