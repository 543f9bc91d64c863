"""What cannot work in Home Assistant cannot be made, and the error names entity, key, fault and remedy."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ha_discovery import (
    ACTION_AND_CODE,
    STATE_CLASSES,
    UNITS,
    AlarmControlPanel,
    AlarmFeature,
    Availability,
    BinarySensor,
    BinarySensorDeviceClass,
    Button,
    ButtonDeviceClass,
    Camera,
    Device,
    DeviceTrigger,
    DiscoveryError,
    EntityCategory,
    Event,
    EventDeviceClass,
    Image,
    ImageEncoding,
    Number,
    Origin,
    RemoteCode,
    Sensor,
    SensorDeviceClass,
    StateClass,
    Switch,
    SwitchDeviceClass,
    Update,
)


def a_device(**given: Any) -> Device:
    usual = {"identifiers": ("hub",), "name": "Hub", "manufacturer": "M", "model": "One", "sw_version": "1"}
    return Device(**{**usual, **given})


def an_origin(**given: Any) -> Origin:
    return Origin(**{"name": "me", "sw_version": "1", "support_url": "https://example.org/", **given})


def an_availability(**given: Any) -> Availability:
    return Availability(**{"topic": "a/status", **given})


def a_sensor(**given: Any) -> Sensor:
    return Sensor(**{"unique_id": "s", "name": "S", "state_topic": "a/s", **given})


def a_binary_sensor(**given: Any) -> BinarySensor:
    return BinarySensor(**{"unique_id": "b", "name": "B", "state_topic": "a/b", **given})


def an_event(**given: Any) -> Event:
    return Event(**{"unique_id": "e", "name": "E", "state_topic": "a/e", "event_types": ("in",), **given})


def a_camera(**given: Any) -> Camera:
    return Camera(**{"unique_id": "c", "name": None, "topic": "a/c", **given})


def an_image(**given: Any) -> Image:
    return Image(**{"unique_id": "i", "name": "I", **given})


def a_switch(**given: Any) -> Switch:
    return Switch(**{"unique_id": "w", "name": "W", "command_topic": "a/w/set", **given})


def a_number(**given: Any) -> Number:
    return Number(**{"unique_id": "n", "name": "N", "command_topic": "a/n/set", **given})


def a_button(**given: Any) -> Button:
    return Button(**{"unique_id": "u", "name": "U", "command_topic": "a/u/set", **given})


def an_update(**given: Any) -> Update:
    return Update(**{"unique_id": "v", "name": "V", "state_topic": "a/v", **given})


def a_panel(**given: Any) -> AlarmControlPanel:
    usual = {"unique_id": "p", "name": None, "state_topic": "a/p", "command_topic": "a/p/set"}
    return AlarmControlPanel(**{**usual, "supported_features": (AlarmFeature.ARM_AWAY,), **given})


def a_trigger(**given: Any) -> DeviceTrigger:
    return DeviceTrigger(**{"type": "seen", "subtype": "person", "topic": "a/t", **given})


REFUSED: dict[str, tuple[Callable[..., object], dict[str, Any], str, str]] = {
    "a_device_needs_an_identifier": (a_device, {"identifiers": ()}, "identifiers", "at least one"),
    "an_identifier_stands_once": (a_device, {"identifiers": ("a", "a")}, "identifiers", "each once"),
    "a_device_needs_a_name": (a_device, {"name": " "}, "name", "some text"),
    "a_device_is_not_behind_itself": (a_device, {"via_device": "hub"}, "via_device", "lies behind"),
    "a_page_has_a_whole_address": (a_device, {"configuration_url": "10.0.0.2"}, "configuration_url", "http"),
    "an_address_has_no_open_bracket": (
        a_device,
        {"configuration_url": "http://[::1"},
        "configuration_url",
        "http",
    ),
    "support_is_on_the_web": (an_origin, {"support_url": "mailto:me@example.org"}, "support_url", "https"),
    "there_and_not_there_differ": (
        an_availability,
        {"payload_not_available": "online"},
        "payload_not_available",
        "differ",
    ),
    "one_availability_topic_stands_once": (
        a_sensor,
        {"availability": (an_availability(), an_availability())},
        "availability",
        "its own",
    ),
    "a_unique_id_has_no_dot": (a_sensor, {"unique_id": "hub.s"}, "unique_id", "letters, digits"),
    "a_topic_is_not_empty": (a_sensor, {"state_topic": ""}, "state_topic", "1 to 65535 bytes"),
    "a_topic_has_no_plus": (a_sensor, {"state_topic": "a/+"}, "state_topic", "no wildcard"),
    "a_topic_has_no_hash": (a_sensor, {"state_topic": "a/#"}, "state_topic", "no wildcard"),
    "a_topic_has_no_space": (a_camera, {"topic": "a/front door"}, "topic", "space"),
    "a_topic_has_an_end": (a_sensor, {"state_topic": "a" * 65536}, "state_topic", "1 to 65535 bytes"),
    "a_template_is_not_empty": (a_sensor, {"value_template": ""}, "value_template", "some text"),
    "a_name_can_be_written": (a_sensor, {"name": "\ud800"}, "name", "whole characters"),
    "quality_of_service_is_0_to_2": (a_sensor, {"qos": 3}, "qos", "0 to 2"),
    "a_yes_is_no_number": (a_sensor, {"qos": True}, "qos", "int"),
    "an_icon_has_a_prefix": (a_sensor, {"icon": "walk"}, "icon", "mdi:walk"),
    "an_encoding_is_known": (a_sensor, {"encoding": "utf-9"}, "encoding", "utf-8"),
    "an_entity_id_is_a_whole_one": (
        a_camera,
        {"default_entity_id": "front_door"},
        "default_entity_id",
        "camera.",
    ),
    "an_entity_id_is_of_its_platform": (
        a_camera,
        {"default_entity_id": "image.front_door"},
        "default_entity_id",
        "begin with camera.",
    ),
    "attributes_have_a_topic": (
        a_sensor,
        {"json_attributes_template": "{{ value }}"},
        "json_attributes_template",
        "json_attributes_topic",
    ),
    "a_guessed_device_class_is_refused": (
        a_binary_sensor,
        {"device_class": "person"},
        "device_class",
        "BinarySensor",
    ),
    "a_list_is_no_tuple": (an_event, {"event_types": ["in"]}, "event_types", "a tuple of str"),
    "a_sensor_is_not_set": (
        a_sensor,
        {"entity_category": EntityCategory.CONFIG},
        "entity_category",
        "diagnostic",
    ),
    "a_binary_sensor_is_not_set": (
        a_binary_sensor,
        {"entity_category": EntityCategory.CONFIG},
        "entity_category",
        "diagnostic",
    ),
    "on_and_off_differ": (a_binary_sensor, {"payload_off": "ON"}, "payload_off", "differ"),
    "expiry_takes_a_second": (a_binary_sensor, {"expire_after": 0}, "expire_after", "1 or more"),
    "options_are_of_an_enum": (a_sensor, {"options": ("a", "b")}, "options", "device_class enum"),
    "options_have_no_unit": (
        a_sensor,
        {"device_class": SensorDeviceClass.ENUM, "options": ("a",), "unit_of_measurement": "s"},
        "unit_of_measurement",
        "leave it out",
    ),
    "options_have_no_statistics": (
        a_sensor,
        {"device_class": SensorDeviceClass.ENUM, "options": ("a",), "state_class": StateClass.MEASUREMENT},
        "state_class",
        "leave it out",
    ),
    "options_are_some": (
        a_sensor,
        {"device_class": SensorDeviceClass.ENUM, "options": ()},
        "options",
        "at least one",
    ),
    "a_time_has_no_unit": (
        a_sensor,
        {"device_class": SensorDeviceClass.TIMESTAMP, "unit_of_measurement": "s"},
        "unit_of_measurement",
        "leave it out",
    ),
    "frames_per_second_are_no_frequency": (
        a_sensor,
        {"device_class": SensorDeviceClass.FREQUENCY, "unit_of_measurement": "fps"},
        "unit_of_measurement",
        "GHz, Hz, MHz, kHz",
    ),
    "a_duration_needs_a_unit": (
        a_sensor,
        {"device_class": SensorDeviceClass.DURATION},
        "unit_of_measurement",
        "ms",
    ),
    "a_greek_mu_is_pointed_out": (
        a_sensor,
        {"device_class": SensorDeviceClass.PM25, "unit_of_measurement": "\u03bcg/m³"},
        "unit_of_measurement",
        "U+00B5",
    ),
    "an_angle_is_in_degrees": (
        a_sensor,
        {"state_class": StateClass.MEASUREMENT_ANGLE, "unit_of_measurement": "rad"},
        "unit_of_measurement",
        "use °",
    ),
    "energy_is_a_total": (
        a_sensor,
        {
            "device_class": SensorDeviceClass.ENERGY,
            "unit_of_measurement": "Wh",
            "state_class": StateClass.MEASUREMENT,
        },
        "state_class",
        "total, total_increasing",
    ),
    "only_a_total_is_reset": (
        a_sensor,
        {"last_reset_value_template": "{{ value }}"},
        "last_reset_value_template",
        "state_class total only",
    ),
    "an_event_has_types": (an_event, {"event_types": ()}, "event_types", "at least one"),
    "an_event_type_stands_once": (an_event, {"event_types": ("in", "in")}, "event_types", "each once"),
    "an_event_type_has_a_name": (an_event, {"event_types": ("in", "")}, "event_types", "some text"),
    "an_image_comes_from_somewhere": (an_image, {}, "image_topic", "either image_topic or url_topic"),
    "an_image_comes_from_one_place": (
        an_image,
        {"image_topic": "a/i", "url_topic": "a/u"},
        "image_topic",
        "either image_topic or url_topic",
    ),
    "an_address_has_no_content_type": (
        an_image,
        {"url_topic": "a/u", "content_type": "image/jpeg"},
        "content_type",
        "image_topic",
    ),
    "an_address_is_not_base64": (
        an_image,
        {"url_topic": "a/u", "image_encoding": ImageEncoding.BASE64},
        "image_encoding",
        "image_topic",
    ),
    "bytes_have_no_address": (
        an_image,
        {"image_topic": "a/i", "url_template": "{{ value }}"},
        "url_template",
        "url_topic",
    ),
    "switched_on_and_off_differ": (
        a_switch,
        {"payload_on": "1", "payload_off": "1"},
        "payload_off",
        "differ",
    ),
    "a_switch_reads_a_topic": (a_switch, {"value_template": "{{ value }}"}, "value_template", "state_topic"),
    "the_least_is_the_lower": (a_number, {"min": 10, "max": 5}, "min", "lower"),
    "a_number_is_finite": (a_number, {"max": float("inf")}, "max", "finite"),
    "a_step_is_not_too_small": (a_number, {"step": 0.0001}, "step", "0.001"),
    "a_time_is_no_number": (
        a_number,
        {"device_class": SensorDeviceClass.TIMESTAMP},
        "device_class",
        "Sensor",
    ),
    "a_number_has_a_fitting_unit": (
        a_number,
        {"device_class": SensorDeviceClass.DURATION, "unit_of_measurement": "%"},
        "unit_of_measurement",
        "ms",
    ),
    "an_install_button_says_something": (
        an_update,
        {"command_topic": "a/v/set"},
        "command_topic",
        "payload_install",
    ),
    "an_install_goes_somewhere": (an_update, {"payload_install": "GO"}, "payload_install", "command_topic"),
    "a_panel_has_a_feature": (a_panel, {"supported_features": ()}, "supported_features", "at least one"),
    "no_code_none_required": (a_panel, {"code_arm_required": True}, "code_arm_required", "require none"),
    "a_code_of_ones_own_is_refused": (a_panel, {"code": "1234"}, "code", "RemoteCode"),
    "a_code_reaches_the_appliance": (a_panel, {"code": RemoteCode.DIGITS}, "command_template", "ACTION_AND_CODE"),
    "orders_differ": (a_panel, {"payload_disarm": "ARM_HOME"}, "payload_arm_home", "differ"),
    "a_trigger_listens_to_a_topic": (a_trigger, {"topic": "a/#"}, "topic", "no wildcard"),
    "a_trigger_has_a_subtype": (a_trigger, {"subtype": ""}, "subtype", "some text"),
}


@pytest.mark.parametrize(("make", "given", "key", "remedy"), REFUSED.values(), ids=REFUSED)
def test_refused(make: Callable[..., object], given: dict[str, Any], key: str, remedy: str) -> None:
    with pytest.raises(DiscoveryError, match=re.escape(remedy)) as caught:
        make(**given)
    assert caught.value.key == key
    assert str(caught.value).startswith(f"{caught.value.where}: {key} ")


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: a_sensor(qos=9), "sensor 's'"),
        (lambda: a_panel(qos=9), "alarm_control_panel 'p'"),
        (lambda: a_trigger(qos=9), "device_automation 'seen person'"),
        (lambda: a_device(model=""), "device 'Hub'"),
        (lambda: an_origin(sw_version=""), "origin 'me'"),
        (lambda: an_availability(topic="+"), "availability '+'"),
    ],
)
def test_an_error_says_whose_fault_it_is(make: Callable[[], object], where: str) -> None:
    with pytest.raises(DiscoveryError) as caught:
        make()
    assert caught.value.where == where


def test_an_error_survives_the_way_between_processes() -> None:
    error = DiscoveryError("sensor 's'", "qos", "is 9", "use 0 to 2")
    again = copy.copy(error)  # by the same road as pickle
    assert str(again) == str(error) == "sensor 's': qos is 9; use 0 to 2"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sensor(unique_id="s", state_topic="a/s", device_class=SensorDeviceClass.TIMESTAMP),
        lambda: BinarySensor(unique_id="b", state_topic="a/b", device_class=BinarySensorDeviceClass.TAMPER),
        lambda: Button(unique_id="u", command_topic="a/u", device_class=ButtonDeviceClass.RESTART),
        lambda: Event(unique_id="e", state_topic="a/e", event_types=("in",), device_class=EventDeviceClass.MOTION),
    ],
)
def test_a_device_class_names_its_entity(make: Callable[[], Sensor | BinarySensor | Button | Event]) -> None:
    assert "name" not in make().component()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sensor(unique_id="s", state_topic="a/s"),
        lambda: Sensor(unique_id="s", state_topic="a/s", device_class=SensorDeviceClass.ENUM, options=("a", "b")),
        lambda: Switch(unique_id="w", command_topic="a/w", device_class=SwitchDeviceClass.OUTLET),
        lambda: Camera(unique_id="c", topic="a/c"),
    ],
    ids=["without_a_class", "enum", "switch", "camera"],
)
def test_where_no_device_class_names_it_a_name_is_demanded(make: Callable[[], object]) -> None:
    with pytest.raises(DiscoveryError, match="name is missing"):
        make()


def test_the_main_entity_has_a_name_of_null() -> None:
    words = a_camera().component()
    assert "name" in words
    assert words["name"] is None


def test_what_equals_the_default_is_left_out() -> None:
    assert a_switch().component() == {
        "platform": "switch",
        "unique_id": "w",
        "name": "W",
        "command_topic": "a/w/set",
    }


@pytest.mark.parametrize("code", [None, *RemoteCode])
def test_a_panel_requires_a_code_exactly_where_there_is_one(code: RemoteCode | None) -> None:
    words = a_panel(code=code, command_template=ACTION_AND_CODE).component()
    for key in ("code_arm_required", "code_disarm_required", "code_trigger_required"):
        assert words[key] is (code is not None)


def test_a_panel_may_ask_for_the_code_to_disarm_only() -> None:
    panel = a_panel(code=RemoteCode.DIGITS, command_template=ACTION_AND_CODE, code_arm_required=False)
    words = panel.component()
    assert words["code"] == "REMOTE_CODE"
    assert (words["code_arm_required"], words["code_disarm_required"]) == (False, True)


def test_an_entity_may_be_always_available() -> None:
    assert a_sensor(availability=()).component()["availability"] == []
    assert "availability" not in a_sensor().component()


@given(st.sampled_from(sorted(UNITS)), st.text(max_size=4) | st.sampled_from(["ms", "%", "°C", "fps", "W"]))
def test_a_unit_is_taken_only_by_a_class_that_lists_it(device_class: SensorDeviceClass, unit: str) -> None:
    assume(unit.strip())
    if unit in UNITS[device_class]:
        a_sensor(device_class=device_class, unit_of_measurement=unit)
    else:
        with pytest.raises(DiscoveryError, match="unit_of_measurement"):
            a_sensor(device_class=device_class, unit_of_measurement=unit)


@given(st.sampled_from(sorted(SensorDeviceClass)), st.sampled_from(sorted(StateClass)))
def test_a_state_class_is_taken_only_by_a_class_that_lists_it(
    device_class: SensorDeviceClass, state_class: StateClass
) -> None:
    assume(state_class is not StateClass.MEASUREMENT_ANGLE)
    unit = min(filter(None, UNITS.get(device_class, ())), default=None)
    if state_class in STATE_CLASSES[device_class]:
        a_sensor(device_class=device_class, unit_of_measurement=unit, state_class=state_class)
    else:
        with pytest.raises(DiscoveryError, match="state_class"):
            a_sensor(device_class=device_class, unit_of_measurement=unit, state_class=state_class)


@given(st.text())
def test_an_id_is_what_a_discovery_topic_can_hold(text: str) -> None:
    if re.fullmatch(r"[a-zA-Z0-9_-]+", text):
        assert a_sensor(unique_id=text).unique_id == text
    else:
        with pytest.raises(DiscoveryError, match="unique_id"):
            a_sensor(unique_id=text)


@given(st.text(), st.sampled_from("+# \t\n\0\x85\ufffe\ud800"), st.text())
def test_no_topic_holds_a_character_that_would_make_it_several_or_none(left: str, bad: str, right: str) -> None:
    with pytest.raises(DiscoveryError, match="state_topic"):
        a_sensor(state_topic=left + bad + right)
