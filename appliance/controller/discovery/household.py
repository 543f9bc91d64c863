"""What Home Assistant is told of the appliance: a hub device, and one device per camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ha_discovery as ha
from appliance import __version__
from appliance.controller.discovery.camera import ALARM, ENTERED, LEFT, Watching, camera_entities
from appliance.controller.discovery.hub import STAGES, hub_entities
from appliance.controller.topics import Topics

if TYPE_CHECKING:
    from appliance.config import Camera, Settings

__all__ = ["ALARM", "ENTERED", "LEFT", "STAGES", "Watching", "household"]

PROJECT_URL = "https://github.com/porchlight-ha/porchlight"

_ORIGIN = ha.Origin(name="Porchlight", sw_version=__version__, support_url=PROJECT_URL)


def household(settings: Settings) -> list[ha.DevicePayload]:
    """Return the hub, then the cameras, in the order in which Home Assistant should hear of them."""
    topics = Topics(settings.instance)
    hub_id = f"porchlight_{settings.instance}"
    hub = _hub(hub_id, settings, topics)
    return [hub, *(_camera(hub_id, camera, topics) for camera in settings.cameras)]


def _hub(hub_id: str, settings: Settings, topics: Topics) -> ha.DevicePayload:
    return ha.DevicePayload(
        device=ha.Device(
            identifiers=(hub_id,),
            name="Porchlight" if settings.instance == "porchlight" else f"Porchlight {settings.instance}",
            manufacturer="Porchlight",
            model="Person detection appliance",
            sw_version=__version__,
        ),
        origin=_ORIGIN,
        components=hub_entities(hub_id, settings.alarm, topics),
        availability=(ha.Availability(topic=topics.status),),
    )


def _camera(hub_id: str, camera: Camera, topics: Topics) -> ha.DevicePayload:
    device_id = f"{hub_id}_{camera.id}"
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
        components=camera_entities(device_id, camera, topics),
    )
