"""A camera's settings as entities: what they stand at is the controller's to say, whether the camera sees or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ha_discovery as ha
from appliance.controller.commands import OFF, ON, in_words
from appliance.controller.overlay import RANGES, Setting

if TYPE_CHECKING:
    from appliance.controller.topics import Topics

_CONFIG = ha.EntityCategory.CONFIG


def setting_entities(
    device_id: str, camera: str, topics: Topics, availability: tuple[ha.Availability, ...]
) -> dict[str, ha.Component]:
    """Return a switch or a number for each setting."""

    def switch(setting: Setting, name: str, icon: str) -> ha.Switch:
        return ha.Switch(
            unique_id=f"{device_id}_{setting}",
            name=name,
            icon=icon,
            entity_category=_CONFIG,
            command_topic=topics.setting_set(camera, setting),
            state_topic=topics.setting(camera, setting),
            payload_on=ON,
            payload_off=OFF,
            availability=availability,
            qos=1,
        )

    def number(
        setting: Setting, name: str, icon: str, unit: str, device_class: ha.SensorDeviceClass | None
    ) -> ha.Number:
        least, most = (float(in_words(setting, end)) for end in RANGES[setting])
        return ha.Number(
            unique_id=f"{device_id}_{setting}",
            name=name,
            icon=icon,
            device_class=device_class,
            unit_of_measurement=unit,
            entity_category=_CONFIG,
            command_topic=topics.setting_set(camera, setting),
            state_topic=topics.setting(camera, setting),
            min=least,
            max=most,
            step=1,
            mode=ha.NumberMode.BOX,
            availability=availability,
            qos=1,
        )

    return {
        "detection": switch(Setting.DETECTION, "Detection", "mdi:motion-sensor"),
        "live_view": switch(Setting.LIVE_VIEW, "Live view", "mdi:cctv"),
        "threshold": number(Setting.THRESHOLD, "Detection threshold", "mdi:percent-outline", "%", None),
        "clear_seconds": number(
            Setting.CLEAR_SECONDS, "Clear after", "mdi:timer-sand", "s", ha.SensorDeviceClass.DURATION
        ),
    }
