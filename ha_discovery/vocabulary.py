"""The closed lists of Home Assistant's MQTT discovery: what stands here is known to 2025.4 and to 2026.11."""

from enum import Enum, StrEnum
from typing import Final


class Naming(Enum):
    """What stands in for an entity's name where there is no text."""

    BY_DEVICE_CLASS = "by device class"


BY_DEVICE_CLASS: Final = Naming.BY_DEVICE_CLASS
"""`name` is left out: Home Assistant names the entity after its device class, in the user's language."""


class Platform(StrEnum):
    """Every platform that discovery knows; more than there are classes here, so that any can be removed."""

    ALARM_CONTROL_PANEL = "alarm_control_panel"
    BINARY_SENSOR = "binary_sensor"
    BUTTON = "button"
    CAMERA = "camera"
    CLIMATE = "climate"
    COVER = "cover"
    DEVICE_AUTOMATION = "device_automation"
    DEVICE_TRACKER = "device_tracker"
    EVENT = "event"
    FAN = "fan"
    HUMIDIFIER = "humidifier"
    IMAGE = "image"
    LAWN_MOWER = "lawn_mower"
    LIGHT = "light"
    LOCK = "lock"
    NOTIFY = "notify"
    NUMBER = "number"
    SCENE = "scene"
    SELECT = "select"
    SENSOR = "sensor"
    SIREN = "siren"
    SWITCH = "switch"
    TAG = "tag"
    TEXT = "text"
    UPDATE = "update"
    VACUUM = "vacuum"
    VALVE = "valve"
    WATER_HEATER = "water_heater"


class EntityCategory(StrEnum):
    """No category: a main feature. CONFIG is for what one can set, never for a sensor or binary sensor."""

    CONFIG = "config"
    DIAGNOSTIC = "diagnostic"


class AvailabilityMode(StrEnum):
    """Which of several availability topics must say yes."""

    ALL = "all"
    ANY = "any"
    LATEST = "latest"


class StateClass(StrEnum):
    """Asks Home Assistant for long-term statistics of a sensor."""

    MEASUREMENT = "measurement"
    MEASUREMENT_ANGLE = "measurement_angle"
    TOTAL = "total"
    TOTAL_INCREASING = "total_increasing"


class NumberMode(StrEnum):
    AUTO = "auto"
    BOX = "box"
    SLIDER = "slider"


class AlarmFeature(StrEnum):
    """What a panel can do besides disarming, which every panel can."""

    ARM_HOME = "arm_home"
    ARM_AWAY = "arm_away"
    ARM_NIGHT = "arm_night"
    ARM_VACATION = "arm_vacation"
    ARM_CUSTOM_BYPASS = "arm_custom_bypass"
    TRIGGER = "trigger"


class RemoteCode(StrEnum):
    """The appliance checks the code. One in the payload is not offered: the broker would keep it for all."""

    DIGITS = "REMOTE_CODE"
    TEXT = "REMOTE_CODE_TEXT"


class BinarySensorDeviceClass(StrEnum):
    BATTERY = "battery"
    BATTERY_CHARGING = "battery_charging"
    CARBON_MONOXIDE = "carbon_monoxide"
    COLD = "cold"
    CONNECTIVITY = "connectivity"
    DOOR = "door"
    GARAGE_DOOR = "garage_door"
    GAS = "gas"
    HEAT = "heat"
    LIGHT = "light"
    LOCK = "lock"
    MOISTURE = "moisture"
    MOTION = "motion"
    MOVING = "moving"
    OCCUPANCY = "occupancy"
    OPENING = "opening"
    PLUG = "plug"
    POWER = "power"
    PRESENCE = "presence"
    PROBLEM = "problem"
    RUNNING = "running"
    SAFETY = "safety"
    SMOKE = "smoke"
    SOUND = "sound"
    TAMPER = "tamper"
    UPDATE = "update"
    VIBRATION = "vibration"
    WINDOW = "window"


class EventDeviceClass(StrEnum):
    BUTTON = "button"
    DOORBELL = "doorbell"
    MOTION = "motion"


class SwitchDeviceClass(StrEnum):
    OUTLET = "outlet"
    SWITCH = "switch"


class ButtonDeviceClass(StrEnum):
    IDENTIFY = "identify"
    RESTART = "restart"
    UPDATE = "update"


class UpdateDeviceClass(StrEnum):
    FIRMWARE = "firmware"
