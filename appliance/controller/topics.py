"""The controller's MQTT topics: all but the picture's. Retained unless they say otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.mqtt import base_topic, camera_topic, picture_status_topic


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one instance."""

    instance: str

    @property
    def status(self) -> str:
        """Online / offline: the controller's last will."""
        return f"{base_topic(self.instance)}/status"

    @property
    def health(self) -> str:
        """JSON: problem, reasons, started, backend, model."""
        return f"{base_topic(self.instance)}/health"

    @property
    def picture_status(self) -> str:
        """Online / offline: the gateway's, named in discovery."""
        return picture_status_topic(self.instance)

    def stage(self, name: str) -> str:
        """Online / offline, from the stage's heartbeat."""
        return f"{base_topic(self.instance)}/stage/{name}/status"

    def camera(self, camera: str, what: str) -> str:
        """`status` online / offline, `connectivity` and `person` ON / OFF, `person_count`, `last_seen` ISO 8601,
        `state` JSON; not retained: `event` and `stats` JSON, `camera` JPEG (the gateway's).
        """
        return camera_topic(self.instance, camera, what)
