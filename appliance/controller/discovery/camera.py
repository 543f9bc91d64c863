"""What a camera shows and takes in Home Assistant: who is there, in its picture and its zones, and how it does."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import ha_discovery as ha
from appliance.controller.commands import OFF, ON
from appliance.controller.discovery.latency import latency_entities
from appliance.controller.discovery.settings import setting_entities
from appliance.controller.overlay import Setting
from appliance.messages import Mode, SentryState

if TYPE_CHECKING:
    from appliance.config import Camera
    from appliance.controller.topics import Topics


class Watching(StrEnum):
    """Whether anybody watches at this camera."""

    WATCHING = "watching"
    DEGRADED = "degraded"
    """It sees, and something about it is wrong."""
    BLIND = "blind"
    OFF = "off"
    """Its owner has switched detection off."""


ENTERED = "person_entered"
LEFT = "person_left"
ALARM = "alarm_triggered"
STATS_EXPIRE_S = 60

_DIAGNOSTIC = ha.EntityCategory.DIAGNOSTIC


def camera_entities(device_id: str, camera: Camera, topics: Topics) -> dict[str, ha.Component]:
    """Return the camera's entities. Each is available while all are there whose word it takes."""

    def topic(what: str) -> str:
        return topics.camera(camera.id, what)

    alive = ha.Availability(topic=topics.status)
    sees = (alive, ha.Availability(topic=topic("status")))
    captured = (alive, ha.Availability(topic=topics.stage("capture")))
    pictured = ha.Availability(topic=topics.picture_status)
    shown = (
        alive,
        pictured,
        ha.Availability(topic=topic("connectivity"), payload_available=ON, payload_not_available=OFF),
        ha.Availability(
            topic=topics.setting(camera.id, Setting.LIVE_VIEW), payload_available=ON, payload_not_available=OFF
        ),
    )
    return {
        "camera": ha.Camera(unique_id=f"{device_id}_camera", name=None, topic=topic("camera"), availability=shown),
        # Without the gateway it would stay while others come.
        "last_person": ha.Image(
            unique_id=f"{device_id}_last_person",
            name="Last person",
            icon="mdi:account-box",
            image_topic=topic("last_person"),
            content_type="image/jpeg",
            availability=(alive, pictured),
        ),
        "person": _occupancy(f"{device_id}_person", "Person", topic("person"), sees),
        **{
            # With a dash, which no camera's name has: the zone `person` of `yard` is not the camera `yard_zone`.
            f"zone_{zone.id}": _occupancy(
                f"{device_id}_zone-{zone.id}", zone.label, topics.zone(camera.id, zone.id), sees, "mdi:vector-polygon"
            )
            for zone in camera.zones
        },
        "event": ha.Event(
            unique_id=f"{device_id}_event",
            name="Visit",
            device_class=ha.EventDeviceClass.MOTION,
            event_types=(ENTERED, LEFT, ALARM),
            state_topic=topic("event"),
            availability=sees,
            qos=1,
        ),
        "person_entered": ha.DeviceTrigger(
            type=ENTERED,
            subtype="person",
            topic=topic("event"),
            payload=ENTERED,
            # What is late is for the event entity, which says so; a trigger would fire as if it were now.
            value_template="{{ '' if value_json.replayed | default(false) else value_json.event_type }}",
            qos=1,
        ),
        "person_count": ha.Sensor(
            unique_id=f"{device_id}_person_count",
            name="Person count",
            icon="mdi:account-group",
            state_class=ha.StateClass.MEASUREMENT,
            state_topic=topic("person_count"),
            availability=sees,
        ),
        "last_seen": ha.Sensor(
            unique_id=f"{device_id}_last_seen",
            name="Last seen",
            icon="mdi:account-clock",
            device_class=ha.SensorDeviceClass.TIMESTAMP,
            state_topic=topic("last_seen"),
            availability=(alive,),
        ),
        "state": ha.Sensor(
            unique_id=f"{device_id}_state",
            name="Sentry",
            icon="mdi:shield-search",
            device_class=ha.SensorDeviceClass.ENUM,
            options=tuple(state.label for state in SentryState),
            state_topic=topic("state"),
            value_template="{{ value_json.state }}",
            availability=sees,
        ),
        "mode": ha.Sensor(
            unique_id=f"{device_id}_mode",
            name="Mode",
            icon="mdi:speedometer",
            device_class=ha.SensorDeviceClass.ENUM,
            options=tuple(mode.label for mode in Mode),
            entity_category=_DIAGNOSTIC,
            state_topic=topic("state"),
            value_template="{{ value_json.mode }}",
            availability=sees,
        ),
        "watching": ha.Sensor(
            unique_id=f"{device_id}_watching",
            name="Watching",
            icon="mdi:eye-check",
            device_class=ha.SensorDeviceClass.ENUM,
            options=tuple(Watching),
            entity_category=_DIAGNOSTIC,
            state_topic=topic("watching"),
            value_template="{{ value_json.state }}",
            json_attributes_topic=topic("watching"),
            json_attributes_template="{{ {'reason': value_json.reason} | tojson }}",
            availability=(alive,),
        ),
        "connectivity": ha.BinarySensor(
            unique_id=f"{device_id}_connectivity",
            device_class=ha.BinarySensorDeviceClass.CONNECTIVITY,
            entity_category=_DIAGNOSTIC,
            state_topic=topic("connectivity"),
            availability=captured,
        ),
        **_statistics(device_id, topic("stats"), sees),
        **latency_entities(device_id, topic("latency"), (alive,)),
        **setting_entities(device_id, camera.id, topics, (alive,)),
    }


def _occupancy(
    unique_id: str, name: str, topic: str, availability: tuple[ha.Availability, ...], icon: str | None = None
) -> ha.BinarySensor:
    return ha.BinarySensor(
        unique_id=unique_id,
        name=name,
        icon=icon,
        device_class=ha.BinarySensorDeviceClass.OCCUPANCY,
        state_topic=topic,
        availability=availability,
        qos=1,
    )


def _statistics(device_id: str, topic: str, availability: tuple[ha.Availability, ...]) -> dict[str, ha.Sensor]:
    def sensor(key: str, name: str, icon: str, unit: str | None, digits: int) -> ha.Sensor:
        return ha.Sensor(
            unique_id=f"{device_id}_{key}",
            name=name,
            icon=icon,
            device_class=ha.SensorDeviceClass.DURATION if unit else None,
            unit_of_measurement=unit,
            state_class=ha.StateClass.MEASUREMENT,
            entity_category=_DIAGNOSTIC,
            suggested_display_precision=digits,
            state_topic=topic,
            value_template=f"{{{{ value_json.{key} }}}}",
            expire_after=STATS_EXPIRE_S,
            availability=availability,
        )

    return {
        "fps": sensor("fps", "Frames per second", "mdi:filmstrip", None, 1),
        "latency": sensor("latency", "Latency", "mdi:timer-outline", "ms", 0),
        "dropped": sensor("dropped", "Dropped frames", "mdi:filmstrip-off", None, 0),
    }
