"""Every setting: type, default, bound, unit; and how config.yaml and the environment become one `Settings`.

`load` gathers all that is wrong into one `ConfigError`, each problem with the file's line or the environment
variable's name and with what would be right. That is why PyYAML's nodes are read and merged with the
environment here, and not by pydantic-settings: it reads the file into plain values first, so that the lines
are gone and the last of two equal keys wins in silence, and one source that it cannot read hides what is
wrong in the others.

`python -m appliance.config schemas/settings.schema.json` writes the JSON schema.
"""

from appliance.config.alarm import Alarm
from appliance.config.camera import Camera
from appliance.config.loading import load
from appliance.config.mqtt import Mqtt, Tls
from appliance.config.problem import ConfigError, Origin, Problem
from appliance.config.sentry import CameraSentry, Sentry
from appliance.config.settings import Gateway, Model, Settings, Supervisor
from appliance.config.source import (
    FileSource,
    HttpSettings,
    RtspSettings,
    SyntheticSettings,
    V4l2Settings,
    parse_source,
)
from appliance.config.telemetry import Telemetry
from appliance.config.watch import Watch
from appliance.config.zone import Zone

__all__ = [
    "Alarm",
    "Camera",
    "CameraSentry",
    "ConfigError",
    "FileSource",
    "Gateway",
    "HttpSettings",
    "Model",
    "Mqtt",
    "Origin",
    "Problem",
    "RtspSettings",
    "Sentry",
    "Settings",
    "Supervisor",
    "SyntheticSettings",
    "Telemetry",
    "Tls",
    "V4l2Settings",
    "Watch",
    "Zone",
    "load",
    "parse_source",
]
