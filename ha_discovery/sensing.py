"""What an appliance tells: binary sensors, sensors, events, device triggers."""

from dataclasses import dataclass
from typing import Any, ClassVar

from .entity import Component, Entity
from .measured import check_state_class, check_unit
from .quantities import SensorDeviceClass
from .rules import DiscoveryError
from .vocabulary import BinarySensorDeviceClass, EntityCategory, EventDeviceClass, Platform, StateClass


def _check_not_config(entity: Entity) -> None:
    if entity.entity_category is EntityCategory.CONFIG:
        wrong = f"is config, which a {entity.platform} cannot be"
        raise DiscoveryError(entity.where, "entity_category", wrong, "use diagnostic or leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class BinarySensor(Entity):
    """On or off.

    `off_delay` and `expire_after` are seconds; the latter makes it unavailable until the first state.
    """

    platform: ClassVar[Platform] = Platform.BINARY_SENSOR

    state_topic: str
    device_class: BinarySensorDeviceClass | None = None
    value_template: str | None = None
    payload_on: str = "ON"
    payload_off: str = "OFF"
    off_delay: int | None = None
    expire_after: int | None = None
    force_update: bool = False

    def _check(self) -> None:
        _check_not_config(self)
        self._differ("payload_on", "payload_off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor(Entity):
    """A number, a text, one of `options` (device class enum), or a time with zone (device class timestamp).

    `expire_after` is seconds and makes it unavailable until the first state: for statistics, not for states.
    """

    platform: ClassVar[Platform] = Platform.SENSOR

    state_topic: str
    device_class: SensorDeviceClass | None = None
    value_template: str | None = None
    unit_of_measurement: str | None = None
    state_class: StateClass | None = None
    options: tuple[str, ...] | None = None
    suggested_display_precision: int | None = None
    expire_after: int | None = None
    force_update: bool = False
    last_reset_value_template: str | None = None

    def _check(self) -> None:
        _check_not_config(self)
        self._check_options()
        check_unit(self.where, self.device_class, self.unit_of_measurement)
        check_state_class(self.where, self.device_class, self.unit_of_measurement, self.state_class)
        held = self.last_reset_value_template is None or self.state_class is StateClass.TOTAL
        key, wrong = "last_reset_value_template", f"stands with state_class {self.state_class}"
        self._demand(held, key, wrong, "use it with state_class total only")

    def _check_options(self) -> None:
        if self.options is None:
            return
        an_enum = self.device_class is SensorDeviceClass.ENUM
        wrong = f"stands with device_class {self.device_class}"
        self._demand(an_enum, "options", wrong, "use device_class enum, without unit and state_class")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Entity):
    """Something that happened.

    Publish JSON with one of these as `event_type`, never retained; its other keys become attributes.
    """

    platform: ClassVar[Platform] = Platform.EVENT

    state_topic: str
    event_types: tuple[str, ...]
    device_class: EventDeviceClass | None = None
    value_template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTrigger(Component):
    """A line in the automation editor's list of the device's triggers; no entity, so no unique id.

    It fires when `payload` comes in on `topic` (any payload, where it is None). Home Assistant shows `type`
    and `subtype` as they are, save for its own few, such as button_short_press and button_1.
    """

    platform: ClassVar[Platform] = Platform.DEVICE_AUTOMATION

    type: str
    subtype: str
    topic: str
    payload: str | None = None
    value_template: str | None = None
    qos: int = 0

    @property
    def where(self) -> str:
        return f"{self.platform} '{self.type} {self.subtype}'"

    def component(self) -> dict[str, Any]:
        # Not super(): slots=True makes a second class, which super() without arguments does not find.
        return {**Component.component(self), "automation_type": "trigger"}
