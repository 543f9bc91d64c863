"""What the hub shows and takes in Home Assistant: the alarm panel, and how the appliance itself is."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import ha_discovery as ha
from appliance.config import Model
from appliance.controller.alarm.words import EventKind
from appliance.controller.commands import PRESS
from appliance.controller.discovery.latency import latency_entities

if TYPE_CHECKING:
    from appliance.config import Alarm
    from appliance.controller.topics import Topics

STAGES = ("capture", "inference", "controller", "gateway")
BACKENDS = tuple(name for name in get_args(Model.model_fields["backend"].annotation) if name != "auto")

_DIAGNOSTIC = ha.EntityCategory.DIAGNOSTIC
_ACTION = "{{action}}"
_FEATURES = (
    ha.AlarmFeature.ARM_HOME,
    ha.AlarmFeature.ARM_AWAY,
    ha.AlarmFeature.ARM_NIGHT,
    ha.AlarmFeature.TRIGGER,
)


def hub_entities(hub_id: str, alarm: Alarm, topics: Topics) -> dict[str, ha.Component]:
    """Return the hub's entities; all depend on the controller alone, which is the device's own availability."""
    return {
        "alarm": _panel(hub_id, alarm, topics),
        "alarm_event": ha.Event(
            unique_id=f"{hub_id}_alarm_event",
            name="Alarm",
            icon="mdi:shield-alert",
            event_types=tuple(EventKind),
            state_topic=topics.alarm_event,
            qos=1,
        ),
        **_health(hub_id, topics),
        **_stages(hub_id, topics),
        **latency_entities(hub_id, topics.latency),
        "restart": ha.Button(
            unique_id=f"{hub_id}_restart",
            device_class=ha.ButtonDeviceClass.RESTART,
            entity_category=ha.EntityCategory.CONFIG,
            command_topic=topics.restart_set,
            payload_press=PRESS,
            qos=1,
        ),
    }


def _panel(hub_id: str, alarm: Alarm, topics: Topics) -> ha.AlarmControlPanel:
    # Home Assistant asks for a code wherever there is one: not where nothing takes it.
    asks = alarm.pin is not None and (alarm.code_to_arm or alarm.code_to_disarm or alarm.code_to_trigger)
    return ha.AlarmControlPanel(
        unique_id=f"{hub_id}_alarm",
        name=None,
        state_topic=topics.alarm_state,
        command_topic=topics.alarm_set,
        command_template=ha.ACTION_AND_CODE if asks else _ACTION,
        json_attributes_topic=topics.alarm_attributes,
        supported_features=_FEATURES,
        code=ha.RemoteCode.DIGITS if asks else None,
        code_arm_required=asks and alarm.code_to_arm,
        code_disarm_required=asks and alarm.code_to_disarm,
        code_trigger_required=asks and alarm.code_to_trigger,
        qos=1,
    )


def _health(hub_id: str, topics: Topics) -> dict[str, ha.Component]:
    return {
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
        "detector": ha.BinarySensor(
            unique_id=f"{hub_id}_detector",
            name="Detector overloaded",
            icon="mdi:speedometer-slow",
            device_class=ha.BinarySensorDeviceClass.PROBLEM,
            entity_category=_DIAGNOSTIC,
            state_topic=topics.health,
            value_template="{{ 'ON' if value_json.shortage else 'OFF' }}",
            json_attributes_topic=topics.health,
            json_attributes_template="{{ {'reason': value_json.shortage} | tojson }}",
        ),
    }


def _stages(hub_id: str, topics: Topics) -> dict[str, ha.Component]:
    return {
        f"stage_{stage}": ha.BinarySensor(
            unique_id=f"{hub_id}_stage_{stage}",
            name=stage.capitalize(),
            device_class=ha.BinarySensorDeviceClass.RUNNING,
            entity_category=_DIAGNOSTIC,
            state_topic=topics.stage(stage),
            payload_on="online",
            payload_off="offline",
        )
        for stage in STAGES
    }
