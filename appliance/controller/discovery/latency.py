"""The alarm latency: from the frame that decided to the broker that has the alarm, of a camera or of them all."""

from __future__ import annotations

import ha_discovery as ha

_FIGURES = {"p50": "Alarm latency p50", "p95": "Alarm latency p95", "last": "Alarm latency last"}


def latency_entities(
    device_id: str, topic: str, availability: tuple[ha.Availability, ...] | None = None
) -> dict[str, ha.Component]:
    """Return a sensor for each figure of the JSON on `topic`; unknown while that is null."""
    return {
        f"alarm_latency_{figure}": ha.Sensor(
            unique_id=f"{device_id}_alarm_latency_{figure}",
            name=name,
            icon="mdi:timer-alert-outline",
            device_class=ha.SensorDeviceClass.DURATION,
            unit_of_measurement="ms",
            state_class=ha.StateClass.MEASUREMENT,
            entity_category=ha.EntityCategory.DIAGNOSTIC,
            suggested_display_precision=0,
            state_topic=topic,
            value_template=f"{{{{ value_json.{figure} | default(none) }}}}",
            availability=availability,
        )
        for figure, name in _FIGURES.items()
    }
