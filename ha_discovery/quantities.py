"""What a sensor or number measures, and the units and state classes that go with it.

From `DEVICE_CLASS_UNITS` and `DEVICE_CLASS_STATE_CLASSES` of Home Assistant 2025.4.4; 2026.11 accepts all of
it and some more. A unit that does not suit is a warning on the one and the loss of the entity on the other.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from .vocabulary import StateClass


class SensorDeviceClass(StrEnum):
    """Sensors take all of these, numbers all but `NOT_NUMERIC`."""

    APPARENT_POWER = "apparent_power"
    AQI = "aqi"
    AREA = "area"
    ATMOSPHERIC_PRESSURE = "atmospheric_pressure"
    BATTERY = "battery"
    BLOOD_GLUCOSE_CONCENTRATION = "blood_glucose_concentration"
    CARBON_DIOXIDE = "carbon_dioxide"
    CARBON_MONOXIDE = "carbon_monoxide"
    CONDUCTIVITY = "conductivity"
    CURRENT = "current"
    DATA_RATE = "data_rate"
    DATA_SIZE = "data_size"
    DATE = "date"
    DISTANCE = "distance"
    DURATION = "duration"
    ENERGY = "energy"
    ENERGY_DISTANCE = "energy_distance"
    ENERGY_STORAGE = "energy_storage"
    ENUM = "enum"
    FREQUENCY = "frequency"
    GAS = "gas"
    HUMIDITY = "humidity"
    ILLUMINANCE = "illuminance"
    IRRADIANCE = "irradiance"
    MOISTURE = "moisture"
    MONETARY = "monetary"
    NITROGEN_DIOXIDE = "nitrogen_dioxide"
    NITROGEN_MONOXIDE = "nitrogen_monoxide"
    NITROUS_OXIDE = "nitrous_oxide"
    OZONE = "ozone"
    PH = "ph"
    PM1 = "pm1"
    PM10 = "pm10"
    PM25 = "pm25"
    POWER = "power"
    POWER_FACTOR = "power_factor"
    PRECIPITATION = "precipitation"
    PRECIPITATION_INTENSITY = "precipitation_intensity"
    PRESSURE = "pressure"
    REACTIVE_POWER = "reactive_power"
    SIGNAL_STRENGTH = "signal_strength"
    SOUND_PRESSURE = "sound_pressure"
    SPEED = "speed"
    SULPHUR_DIOXIDE = "sulphur_dioxide"
    TEMPERATURE = "temperature"
    TIMESTAMP = "timestamp"
    VOLATILE_ORGANIC_COMPOUNDS = "volatile_organic_compounds"
    VOLATILE_ORGANIC_COMPOUNDS_PARTS = "volatile_organic_compounds_parts"
    VOLTAGE = "voltage"
    VOLUME = "volume"
    VOLUME_FLOW_RATE = "volume_flow_rate"
    VOLUME_STORAGE = "volume_storage"
    WATER = "water"
    WEIGHT = "weight"
    WIND_DIRECTION = "wind_direction"
    WIND_SPEED = "wind_speed"


_D = SensorDeviceClass

NOT_NUMERIC: Final = frozenset({_D.DATE, _D.ENUM, _D.TIMESTAMP})

_ENERGY = "GJ|GWh|Gcal|J|MJ|MWh|Mcal|TWh|Wh|cal|kJ|kWh|kcal|mWh"
_PRESSURE = "Pa|bar|cbar|hPa|inHg|kPa|mbar|mmHg|psi"
_VOLUME = "CCF|L|fl. oz.|ft³|gal|mL|m³"
_WIND = "Beaufort|ft/s|in/s|km/h|kn|m/s|mm/s|mph"

# A bar at either end, or nothing at all, stands for "no unit". µ is U+00B5 throughout: 2025.4 knows no other
# here, 2026.11 translates. Microseconds are left out: there 2025.4 wants U+03BC, which looks the same.
_UNITS: Final[Mapping[SensorDeviceClass, str]] = {
    _D.APPARENT_POWER: "VA",
    _D.AQI: "",
    _D.AREA: "ac|cm²|ft²|ha|in²|km²|mi²|mm²|m²|yd²",
    _D.ATMOSPHERIC_PRESSURE: _PRESSURE,
    _D.BATTERY: "%",
    _D.BLOOD_GLUCOSE_CONCENTRATION: "mg/dL|mmol/L",
    _D.CARBON_DIOXIDE: "ppm",
    _D.CARBON_MONOXIDE: "ppm",
    _D.CONDUCTIVITY: "S/cm|mS/cm|µS/cm",
    _D.CURRENT: "A|mA",
    _D.DATA_RATE: "B/s|GB/s|Gbit/s|GiB/s|KiB/s|MB/s|Mbit/s|MiB/s|bit/s|kB/s|kbit/s",
    _D.DATA_SIZE: "B|EB|EiB|GB|Gbit|GiB|KiB|MB|Mbit|MiB|PB|PiB|TB|TiB|YB|YiB|ZB|ZiB|bit|kB|kbit",
    _D.DATE: "",
    _D.DISTANCE: "cm|ft|in|km|m|mi|mm|nmi|yd",
    _D.DURATION: "d|h|min|ms|s",
    _D.ENERGY: _ENERGY,
    _D.ENERGY_DISTANCE: "kWh/100km|km/kWh|mi/kWh",
    _D.ENERGY_STORAGE: _ENERGY,
    _D.ENUM: "",
    _D.FREQUENCY: "GHz|Hz|MHz|kHz",
    _D.GAS: "CCF|ft³|m³",
    _D.HUMIDITY: "%",
    _D.ILLUMINANCE: "lx",
    _D.IRRADIANCE: "BTU/(h⋅ft²)|W/m²",
    _D.MOISTURE: "%",
    _D.NITROGEN_DIOXIDE: "µg/m³",
    _D.NITROGEN_MONOXIDE: "µg/m³",
    _D.NITROUS_OXIDE: "µg/m³",
    _D.OZONE: "µg/m³",
    _D.PH: "",
    _D.PM1: "µg/m³",
    _D.PM10: "µg/m³",
    _D.PM25: "µg/m³",
    _D.POWER: "GW|MW|TW|W|kW|mW",
    _D.POWER_FACTOR: "|%",
    _D.PRECIPITATION: "cm|in|mm",
    _D.PRECIPITATION_INTENSITY: "in/d|in/h|mm/d|mm/h",
    _D.PRESSURE: _PRESSURE,
    _D.REACTIVE_POWER: "var",
    _D.SIGNAL_STRENGTH: "dB|dBm",
    _D.SOUND_PRESSURE: "dB|dBA",
    _D.SPEED: f"{_WIND}|in/d|in/h|mm/d|mm/h",
    _D.SULPHUR_DIOXIDE: "µg/m³",
    _D.TEMPERATURE: "K|°C|°F",
    _D.TIMESTAMP: "",
    _D.VOLATILE_ORGANIC_COMPOUNDS: "µg/m³",
    _D.VOLATILE_ORGANIC_COMPOUNDS_PARTS: "ppb|ppm",
    _D.VOLTAGE: "MV|V|kV|mV|µV",
    _D.VOLUME: _VOLUME,
    _D.VOLUME_FLOW_RATE: "L/min|ft³/min|gal/min|mL/s|m³/h",
    _D.VOLUME_STORAGE: _VOLUME,
    _D.WATER: "CCF|L|ft³|gal|m³",
    _D.WEIGHT: "g|kg|lb|mg|oz|st|µg",
    _D.WIND_DIRECTION: "°",
    _D.WIND_SPEED: _WIND,
}

UNITS: Final[Mapping[SensorDeviceClass, frozenset[str | None]]] = MappingProxyType(
    {device_class: frozenset(unit or None for unit in units.split("|")) for device_class, units in _UNITS.items()}
)
"""The units of each device class; None stands for no unit. `MONETARY` is absent: any currency will do."""

_ALL = frozenset(StateClass)
_TOTALS = frozenset({StateClass.TOTAL, StateClass.TOTAL_INCREASING})

_STATE_CLASSES: Final[Mapping[SensorDeviceClass, frozenset[StateClass]]] = {
    **dict.fromkeys(NOT_NUMERIC, frozenset()),
    **dict.fromkeys((_D.AREA, _D.DATA_SIZE, _D.DISTANCE, _D.DURATION, _D.PRECIPITATION), _ALL),
    **dict.fromkeys((_D.ENERGY, _D.GAS, _D.VOLUME, _D.WATER), _TOTALS),
    _D.MONETARY: frozenset({StateClass.TOTAL}),
    _D.WEIGHT: _TOTALS | {StateClass.MEASUREMENT},
    _D.WIND_DIRECTION: frozenset({StateClass.MEASUREMENT_ANGLE}),
}

STATE_CLASSES: Final[Mapping[SensorDeviceClass, frozenset[StateClass]]] = MappingProxyType(
    {each: _STATE_CLASSES.get(each, frozenset({StateClass.MEASUREMENT})) for each in SensorDeviceClass}
)
