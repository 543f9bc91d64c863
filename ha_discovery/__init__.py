"""Home Assistant's MQTT discovery: a device and its entities in, the one message that announces them out.

Values in, values out: no I/O, no MQTT client, nothing but the standard library. A dataclass per platform has
the keys which that platform takes, by Home Assistant's full names; what cannot work raises DiscoveryError
when it is made. What is made here passes the schemas of Home Assistant 2025.4 and 2026.11 with no key
dropped, `default_entity_id` excepted.

`DevicePayload` has `topic()` and `json()`: publish that, retained, QoS 1. Keep what `published()` returns; at
the next start `removing()` makes of it the announcement that also takes away what is no longer there. An
empty retained message on the same topic removes the device.
"""

from .controls import ACTION_AND_CODE, AlarmControlPanel, Button, Number, Switch, Update
from .device import Availability, Device, Origin
from .entity import Component, Entity
from .payload import DevicePayload, published, removing
from .pictures import Camera, Image, ImageEncoding
from .quantities import STATE_CLASSES, UNITS, SensorDeviceClass
from .rules import DiscoveryError
from .sensing import BinarySensor, DeviceTrigger, Event, Sensor
from .vocabulary import (
    BY_DEVICE_CLASS,
    AlarmFeature,
    AvailabilityMode,
    BinarySensorDeviceClass,
    ButtonDeviceClass,
    EntityCategory,
    EventDeviceClass,
    Naming,
    NumberMode,
    Platform,
    RemoteCode,
    StateClass,
    SwitchDeviceClass,
    UpdateDeviceClass,
)

__all__ = [
    "ACTION_AND_CODE",
    "BY_DEVICE_CLASS",
    "STATE_CLASSES",
    "UNITS",
    "AlarmControlPanel",
    "AlarmFeature",
    "Availability",
    "AvailabilityMode",
    "BinarySensor",
    "BinarySensorDeviceClass",
    "Button",
    "ButtonDeviceClass",
    "Camera",
    "Component",
    "Device",
    "DevicePayload",
    "DeviceTrigger",
    "DiscoveryError",
    "Entity",
    "EntityCategory",
    "Event",
    "EventDeviceClass",
    "Image",
    "ImageEncoding",
    "Naming",
    "Number",
    "NumberMode",
    "Origin",
    "Platform",
    "RemoteCode",
    "Sensor",
    "SensorDeviceClass",
    "StateClass",
    "Switch",
    "SwitchDeviceClass",
    "Update",
    "UpdateDeviceClass",
    "published",
    "removing",
]
