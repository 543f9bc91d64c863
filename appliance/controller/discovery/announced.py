"""What the broker has of us, and what to take back of it: cameras, zones and entities that are no more.

Home Assistant keeps an entity that is merely left out, and the broker keeps every retained message; so what was
announced is kept in a file, and whatever of it is not announced any more is taken back, also where the settings were
edited while the appliance was off. Values in, values out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

import ha_discovery as ha
from appliance.controller.discovery.hub import STAGES
from appliance.controller.overlay import Setting
from appliance.controller.topics import Topics
from ha_discovery.rules import identifier_rule, topic_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appliance.config import Settings

_Version = Literal[1]
VERSION: _Version = get_args(_Version)[0]
GONE = ""
"""An empty retained message is how MQTT takes one back, and how Home Assistant learns that a device is no more."""


_DEVICE = re.compile(r".+/device/porchlight_[a-z0-9_]+/config")
_FACT = re.compile(r"porchlight/[a-z0-9_]+/.+")


class BrokenRecordError(ValueError):
    """The text is no record of what was announced."""


class NewerRecordError(BrokenRecordError):
    """The text is a newer version's, and may well be whole."""


class Device(BaseModel):
    """What was announced of one device: its components' platforms by their keys, and its retained topics."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    components: dict[str, str]
    facts: list[str]


class Announced(BaseModel):
    """Each device by its discovery topic."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    version: _Version = VERSION
    devices: dict[str, Device] = {}

    def over(self, before: Announced) -> Announced:
        """Return both: what the broker has until all of `before` that is no more was taken back."""
        devices = dict(before.devices)
        for topic, device in self.devices.items():
            old = devices.get(topic, Device(components={}, facts=[]))
            devices[topic] = Device(
                components={**old.components, **device.components}, facts=sorted({*old.facts, *device.facts})
            )
        return Announced(devices=devices)


def announced(settings: Settings, payloads: Sequence[ha.DevicePayload]) -> Announced:
    """Return the record of these announcements: the hub's first, then each camera's."""
    topics = Topics(settings.instance)
    hub = [*topics.hub_facts, *(topics.stage(stage) for stage in STAGES)]
    cameras = [
        [
            *topics.camera_facts(camera.id),
            *(topics.zone(camera.id, zone.id) for zone in camera.zones),
            *(topics.setting(camera.id, setting) for setting in Setting),
        ]
        for camera in settings.cameras
    ]
    prefix = settings.mqtt.discovery_prefix
    return Announced(
        devices={
            payload.topic(prefix): Device(components=ha.published(payload), facts=facts)
            for payload, facts in zip(payloads, [hub, *cameras], strict=True)
        }
    )


def farewell(before: Announced, now: Announced, payloads: Mapping[str, ha.DevicePayload]) -> dict[str, str]:
    """Return what to publish, retained, ahead of the announcements: payload by topic. `payloads` by their topics."""
    takes_back: dict[str, str] = {}
    for topic, device in before.devices.items():
        if topic not in now.devices:
            takes_back[topic] = GONE
        elif (parting := ha.removing(payloads[topic], device.components)) != payloads[topic]:
            takes_back[topic] = parting.json()
    kept = {fact for device in now.devices.values() for fact in device.facts}
    gone = {fact for device in before.devices.values() for fact in device.facts} - kept
    return {**takes_back, **dict.fromkeys(sorted(gone), GONE)}


def from_json(text: str) -> Announced:
    """Return what was kept. NewerRecordError or BrokenRecordError where it is no such record: what it names is emptied
    at the broker.
    """
    try:
        record = Announced.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        version = first["input"] if first["loc"] == ("version",) else None
        if type(version) is int and version > VERSION:
            raise NewerRecordError(
                f"the record was kept by a newer Porchlight (version {version}, this one reads {VERSION}): install "
                "that one again and give the file its name back, or delete in Home Assistant what nobody has any more"
            ) from None
        place = ".".join(map(str, first["loc"]))
        raise BrokenRecordError(f"the record is broken: {place}: {first['msg']}") from None
    for topic, device in record.devices.items():
        _check(topic, _DEVICE)
        for fact in device.facts:
            _check(fact, _FACT)
        for key, platform in device.components.items():
            if identifier_rule(key) or platform not in set(ha.Platform):
                raise BrokenRecordError(f"the record is broken: no component is {key!r}, a {platform!r}")
    return record


def _check(topic: str, ours: re.Pattern[str]) -> None:
    if topic_rule(topic) or not ours.fullmatch(topic):
        raise BrokenRecordError(f"the record is broken: {topic[:80]!r} is no topic of ours")
