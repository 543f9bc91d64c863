"""The controller's MQTT topics. Retained unless they say otherwise; what ends in `set` is heard, never said."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.mqtt import base_topic, camera_topic, picture_status_topic, status_topic

_RETAINED = (
    "status", "connectivity", "person", "person_count", "last_seen", "state", "latency", "last_person",
    "watching",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one instance."""

    instance: str

    @property
    def status(self) -> str:
        """Online / offline: the controller's last will."""
        return status_topic(self.instance)

    @property
    def health(self) -> str:
        """JSON: problem, reasons, started, backend, model."""
        return self._hub("health")

    @property
    def latency(self) -> str:
        """JSON: p50, p95 and last of the alarm latency in milliseconds, null where there was no alarm yet."""
        return self._hub("latency")

    @property
    def picture_status(self) -> str:
        """Online / offline: the gateway's, named in discovery."""
        return picture_status_topic(self.instance)

    @property
    def alarm_state(self) -> str:
        """An `AlarmState`."""
        return self._hub("alarm/state")

    @property
    def alarm_attributes(self) -> str:
        """JSON: what the panel says beside its state."""
        return self._hub("alarm/attributes")

    @property
    def alarm_event(self) -> str:
        """JSON, not retained: its `event_type` is an `EventKind`."""
        return self._hub("alarm/event")

    @property
    def alarm_set(self) -> str:
        return self._hub("alarm/set")

    @property
    def restart_set(self) -> str:
        return self._hub("restart/set")

    def stage(self, name: str) -> str:
        """Online / offline, from the stage's heartbeat."""
        return self._hub(f"stage/{name}/status")

    def camera(self, camera: str, what: str) -> str:
        """`status` online / offline, `connectivity` and `person` ON / OFF, `person_count`, `last_seen` ISO 8601,
        `state` and `watching` JSON, `latency` JSON as the hub's, `last_person` JPEG (the gateway's); not retained:
        `event` and `stats` JSON, `camera` JPEG (the gateway's).
        """
        return camera_topic(self.instance, camera, what)

    @property
    def hub_facts(self) -> tuple[str, ...]:
        """What is retained of the hub, the stages' states excepted."""
        return self.status, self.health, self.latency, self.picture_status, self.alarm_state, self.alarm_attributes

    def camera_facts(self, camera: str) -> tuple[str, ...]:
        """What is retained of a camera, its zones and settings excepted."""
        return tuple(self.camera(camera, what) for what in _RETAINED)

    def zone(self, camera: str, zone: str) -> str:
        """ON / OFF: somebody is in this zone of the camera."""
        return self.camera(camera, f"zone/{zone}/person")

    def setting(self, camera: str, setting: str) -> str:
        """What a setting stands at, in the words in which it is set."""
        return self.camera(camera, f"cfg/{setting}")

    def setting_set(self, camera: str, setting: str) -> str:
        return f"{self.setting(camera, setting)}/set"

    @property
    def commands(self) -> tuple[str, ...]:
        """What to subscribe to. Any camera and any setting: what nobody has is to be refused aloud."""
        return self.alarm_set, self.restart_set, self.setting_set("+", "+")

    def setting_of(self, topic: str) -> tuple[str, str] | None:
        """Return camera and setting, as they are named in a topic of `setting_set`; None: it is another topic."""
        words = topic.split("/")
        if len(words) < 4:
            return None
        camera, setting = words[-4], words[-2]
        return (camera, setting) if topic == self.setting_set(camera, setting) else None

    def _hub(self, what: str) -> str:
        return f"{base_topic(self.instance)}/{what}"
