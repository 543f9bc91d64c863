"""One device with every platform: as it was agreed, and as the real Home Assistant takes it."""

import json
import os
import random
import subprocess
from dataclasses import MISSING, fields
from enum import EnumMeta
from pathlib import Path
from typing import Any, get_args

import pytest

from ha_discovery import (
    ACTION_AND_CODE,
    STATE_CLASSES,
    UNITS,
    AlarmControlPanel,
    AlarmFeature,
    Availability,
    AvailabilityMode,
    BinarySensor,
    BinarySensorDeviceClass,
    Button,
    ButtonDeviceClass,
    Camera,
    Component,
    Device,
    DevicePayload,
    DeviceTrigger,
    DiscoveryError,
    EntityCategory,
    Event,
    EventDeviceClass,
    Image,
    Number,
    NumberMode,
    Origin,
    Platform,
    RemoteCode,
    Sensor,
    SensorDeviceClass,
    StateClass,
    Switch,
    SwitchDeviceClass,
    Update,
    UpdateDeviceClass,
    removing,
)

GOLDEN = Path(__file__).with_name("everything.json")
LINT = Path(__file__).parents[3] / "shared" / "tools" / "ha" / "lint_discovery.py"
PYTHON = Path(os.environ.get("HA_PYTHON", "/opt/ha-venv/bin/python"))
CLASSES = (
    AlarmControlPanel,
    BinarySensor,
    Button,
    Camera,
    DeviceTrigger,
    Event,
    Image,
    Number,
    Sensor,
    Switch,
    Update,
)

DEVICE = Device(
    identifiers=("porch_0001", "00:11:22:33:44:55"),
    name="Porch",
    manufacturer="Example",
    model="Everything",
    sw_version="1.2.3",
    hw_version="B",
    serial_number="0001",
    configuration_url="http://porch.local:8099/",
    suggested_area="Porch",
    via_device="porch_hub",
)
ORIGIN = Origin(name="porchd", sw_version="1.2.3", support_url="https://example.org/porch")
STATUS = Availability(topic="porch/status")

EVERYTHING = DevicePayload(
    device=DEVICE,
    origin=ORIGIN,
    availability=(
        STATUS,
        Availability(
            topic="porch/capture",
            payload_available="yes",
            payload_not_available="no",
            value_template="{{ value_json.alive }}",
        ),
    ),
    components={
        "alarm": AlarmControlPanel(
            unique_id="porch_0001_alarm",
            name="Alarm",
            state_topic="porch/alarm",
            command_topic="porch/alarm/set",
            supported_features=(AlarmFeature.ARM_HOME, AlarmFeature.ARM_AWAY, AlarmFeature.TRIGGER),
            command_template=ACTION_AND_CODE,
            code=RemoteCode.DIGITS,
            code_trigger_required=False,
            qos=1,
        ),
        "connected": BinarySensor(
            unique_id="porch_0001_connected",
            state_topic="porch/connected",
            device_class=BinarySensorDeviceClass.CONNECTIVITY,
            entity_category=EntityCategory.DIAGNOSTIC,
            availability=(),
        ),
        "person": BinarySensor(
            unique_id="porch_0001_person",
            name="Person",
            state_topic="porch/person",
            device_class=BinarySensorDeviceClass.OCCUPANCY,
            payload_on="true",
            payload_off="false",
            value_template="{{ value_json.person | default(none) }}",
            off_delay=30,
            json_attributes_topic="porch/person/why",
            json_attributes_template="{{ value_json.reason | default({}) | tojson }}",
        ),
        "seen": Event(
            unique_id="porch_0001_seen",
            state_topic="porch/events",
            device_class=EventDeviceClass.MOTION,
            event_types=("person_entered", "person_left"),
            icon="mdi:walk",
        ),
        "picture": Camera(unique_id="porch_0001_picture", name=None, topic="porch/picture"),
        "last_person": Image(
            unique_id="porch_0001_last_person",
            name="Last person",
            image_topic="porch/last_person",
            content_type="image/jpeg",
        ),
        "last_clip": Image(
            unique_id="porch_0001_last_clip",
            name="Last clip",
            url_topic="porch/last_clip",
            url_template="{{ value_json.poster }}",
        ),
        "latency": Sensor(
            unique_id="porch_0001_latency",
            name="Latency",
            state_topic="porch/statistics",
            value_template="{{ value_json.latency_ms | default(none) }}",
            device_class=SensorDeviceClass.DURATION,
            unit_of_measurement="ms",
            state_class=StateClass.MEASUREMENT,
            suggested_display_precision=1,
            entity_category=EntityCategory.DIAGNOSTIC,
            enabled_by_default=False,
            expire_after=60,
        ),
        "rate": Sensor(
            unique_id="porch_0001_rate",
            name="Frame rate",
            state_topic="porch/statistics",
            value_template="{{ value_json.fps | default(none) }}",
            unit_of_measurement="fps",
            force_update=True,
        ),
        "last_seen": Sensor(
            unique_id="porch_0001_last_seen",
            name="Last seen",
            state_topic="porch/last_seen",
            device_class=SensorDeviceClass.TIMESTAMP,
        ),
        "sentry": Sensor(
            unique_id="porch_0001_sentry",
            name="Sentry",
            state_topic="porch/sentry",
            device_class=SensorDeviceClass.ENUM,
            options=("standby", "validation", "tracking"),
        ),
        "detection": Switch(
            unique_id="porch_0001_detection",
            name="Detection",
            command_topic="porch/detection/set",
            state_topic="porch/detection",
            device_class=SwitchDeviceClass.SWITCH,
            state_on="running",
            state_off="paused",
        ),
        "threshold": Number(
            unique_id="porch_0001_threshold",
            name="Threshold",
            command_topic="porch/threshold/set",
            state_topic="porch/threshold",
            unit_of_measurement="%",
            max=99,
            mode=NumberMode.SLIDER,
            entity_category=EntityCategory.CONFIG,
        ),
        "clear": Number(
            unique_id="porch_0001_clear",
            name="Clear after",
            command_topic="porch/clear/set",
            state_topic="porch/clear",
            device_class=SensorDeviceClass.DURATION,
            unit_of_measurement="s",
            min=0.5,
            max=600,
            step=0.5,
            entity_category=EntityCategory.CONFIG,
        ),
        "restart": Button(
            unique_id="porch_0001_restart",
            command_topic="porch/restart",
            device_class=ButtonDeviceClass.RESTART,
            entity_category=EntityCategory.CONFIG,
            availability=(STATUS,),
            availability_mode=AvailabilityMode.LATEST,
        ),
        "firmware": Update(
            unique_id="porch_0001_firmware",
            state_topic="porch/firmware",
            device_class=UpdateDeviceClass.FIRMWARE,
            command_topic="porch/firmware/set",
            payload_install="install",
            title="Porch",
            release_url="https://example.org/porch/1.3",
        ),
        "entered": DeviceTrigger(
            type="person_entered",
            subtype="porch",
            topic="porch/events",
            payload="person_entered",
            value_template="{{ value_json.event_type }}",
            qos=1,
        ),
    },
)


def home_assistant(*arguments: str | Path) -> str:
    """Return what Home Assistant's Python printed; skips where there is none."""
    if not PYTHON.exists():
        pytest.skip(f"no Home Assistant at {PYTHON}: see HA_PYTHON")
    ran = subprocess.run([PYTHON, *arguments], capture_output=True, encoding="utf-8", check=False)
    assert not ran.stderr, ran.stderr
    return ran.stdout


def problems(folder: Path, *payloads: DevicePayload) -> list[str]:
    """Return what Home Assistant's schemas refuse, warn about or drop in silence; the last line counts."""
    if not LINT.exists():
        pytest.skip(f"no {LINT.name} in {LINT.parent}")
    files = [folder / f"{number}.json" for number in range(len(payloads))]
    for file, payload in zip(files, payloads, strict=True):
        file.write_text(payload.json(), encoding="utf-8")
    return home_assistant(LINT, *files).splitlines()


def test_the_payload_is_the_one_that_was_agreed() -> None:
    """The file is EVERYTHING.payload(), by json.dumps with indent=2: renew it when a change is meant."""
    agreed = GOLDEN.read_text(encoding="utf-8")
    assert json.dumps(EVERYTHING.payload(), ensure_ascii=False, indent=2) + "\n" == agreed


def test_everything_has_every_platform_there_is_a_class_for() -> None:
    assert {type(component) for component in EVERYTHING.components.values()} == set(CLASSES)


@pytest.mark.real
def test_home_assistant_takes_everything(tmp_path: Path) -> None:
    assert problems(tmp_path, EVERYTHING) == ["0 problem(s)"]


@pytest.mark.real
def test_home_assistant_takes_removals(tmp_path: Path) -> None:
    assert problems(tmp_path, removing(EVERYTHING, {"gone": "select", "alarm": "switch"})) == ["0 problem(s)"]


@pytest.mark.real
def test_what_can_be_made_home_assistant_takes(tmp_path: Path) -> None:
    """Keys and values thrown together: what these classes let pass must pass there, with no key dropped."""
    chance = random.Random(20250404)
    payloads = [
        DevicePayload(
            device=DEVICE,
            origin=ORIGIN,
            availability=(STATUS,),
            components={f"c{number}": made(chance, kind, number) for number in range(400)},
        )
        for kind in CLASSES
    ]
    assert problems(tmp_path, *payloads) == ["0 problem(s)"]


def made(chance: random.Random, kind: type[Component], number: int) -> Component:
    """Return a component of that class with keys and values at random, once some go together."""
    while True:
        try:
            return kind(**{**thrown(chance, kind), **distinct(kind, number)})
        except DiscoveryError:
            continue


def distinct(kind: type[Component], number: int) -> dict[str, Any]:
    return {"type": f"t{number}"} if kind is DeviceTrigger else {"unique_id": f"u{number}"}


def thrown(chance: random.Random, kind: type[Component]) -> dict[str, Any]:
    words = {}
    for field in fields(kind):
        if field.default is MISSING or chance.random() < 0.25:
            words[field.name] = chance.choice(possible(field.name, field.type))
    if "name" not in words or words["name"] is None:
        words["name"] = "Some name"
    return words if kind is not DeviceTrigger else {key: words[key] for key in words if key != "name"}


def possible(key: str, kind: Any) -> list[Any]:
    """Return values of that key; not `default_entity_id`, which 2025.4 is known to drop."""
    known: dict[str, list[Any]] = {
        "default_entity_id": [None],
        "icon": ["mdi:walk"],
        "entity_picture": ["https://example.org/a.png"],
        "release_url": ["https://example.org/1.3"],
        "encoding": ["utf-8", "latin-1", ""],
        "availability": [None, (), (STATUS,)],
        "unit_of_measurement": ["ms", "%", "°C", "°", "fps", "µg/m³", "kWh", "m", None],
        "event_types": [("in", "out")],
        "options": [("a", "b"), None],
        "supported_features": [tuple(AlarmFeature), (AlarmFeature.TRIGGER,)],
        "command_template": ["{{ action }} {{ code }} {{ value }}"],
        "qos": [0, 1, 2],
    }
    if key in known:
        return known[key]
    enums = [each for each in (kind, *get_args(kind)) if isinstance(each, EnumMeta)]
    if enums:
        return [*enums[0], None]
    if bool in (kind, *get_args(kind)):
        return [True, False]
    if {int, float} & {kind, *get_args(kind)}:
        return [1, 5, 90]
    if key.endswith("topic"):
        return [f"a/{key}", "a/b"]
    return ["{{ value_json.x | default(none) }}"] if key.endswith("template") else [f"{key} one", f"{key} two"]


TABLES = """
import json
from homeassistant.components.binary_sensor import BinarySensorDeviceClass
from homeassistant.components.button import ButtonDeviceClass
from homeassistant.components.event import EventDeviceClass
from homeassistant.components.mqtt import const
from homeassistant.components.number.const import DEVICE_CLASS_UNITS as NUMBERS, NumberDeviceClass, NumberMode
from homeassistant.components.sensor.const import (
    DEVICE_CLASS_STATE_CLASSES, DEVICE_CLASS_UNITS, SensorDeviceClass, SensorStateClass)
from homeassistant.components.switch import SwitchDeviceClass
from homeassistant.components.update import UpdateDeviceClass
from homeassistant.const import EntityCategory

def table(found):
    return {str(key): [value and str(value) for value in values] for key, values in found.items()}

print(json.dumps({
    "units": table(DEVICE_CLASS_UNITS),
    "numbers": table(NUMBERS),
    "state_classes": table(DEVICE_CLASS_STATE_CLASSES),
    "lists": {
        "SensorDeviceClass": list(SensorDeviceClass),
        "number": list(NumberDeviceClass),
        "StateClass": list(SensorStateClass),
        "BinarySensorDeviceClass": list(BinarySensorDeviceClass),
        "ButtonDeviceClass": list(ButtonDeviceClass),
        "EventDeviceClass": list(EventDeviceClass),
        "SwitchDeviceClass": list(SwitchDeviceClass),
        "UpdateDeviceClass": list(UpdateDeviceClass),
        "NumberMode": list(NumberMode),
        "EntityCategory": list(EntityCategory),
        "AvailabilityMode": list(const.AVAILABILITY_MODES),
        "Platform": list(const.SUPPORTED_COMPONENTS),
    },
}))
"""


@pytest.mark.real
def test_home_assistant_knows_every_word_and_unit() -> None:
    theirs = json.loads(home_assistant("-c", TABLES))
    lists = (AvailabilityMode, EntityCategory, NumberMode, Platform, StateClass)
    classes = (
        BinarySensorDeviceClass,
        ButtonDeviceClass,
        EventDeviceClass,
        SwitchDeviceClass,
        UpdateDeviceClass,
    )
    for ours in (*lists, *classes, SensorDeviceClass):
        assert {each.value for each in ours} <= set(theirs["lists"][ours.__name__]), ours
    no_number = {"date", "enum", "timestamp"}
    assert {each.value for each in SensorDeviceClass} - no_number <= set(theirs["lists"]["number"])
    for device_class, units in UNITS.items():
        if device_class not in no_number:
            for table in ("units", "numbers"):
                assert as_2025(units) <= as_2025(theirs[table][device_class]), (device_class, table)
    for sensor, state_classes in STATE_CLASSES.items():
        assert state_classes == set(theirs["state_classes"][sensor]), sensor


def as_2025(units: Any) -> set[str | None]:
    """Return the units with the micro sign that 2025.4 writes; newer versions translate it."""
    return {unit and unit.replace("\u03bc", "\u00b5") for unit in units}


DEFAULTS = """
import asyncio, importlib, json, sys, tempfile
from homeassistant.core import HomeAssistant

async def filled():
    with tempfile.TemporaryDirectory() as folder:
        hass = HomeAssistant(folder)  # templates ask for it
        for key, words in json.loads(sys.argv[1]).items():
            module = importlib.import_module("homeassistant.components.mqtt." + words.pop("platform"))
            valid = module.DISCOVERY_SCHEMA(words)
            yield key, {each: getattr(value, "template", value) for each, value in valid.items()}
        await hass.async_stop(force=True)

async def main():
    print(json.dumps({key: words async for key, words in filled()}, default=str))

asyncio.run(main())
"""


@pytest.mark.real
def test_what_is_left_out_as_a_default_is_home_assistants_default() -> None:
    told = {key: each.component() for key, each in EVERYTHING.components.items()}
    theirs = json.loads(home_assistant("-c", DEFAULTS, json.dumps(told)))
    compared = 0
    for key, component in EVERYTHING.components.items():
        for field in fields(component):
            # availability_mode is left out only where there is nothing to combine
            if field.name not in {*told[key], "availability_mode"} and field.name in theirs[key]:
                assert field.default in {theirs[key][field.name], None}, (key, field.name)
                compared += 1
    assert compared > 50
