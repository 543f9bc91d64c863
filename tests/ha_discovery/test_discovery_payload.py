"""One message per device: its topic, its text, and what it takes away."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ha_discovery
from ha_discovery import (
    Availability,
    AvailabilityMode,
    BinarySensor,
    Camera,
    Component,
    Device,
    DevicePayload,
    DeviceTrigger,
    DiscoveryError,
    Entity,
    Origin,
    Platform,
    Sensor,
    published,
    removing,
)

PACKAGE = Path(ha_discovery.__file__).parent
ORIGIN = Origin(name="me", sw_version="1", support_url="https://example.org/")
KEYS = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)


def hub(*identifiers: str) -> Device:
    return Device(identifiers=identifiers or ("hub",), name="Hub", manufacturer="M", model="One", sw_version="1")


def a_sensor(unique_id: str, name: str | None = "S") -> Sensor:
    return Sensor(unique_id=unique_id, name=name, state_topic="a/s")


def a_binary_sensor(unique_id: str) -> BinarySensor:
    return BinarySensor(unique_id=unique_id, name="B", state_topic="a/b")


def a_payload(components: dict[str, Any], **given: Any) -> DevicePayload:
    return DevicePayload(**{"device": hub(), "origin": ORIGIN, "components": components, **given})


MAKES: tuple[Callable[[str], Component], ...] = (a_sensor, a_binary_sensor)
COMPONENTS = st.dictionaries(KEYS, st.sampled_from(MAKES)).map(
    lambda drawn: {key: make(f"id_{key}") for key, make in drawn.items()}
)
PAYLOADS = COMPONENTS.map(a_payload)


def test_the_topic_holds_prefix_and_identifier() -> None:
    assert a_payload({}).topic() == "homeassistant/device/hub/config"
    assert a_payload({}).topic("ha/test") == "ha/test/device/hub/config"


def test_an_object_id_stands_in_for_an_identifier_that_no_topic_can_hold() -> None:
    with pytest.raises(DiscoveryError, match="give the payload an object_id"):
        a_payload({}, device=hub("00:11:22"))
    assert a_payload({}, device=hub("00:11:22"), object_id="hub_1").topic().split("/")[2] == "hub_1"


@pytest.mark.parametrize("prefix", ["", "home assistant", "homeassistant/#"])
def test_a_prefix_that_is_no_topic_is_refused(prefix: str) -> None:
    with pytest.raises(DiscoveryError, match="prefix"):
        a_payload({}).topic(prefix)


@given(COMPONENTS, st.randoms(use_true_random=False))
def test_the_text_does_not_depend_on_the_order_of_building(components: dict[str, Component], random: Any) -> None:
    shuffled = list(components.items())
    random.shuffle(shuffled)
    assert a_payload(dict(shuffled)).json() == a_payload(components).json()


@given(PAYLOADS)
def test_the_text_is_the_payload_and_has_no_blank(payload: DevicePayload) -> None:
    assert json.loads(payload.json()) == payload.payload()
    assert ": " not in payload.json()
    assert ", " not in payload.json()


def test_the_text_is_not_escaped() -> None:
    assert "Türklingel" in a_payload({"bell": a_sensor("bell", "Türklingel")}).json()


@pytest.mark.parametrize("mode", AvailabilityMode)
def test_availability_always_says_how_it_is_combined(mode: AvailabilityMode) -> None:
    status = (Availability(topic="hub/status"), Availability(topic="hub/camera/status"))
    words = a_payload({}, availability=status, availability_mode=mode).payload()
    assert [each["topic"] for each in words["availability"]] == ["hub/status", "hub/camera/status"]
    assert words["availability_mode"] == mode.value


def test_a_payload_without_availability_says_nothing_of_it() -> None:
    assert set(a_payload({}).payload()) == {"device", "origin", "components"}


def test_an_availability_topic_stands_once() -> None:
    status = Availability(topic="hub/status")
    with pytest.raises(DiscoveryError, match="let each process have its own"):
        a_payload({}, availability=(status, status))


def test_two_sensors_do_not_share_a_unique_id() -> None:
    with pytest.raises(DiscoveryError, match="unique_id 'same' is also that of component 'one'"):
        a_payload({"one": a_sensor("same"), "two": a_sensor("same")})


def test_a_sensor_and_a_binary_sensor_may_share_a_unique_id() -> None:
    assert len(a_payload({"one": a_sensor("same"), "two": a_binary_sensor("same")}).components) == 2


def test_two_triggers_do_not_share_type_and_subtype() -> None:
    trigger = DeviceTrigger(type="seen", subtype="person", topic="a/t")
    with pytest.raises(DiscoveryError, match="is also that of component 'one'"):
        a_payload({"one": trigger, "two": trigger})


def test_a_device_has_one_main_entity() -> None:
    camera = Camera(unique_id="picture", name=None, topic="a/c")
    with pytest.raises(DiscoveryError, match="for all of picture, sight"):
        a_payload({"picture": camera, "sight": a_sensor("sight", None)})


@pytest.mark.parametrize("key", ["", "front door", "front/door", "tür"])
def test_a_key_is_an_id(key: str) -> None:
    with pytest.raises(DiscoveryError, match="letters, digits"):
        a_payload({key: a_sensor("s")})


def test_what_is_no_component_is_refused() -> None:
    with pytest.raises(DiscoveryError, match="s is a dict"):
        a_payload({"s": {"platform": "sensor"}})


def test_a_payload_does_not_change_with_the_dict_it_was_made_of() -> None:
    components: dict[str, Component] = {"s": a_sensor("s")}
    payload = a_payload(components)
    components["not an id"] = a_sensor("s")
    assert set(payload.components) == {"s"}


@given(PAYLOADS)
def test_nothing_vanished_nothing_is_removed(payload: DevicePayload) -> None:
    assert removing(payload, published(payload)) == payload
    assert removing(payload, {}) == payload


@given(PAYLOADS, PAYLOADS)
def test_after_the_announcement_home_assistant_has_what_is_wanted_and_nothing_else(
    before: DevicePayload, now: DevicePayload
) -> None:
    """Home Assistant as it behaves: what is named alone goes, what is left out stays, the rest comes."""
    there = {(key, platform) for key, platform in published(before).items()}
    for payload in (removing(now, published(before)), now):
        for key, words in payload.payload()["components"].items():
            if len(words) > 1:
                there.add((key, words["platform"]))
            else:
                there.discard((key, words["platform"]))
    assert there == set(published(now).items())


@given(PAYLOADS, PAYLOADS)
def test_removals_come_first(before: DevicePayload, now: DevicePayload) -> None:
    sizes = [len(words) for words in removing(now, published(before)).payload()["components"].values()]
    alone = [size == 1 for size in sizes]
    assert alone == sorted(alone, reverse=True)


@given(PAYLOADS)
def test_what_was_published_is_remembered_as_json(payload: DevicePayload) -> None:
    assert json.loads(json.dumps(published(payload))) == published(payload)


def test_a_component_of_a_platform_without_a_class_is_removed_too() -> None:
    words = removing(a_payload({}), {"mode": "select"}).payload()
    assert words["components"] == {"mode": {"platform": "select"}}


def test_a_removal_is_not_remembered() -> None:
    assert published(removing(a_payload({"s": a_sensor("s")}), {"gone": "sensor"})) == {"s": "sensor"}


def test_a_platform_that_home_assistant_does_not_have_is_not_published() -> None:
    """One unknown platform would make Home Assistant refuse the whole payload."""
    with pytest.raises(DiscoveryError, match="was 'senser', which is no platform"):
        removing(a_payload({}), {"gone": "senser"})
    with pytest.raises(DiscoveryError, match="which is no Platform"):
        a_payload({}, removed={"gone": "senser"})


def test_no_component_is_both_there_and_removed() -> None:
    with pytest.raises(DiscoveryError, match="both there and removed"):
        a_payload({"s": a_sensor("s")}, removed={"s": Platform.SENSOR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Select(Entity):
    """A platform that has no class, made by a user of the package."""

    platform: ClassVar[Platform] = Platform.SELECT

    command_topic: str
    options: tuple[str, ...]


def test_a_platform_without_a_class_can_be_added() -> None:
    select = Select(unique_id="mode", name="Mode", command_topic="a/mode/set", options=("day", "night"))
    assert a_payload({"mode": select}).payload()["components"]["mode"]["options"] == ["day", "night"]
    with pytest.raises(DiscoveryError, match="select 'mode': command_topic"):
        Select(unique_id="mode", name="Mode", command_topic="a/+/set", options=("day",))


def test_the_readme_tells_the_truth() -> None:
    text = (PACKAGE / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", "\n".join(blocks)],
        cwd=PACKAGE.parent,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    topic, message, removal = ran.stdout.splitlines()
    assert topic == "homeassistant/device/greenhouse_7f3a/config"
    assert set(json.loads(message)["components"]) == {"temperature", "heater", "target"}
    assert removal == "{'platform': 'switch'}"


def test_the_readme_shows_the_error_as_it_is() -> None:
    text = (PACKAGE / "README.md").read_text()
    with pytest.raises(DiscoveryError) as caught:
        Sensor(
            unique_id="x",
            name="Rate",
            state_topic="x/fps",
            device_class=ha_discovery.SensorDeviceClass.FREQUENCY,
            unit_of_measurement="fps",
        )
    assert f"DiscoveryError: {caught.value}\n" in text


def test_the_package_needs_nothing_but_the_standard_library() -> None:
    trees = [ast.parse(path.read_text()) for path in PACKAGE.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    whole = {each.name for node in nodes if isinstance(node, ast.Import) for each in node.names}
    parts = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module}
    roots = {name.split(".")[0] for name in whole | parts} - {"_typeshed"}  # known to type checkers only
    assert roots <= set(sys.stdlib_module_names)
    assert (PACKAGE / "py.typed").exists()


def test_everything_public_is_named() -> None:
    assert all(hasattr(ha_discovery, name) for name in ha_discovery.__all__)
