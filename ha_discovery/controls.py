"""What an appliance can be told: switches, numbers, buttons, updates, the alarm panel.

`retain` is left out of all of them on purpose: a retained command is carried out again at every start.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from .entity import Entity
from .measured import check_unit
from .quantities import NOT_NUMERIC, SensorDeviceClass
from .vocabulary import (
    AlarmFeature,
    ButtonDeviceClass,
    NumberMode,
    Platform,
    RemoteCode,
    SwitchDeviceClass,
    UpdateDeviceClass,
)

ACTION_AND_CODE: Final = "{{ {'action': action, 'code': code} | to_json }}"
"""A `command_template` that sends both as JSON, whatever the code holds; it is null where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Entity):
    """On or off, to be set. Its device class does not name it. Without `state_topic` it is a guess."""

    platform: ClassVar[Platform] = Platform.SWITCH

    command_topic: str
    state_topic: str | None = None
    device_class: SwitchDeviceClass | None = None
    command_template: str | None = None
    value_template: str | None = None
    payload_on: str = "ON"
    payload_off: str = "OFF"
    state_on: str | None = None
    state_off: str | None = None
    optimistic: bool = False

    def _check(self) -> None:
        self._differ("payload_on", "payload_off")
        self._differ("state_on", "state_off")
        self._needs("value_template", "state_topic")

    def _named_by_device_class(self) -> bool:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Entity):
    """A number between `min` and `max`, to be set. `payload_reset` is the state that means unknown."""

    platform: ClassVar[Platform] = Platform.NUMBER

    command_topic: str
    state_topic: str | None = None
    device_class: SensorDeviceClass | None = None
    unit_of_measurement: str | None = None
    min: float = 0
    max: float = 100
    step: float = 1
    mode: NumberMode = NumberMode.AUTO
    command_template: str | None = None
    value_template: str | None = None
    payload_reset: str = "None"
    optimistic: bool = False

    def _check(self) -> None:
        numeric = self.device_class not in NOT_NUMERIC
        self._demand(numeric, "device_class", f"is {self.device_class}, which is no number", "use a Sensor")
        check_unit(self.where, self.device_class, self.unit_of_measurement)
        self._demand(self.min <= self.max, "min", f"is {self.min}, above max {self.max}", "let it be the lower")
        self._needs("value_template", "state_topic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Button(Entity):
    """Publishes `payload_press` when it is pressed."""

    platform: ClassVar[Platform] = Platform.BUTTON

    command_topic: str
    device_class: ButtonDeviceClass | None = None
    command_template: str | None = None
    payload_press: str = "PRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(Entity):
    """The installed and the latest version.

    JSON on `state_topic` may hold these keys and no others: installed_version, latest_version, title,
    release_summary, release_url, entity_picture, in_progress, update_percentage.
    """

    platform: ClassVar[Platform] = Platform.UPDATE

    state_topic: str
    device_class: UpdateDeviceClass | None = None
    value_template: str | None = None
    latest_version_topic: str | None = None
    latest_version_template: str | None = None
    command_topic: str | None = None
    payload_install: str | None = None
    display_precision: int = 0
    title: str | None = None
    release_summary: str | None = None
    release_url: str | None = None

    def _check(self) -> None:
        # Home Assistant offers "install" as soon as there is a command_topic, and fails when it is pressed.
        self._needs("command_topic", "payload_install")
        self._needs("payload_install", "command_topic")
        self._needs("latest_version_template", "latest_version_topic")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmControlPanel(Entity):
    """The panel of an alarm system.

    Its states are disarmed, armed_home, armed_away, armed_night, armed_vacation, armed_custom_bypass, arming,
    pending, triggered and disarming.

    With a `code`, Home Assistant asks for one and sends it to the appliance, which alone knows it;
    `command_template` must carry it, as ACTION_AND_CODE does. A `code_*_required` that is None follows:
    required where there is a code. With no code none may be required, or Home Assistant refuses to arm.
    """

    platform: ClassVar[Platform] = Platform.ALARM_CONTROL_PANEL

    state_topic: str
    command_topic: str
    supported_features: tuple[AlarmFeature, ...]
    value_template: str | None = None
    command_template: str = "{{action}}"
    code: RemoteCode | None = None
    code_arm_required: bool | None = None
    code_disarm_required: bool | None = None
    code_trigger_required: bool | None = None
    payload_arm_home: str = "ARM_HOME"
    payload_arm_away: str = "ARM_AWAY"
    payload_arm_night: str = "ARM_NIGHT"
    payload_arm_vacation: str = "ARM_VACATION"
    payload_arm_custom_bypass: str = "ARM_CUSTOM_BYPASS"
    payload_disarm: str = "DISARM"
    payload_trigger: str = "TRIGGER"

    def _check(self) -> None:
        arming = (f"payload_{feature}" for feature in AlarmFeature)
        self._differ("payload_disarm", *arming)
        if self.code is not None:
            wrong = f"{self.command_template!r} does not carry the code"
            right = "use ACTION_AND_CODE, or another that sends both"
            self._demand("code" in self.command_template, "command_template", wrong, right)
            return
        for key, required in self._required().items():
            self._demand(not required, key, "is true, but there is no code", "give a code, or require none")

    def _required(self) -> dict[str, bool]:
        keys = ("code_arm_required", "code_disarm_required", "code_trigger_required")
        asked = {key: getattr(self, key) for key in keys}
        return {key: self.code is not None if value is None else value for key, value in asked.items()}

    def component(self) -> dict[str, Any]:
        # Not super(): slots=True makes a second class, which super() without arguments does not find.
        return {**Entity.component(self), **self._required()}
