"""What is taken back when the settings change: all of the old that is not in the new, and nothing of the new."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

import ha_discovery as ha
from appliance.config import Alarm, Camera, Mqtt, Settings, Zone
from appliance.controller.discovery.announced import (
    GONE,
    Announced,
    BrokenRecordError,
    Device,
    announced,
    farewell,
    from_json,
)
from appliance.controller.discovery.household import household

LAWN = ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0))
PORCH = "homeassistant/device/porchlight_home_porch/config"
GARDEN = "homeassistant/device/porchlight_home_garden/config"


def home(cameras: Mapping[str, tuple[str, ...]], *, prefix: str = "homeassistant", has_pin: bool = False) -> Settings:
    """Return settings with these cameras, each with its zones."""
    return Settings(
        instance="home",
        cameras=tuple(
            Camera(id=name, source="synthetic://porch", zones=tuple(Zone(id=zone, polygon=LAWN) for zone in zones))
            for name, zones in cameras.items()
        ),
        alarm=Alarm(pin=SecretStr("$argon2id$...") if has_pin else None),
        mqtt=Mqtt(discovery_prefix=prefix),
    )


@functools.cache
def payloads_of(settings: Settings) -> dict[str, ha.DevicePayload]:
    return {payload.topic(settings.mqtt.discovery_prefix): payload for payload in household(settings)}


@functools.cache
def record_of(settings: Settings) -> Announced:
    return announced(settings, household(settings))


zones = st.sampled_from([(), ("lawn",), ("drive",), ("lawn", "drive")])
homes = st.builds(
    home,
    st.dictionaries(st.sampled_from(["porch", "garden"]), zones, min_size=1),
    prefix=st.sampled_from(["homeassistant", "ha/here"]),
    has_pin=st.booleans(),
)
earlier_components = st.dictionaries(
    st.sampled_from(["person", "camera", "event", "siren", "old_switch"]), st.sampled_from(list(ha.Platform))
)


@dataclass
class World:
    """The broker's retained topics, and the entities that Home Assistant has of each device: platform by key."""

    retained: set[str] = field(default_factory=set)
    entities: dict[str, dict[str, str]] = field(default_factory=dict)

    def take(self, topic: str, payload: str) -> None:
        """Take a retained message as both of them do."""
        if payload == GONE:
            self.retained.discard(topic)
            self.entities.pop(topic, None)
            return
        self.retained.add(topic)
        if not topic.endswith("/config"):
            return
        there = self.entities.setdefault(topic, {})
        for key, component in json.loads(payload)["components"].items():
            if set(component) == {"platform"}:
                there.pop(key, None)
            else:
                there.setdefault(key, component["platform"])  # it stays what it was first announced as


def messages(before: Announced, settings: Settings) -> list[tuple[str, str]]:
    """Return all that goes out, in its order: the farewell, the facts, the announcements."""
    payloads, now = payloads_of(settings), record_of(settings)
    facts = [(fact, "a fact") for device in now.devices.values() for fact in device.facts]
    announcements = [(topic, payload.json()) for topic, payload in payloads.items()]
    return [*farewell(before, now, payloads).items(), *facts, *announcements]


def assert_is_all_there_is(world: World, settings: Settings) -> None:
    now = record_of(settings)
    assert world.retained == set(now.devices) | {fact for device in now.devices.values() for fact in device.facts}
    assert world.entities == {topic: device.components for topic, device in now.devices.items()}


@given(homes, homes)
def test_after_the_farewell_and_the_announcements_there_is_the_new_household_and_nothing_else(
    old: Settings, new: Settings
) -> None:
    world = World()
    for topic, payload in [*messages(Announced(), old), *messages(record_of(old), new)]:
        world.take(topic, payload)
    assert_is_all_there_is(world, new)


@given(homes, homes)
def test_nothing_of_the_new_household_is_taken_back(old: Settings, new: Settings) -> None:
    now = record_of(new)
    parting = farewell(record_of(old), now, payloads_of(new))
    gone = {topic for topic, payload in parting.items() if payload == GONE}
    assert not gone & (set(now.devices) | {fact for device in now.devices.values() for fact in device.facts})
    for topic, payload in parting.items():
        if payload != GONE:
            removed = {key for key, one in json.loads(payload)["components"].items() if set(one) == {"platform"}}
            assert removed
            assert not removed & set(now.devices[topic].components)


@given(homes)
def test_of_a_household_that_stays_as_it_is_nothing_is_taken_back(settings: Settings) -> None:
    now = record_of(settings)
    assert farewell(now, now, payloads_of(settings)) == {}
    assert farewell(Announced(), now, payloads_of(settings)) == {}


@given(st.data(), st.lists(homes, min_size=2, max_size=4))
def test_whenever_we_die_meanwhile_the_next_start_leaves_nothing_behind(
    data: st.DataObject, households: list[Settings]
) -> None:
    world, record = World(), Announced()
    for settings in households[:-1]:
        sent = messages(record, settings)
        delivered = data.draw(st.integers(0, len(sent)))
        for topic, payload in sent[:delivered]:
            world.take(topic, payload)
        is_noted = delivered == len(sent) and data.draw(st.booleans())
        record = from_json((record_of(settings) if is_noted else record_of(settings).over(record)).model_dump_json())
    for topic, payload in messages(record, households[-1]):
        world.take(topic, payload)
    assert_is_all_there_is(world, households[-1])


@given(homes, earlier_components)
def test_what_an_earlier_version_had_otherwise_is_taken_back_and_comes_again_as_it_is_now(
    settings: Settings, earlier: dict[str, ha.Platform]
) -> None:
    now, world = record_of(settings), World()
    components = {key: platform.value for key, platform in earlier.items()}
    before = Announced(
        devices={topic: Device(components=components, facts=["porchlight/home/old"]) for topic in now.devices}
    )
    world.retained.add("porchlight/home/old")
    world.entities = {topic: dict(components) for topic in now.devices}
    for topic, payload in messages(before, settings):
        world.take(topic, payload)
    assert_is_all_there_is(world, settings)


@given(homes, homes)
@example(home({"porch": ("lawn",)}), home({"porch": ()}))
def test_a_farewell_that_nobody_heard_is_the_same_the_next_time(old: Settings, new: Settings) -> None:
    before, now, payloads = record_of(old), record_of(new), payloads_of(new)
    assert farewell(now.over(before), now, payloads) == farewell(before, now, payloads)


def test_a_camera_that_is_no_more_goes_with_all_that_was_retained_of_it() -> None:
    old, new = home({"porch": ("lawn",), "garden": ()}), home({"garden": ()})
    parting = farewell(record_of(old), record_of(new), payloads_of(new))
    assert set(parting.values()) == {GONE}
    assert parting.keys() == {PORCH, *record_of(old).devices[PORCH].facts}
    for what in ("status", "person", "last_person", "zone/lawn/person", "cfg/detection"):
        assert f"porchlight/home/porch/{what}" in parting


def test_every_topic_that_is_announced_and_retained_is_in_the_record() -> None:
    settings = home({"porch": ("lawn", "drive")}, has_pin=True)
    live = {f"porchlight/home/{word}" for word in ("porch/event", "porch/stats", "porch/camera", "alarm/event")}
    record = record_of(settings)
    facts = {fact for device in record.devices.values() for fact in device.facts}
    announcements = json.dumps([payload.payload() for payload in payloads_of(settings).values()])
    named = {topic for topic in re.findall(r'"(porchlight/home/[^"]*)"', announcements) if not topic.endswith("/set")}
    assert named - live <= facts
    assert not live & facts


def test_a_zone_that_is_no_more_goes_from_its_camera_which_stays() -> None:
    old, new = home({"garden": ("lawn", "drive")}), home({"garden": ("drive",)})
    parting = farewell(record_of(old), record_of(new), payloads_of(new))
    assert parting.keys() == {GARDEN, "porchlight/home/garden/zone/lawn/person"}
    assert json.loads(parting[GARDEN])["components"]["zone_lawn"] == {"platform": "binary_sensor"}
    assert json.loads(parting[GARDEN])["components"]["zone_drive"]["platform"] == "binary_sensor"


@given(homes)
def test_a_record_is_the_same_after_it_was_kept(settings: Settings) -> None:
    record = record_of(settings)
    assert from_json(record.model_dump_json(indent=1)) == record
    assert from_json(record.over(record).model_dump_json()) == record.over(record)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "JSON"),
        ("[]", "the record is broken"),
        ('{"version": 2, "devices": {}}', "version"),
        ('{"devices": {"a/config": {"components": {}}}}', "facts"),
        (
            '{"devices": {"ha/device/porchlight_a/config": {"components": {"x": "toaster"}, "facts": []}}}',
            "no component is 'x', a 'toaster'",
        ),
        ('{"devices": {"#": {"components": {}, "facts": []}}}', "'#' is no topic"),
        ('{"devices": {"a/config": {"components": {}, "facts": ["a/+"]}}}', "is no topic"),
        ('{"devices": {"a/config": {"components": {}, "facts": [""]}}}', "is no topic"),
        ('{"devices": {"a/config": {"components": {}, "facts": [1]}}}', "facts"),
    ],
)
def test_a_record_that_is_none_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(BrokenRecordError, match=why):
        from_json(text)


@given(st.text())
def test_any_text_is_a_record_or_refused(text: str) -> None:
    with contextlib.suppress(BrokenRecordError):
        assert isinstance(from_json(text), Announced)


@pytest.mark.parametrize("key", ["", "a b", "z\u00f6ne"])
def test_a_record_with_a_key_that_nothing_can_have_is_refused(key: str) -> None:
    record = {"devices": {PORCH: {"components": {key: "sensor"}, "facts": []}}}
    with pytest.raises(BrokenRecordError):
        from_json(json.dumps(record))


@pytest.mark.parametrize("letter", ["\0", "\x07"])
def test_a_record_with_a_topic_that_a_broker_hangs_up_over_is_refused(letter: str) -> None:
    record = {"devices": {PORCH: {"components": {}, "facts": [f"porchlight/home/a{letter}b"]}}}
    with pytest.raises(BrokenRecordError):
        from_json(json.dumps(record))


def test_a_record_with_a_topic_of_somebody_else_is_refused() -> None:
    record = {"devices": {PORCH: {"components": {}, "facts": ["zigbee2mqtt/bridge/state"]}}}
    with pytest.raises(BrokenRecordError):
        from_json(json.dumps(record))
