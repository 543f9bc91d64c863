"""What Home Assistant is told of the appliance: a hub device, and one device per camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ha_discovery as ha
from appliance import __version__
from appliance.controller.topics import Topics
from appliance.messages import Mode, SentryState

if TYPE_CHECKING:
    from appliance.config import Camera, Settings

PROJECT_URL = "https://github.com/porchlight-ha/porchlight"
STAGES = ("capture", "inference", "controller", "gateway")
BACKENDS = ("onnxruntime", "openvino", "openvino_bf16")
ENTERED = "person_entered"
LEFT = "person_left"
STATS_EXPIRE_S = 60

_ORIGIN = ha.Origin(name="Porchlight", sw_version=__version__, support_url=PROJECT_URL)
_DIAGNOSTIC = ha.EntityCategory.DIAGNOSTIC


def announce(settings: Settings) -> list[ha.DevicePayload]:
    """Return the hub, then the cameras, in the order in which Home Assistant should hear of them."""
    topics = Topics(settings.instance)
    hub_id = f"porchlight_{settings.instance}"
    return [_hub(hub_id, settings, topics), *(_camera(hub_id, camera, topics) for camera in settings.cameras)]


def _hub(hub_id: str, settings: Settings, topics: Topics) -> ha.DevicePayload:
    components: dict[str, ha.Component] = {
        "problem": ha.BinarySensor(
            unique_id=f"{hub_id}_problem",
            device_class=ha.BinarySensorDeviceClass.PROBLEM,
            entity_category=_DIAGNOSTIC,
            state_topic=topics.health,
            value_template="{{ 'ON' if value_json.problem else 'OFF' }}",
            json_attributes_topic=topics.health,
            json_attributes_template="{{ {'reasons': value_json.reasons} | tojson }}",
        ),
        "started": ha.Sensor(
            unique_id=f"{hub_id}_started",
            name="Started",
            device_class=ha.SensorDeviceClass.TIMESTAMP,
            entity_category=_DIAGNOSTIC,
            state_topic=topics.health,
            value_template="{{ value_json.started }}",
        ),
        "backend": ha.Sensor(
            unique_id=f"{hub_id}_backend",
            name="Backend",
            icon="mdi:chip",
            device_class=ha.SensorDeviceClass.ENUM,
            options=BACKENDS,
            entity_category=_DIAGNOSTIC,
            state_topic=topics.health,
            value_template="{{ value_json.backend }}",
        ),
    }
    components["detector"] = ha.BinarySensor(
        unique_id=f"{hub_id}_detector",
        name="Detector overloaded",
        icon="mdi:speedometer-slow",
        device_class=ha.BinarySensorDeviceClass.PROBLEM,
        entity_category=_DIAGNOSTIC,
        state_topic=topics.health,
        value_template="{{ 'ON' if value_json.shortage else 'OFF' }}",
        json_attributes_topic=topics.health,
        json_attributes_template="{{ {'reason': value_json.shortage} | tojson }}",
    )
    for stage in STAGES:
        components[f"stage_{stage}"] = ha.BinarySensor(
            unique_id=f"{hub_id}_stage_{stage}",
            name=stage.capitalize(),
            device_class=ha.BinarySensorDeviceClass.RUNNING,
            entity_category=_DIAGNOSTIC,
            state_topic=topics.stage(stage),
            payload_on="online",
            payload_off="offline",
        )
    return ha.DevicePayload(
        device=ha.Device(
            identifiers=(hub_id,),
            name="Porchlight" if settings.instance == "porchlight" else f"Porchlight {settings.instance}",
            manufacturer="Porchlight",
            model="Person detection appliance",
            sw_version=__version__,
        ),
        origin=_ORIGIN,
        components=components,
        availability=(ha.Availability(topic=topics.status),),
    )


def _camera(hub_id: str, camera: Camera, topics: Topics) -> ha.DevicePayload:
    device_id = f"{hub_id}_{camera.id}"

    def topic(what: str) -> str:
        return topics.camera(camera.id, what)

    alive = ha.Availability(topic=topics.status)
    sees = (alive, ha.Availability(topic=topic("status")))
    captured = (alive, ha.Availability(topic=topics.stage("capture")))
    shown = (
        alive,
        ha.Availability(topic=topics.picture_status),
        ha.Availability(topic=topic("connectivity"), payload_available="ON", payload_not_available="OFF"),
    )
    components: dict[str, ha.Component] = {
        "camera": ha.Camera(unique_id=f"{device_id}_camera", name=None, topic=topic("camera"), availability=shown),
        "person": ha.BinarySensor(
            unique_id=f"{device_id}_person",
            name="Person",
            device_class=ha.BinarySensorDeviceClass.OCCUPANCY,
            state_topic=topic("person"),
            availability=sees,
            qos=1,
        ),
        "event": ha.Event(
            unique_id=f"{device_id}_event",
            name="Visit",
            device_class=ha.EventDeviceClass.MOTION,
            event_types=(ENTERED, LEFT),
            state_topic=topic("event"),
            availability=sees,
            qos=1,
        ),
        "person_entered": ha.DeviceTrigger(
            type=ENTERED,
            subtype="person",
            topic=topic("event"),
            payload=ENTERED,
            value_template="{{ value_json.event_type }}",
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
        "connectivity": ha.BinarySensor(
            unique_id=f"{device_id}_connectivity",
            device_class=ha.BinarySensorDeviceClass.CONNECTIVITY,
            entity_category=_DIAGNOSTIC,
            state_topic=topic("connectivity"),
            availability=captured,
        ),
        **_statistics(device_id, topic("stats"), sees),
    }
    return ha.DevicePayload(
        device=ha.Device(
            identifiers=(device_id,),
            name=camera.label,
            manufacturer="Porchlight",
            model="Watched camera",
            sw_version=__version__,
            suggested_area=camera.area,
            via_device=hub_id,
        ),
        origin=_ORIGIN,
        components=components,
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
