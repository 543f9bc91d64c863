"""Rules that a sensor and a number share: device class, unit and state class belong together."""

from .quantities import STATE_CLASSES, UNITS, SensorDeviceClass
from .rules import DiscoveryError
from .vocabulary import StateClass

_DEGREES = "°"


def check_unit(where: str, device_class: SensorDeviceClass | None, unit: str | None) -> None:
    """Raise DiscoveryError where the unit does not suit the device class, or is missing where one is due."""
    units = UNITS.get(device_class) if device_class else None
    if units is None or unit in units:
        return
    wrong = f"is missing from {device_class}" if unit is None else f"{unit!r} does not suit {device_class}"
    spelled = ", ".join(sorted(each for each in units if each))
    mu = " (µ is U+00B5)" if "µ" in spelled else ""
    right = f"use {spelled}{mu}, or leave device_class out" if spelled else f"leave it out: {device_class} has none"
    raise DiscoveryError(where, "unit_of_measurement", wrong, right)


def check_state_class(
    where: str, device_class: SensorDeviceClass | None, unit: str | None, state_class: StateClass | None
) -> None:
    """Raise DiscoveryError where Home Assistant could make no statistics of what the sensor measures."""
    if state_class is None:
        return
    possible = STATE_CLASSES[device_class] if device_class else frozenset(StateClass)
    if state_class not in possible:
        right = f"use {', '.join(sorted(possible))}" if possible else "leave it out"
        raise DiscoveryError(where, "state_class", f"{state_class} is impossible for {device_class}", right)
    if state_class is StateClass.MEASUREMENT_ANGLE and unit != _DEGREES:
        wrong = f"is {unit!r}, but {state_class} is in degrees"
        raise DiscoveryError(where, "unit_of_measurement", wrong, f"use {_DEGREES}")
