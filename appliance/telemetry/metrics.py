"""Every metric, once: its name, unit and meaning, and where the heartbeats have it.

The stages count; their heartbeats carry the figures to whoever asks (see appliance.gateway.metrics). Names and units
are OpenTelemetry's; Prometheus' follow from them by OpenTelemetry's own rules.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from appliance.messages import Heartbeat, Histogram


class Kind(Enum):
    COUNTER = auto()
    """Only grows, from 0 at the start of its process."""
    GAUGE = auto()
    HISTOGRAM = auto()


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `unit` is UCUM's; in {braces} it is only a word.

    In the heartbeats of `stage` ("": of any) it is called `key`, followed by the values of the attributes `by`, with
    dots between. What a camera's own process says has the attribute camera as well, and what any stage says has stage.
    """

    name: str
    kind: Kind
    unit: str
    text: str
    key: str
    stage: str = ""
    by: tuple[str, ...] = ()


class Point(NamedTuple):
    """One value of a metric. `since_ns` is when counting began, UTC."""

    attributes: dict[str, str]
    value: float | Histogram
    since_ns: int


_HEARTBEAT_AGE = Metric(
    "porchlight.heartbeat.age", Kind.GAUGE, "s", "Time since the stage's last heartbeat; there is one a second.", ""
)

METRICS = (
    Metric(
        "porchlight.frames.captured",
        Kind.COUNTER,
        "{frame}",
        "Frames that the camera gave.",
        "frames_captured",
        "capture",
    ),
    Metric(
        "porchlight.frames.published",
        Kind.COUNTER,
        "{frame}",
        "Frames that were handed on, at the sentry's pace.",
        "frames_published",
        "capture",
    ),
    Metric(
        "porchlight.frames.unusable",
        Kind.COUNTER,
        "{frame}",
        "Frames of the camera that could not be used.",
        "unusable",
        "capture",
        ("reason",),
    ),
    Metric(
        "porchlight.frames.lost",
        Kind.COUNTER,
        "{frame}",
        "Published frames that a consumer was too late for; a newer one took their place.",
        "lost",
        "capture",
        ("consumer",),
    ),
    Metric(
        "porchlight.frames.inferred",
        Kind.COUNTER,
        "{frame}",
        "Frames that the model has looked at.",
        "frames_inferred",
        "inference",
        ("camera",),
    ),
    Metric(
        "porchlight.frames.undecodable",
        Kind.COUNTER,
        "{frame}",
        "Frames in which there was no picture.",
        "frames_broken",
        "inference",
        ("camera",),
    ),
    Metric(
        "porchlight.detections",
        Kind.COUNTER,
        "{detection}",
        "Detections of any class above the threshold.",
        "detections",
        "inference",
        ("camera",),
    ),
    Metric(
        "porchlight.sentry.transitions",
        Kind.COUNTER,
        "{transition}",
        "Changes of the sentry's state, by the state that was entered.",
        "transitions",
        "controller",
        ("camera", "state"),
    ),
    Metric(
        "porchlight.alarm.transitions",
        Kind.COUNTER,
        "{transition}",
        "Changes of the alarm panel's state, by the state that was entered.",
        "alarm_transitions",
        "controller",
        ("state",),
    ),
    Metric(
        "porchlight.capture.duration",
        Kind.HISTOGRAM,
        "s",
        "From the camera's timestamp of a frame until it was handed on.",
        "capture_seconds",
        "capture",
    ),
    Metric(
        "porchlight.queue.duration",
        Kind.HISTOGRAM,
        "s",
        "From then until inference took the frame.",
        "queue_seconds",
        "inference",
        ("camera",),
    ),
    Metric(
        "porchlight.inference.duration",
        Kind.HISTOGRAM,
        "s",
        "Decoding, model and post-processing of one frame.",
        "inference_seconds",
        "inference",
        ("camera",),
    ),
    Metric(
        "porchlight.alarm.duration",
        Kind.HISTOGRAM,
        "s",
        "From the camera's timestamp of the frame that confirmed somebody until the broker had acknowledged the event.",
        "alarm_seconds",
        "controller",
        ("camera",),
    ),
    Metric(
        "porchlight.camera.watching",
        Kind.GAUGE,
        "{camera}",
        "1 while what is said of the camera can be believed, else 0.",
        "watching",
        "controller",
        ("camera",),
    ),
    Metric(
        "porchlight.camera.persons",
        Kind.GAUGE,
        "{person}",
        "Persons in the newest frame.",
        "persons",
        "controller",
        ("camera",),
    ),
    Metric(
        "porchlight.mqtt.connected",
        Kind.GAUGE,
        "{connection}",
        "1 while there is a connection to the broker, else 0.",
        "mqtt_connected",
    ),
    Metric(
        "porchlight.mqtt.connections",
        Kind.COUNTER,
        "{connection}",
        "Connections made to the broker; all but the first are reconnects.",
        "mqtt_connections",
    ),
    Metric("porchlight.outbox.events", Kind.GAUGE, "{event}", "Events that the broker has not acknowledged.", "outbox"),
    Metric(
        "porchlight.outbox.lost",
        Kind.COUNTER,
        "{event}",
        "Undelivered events that gave way to newer ones.",
        "outbox_lost",
    ),
    Metric(
        "porchlight.viewers",
        Kind.GAUGE,
        "{viewer}",
        "Who watches the live picture now.",
        "viewers",
        "gateway",
        ("camera",),
    ),
    Metric(
        "porchlight.stage.restarts",
        Kind.COUNTER,
        "{restart}",
        "Starts of a stage after it had died or fallen silent.",
        "restarts",
        "",
        ("stage", "camera"),
    ),
    Metric(
        "porchlight.telemetry.lost",
        Kind.COUNTER,
        "{span}",
        "Spans that gave way to newer ones before the collector took them.",
        "spans_lost",
    ),
    _HEARTBEAT_AGE,
    Metric("porchlight.process.memory.usage", Kind.GAUGE, "By", "Resident memory of the process.", "memory_bytes"),
    Metric(
        "porchlight.process.cpu.time",
        Kind.COUNTER,
        "s",
        "Processor time that the process has used.",
        "cpu_seconds",
        "",
        ("cpu.mode",),
    ),
)


FOR_THE_PAGE = ("inference_ms", "frames_lost", "latency_ms", "queue_ms")
"""What the heartbeats say of each camera besides: the newest value of what the histograms count."""
_OF_CAMERAS = frozenset({metric.key for metric in METRICS if metric.by[:1] == ("camera",)} | set(FOR_THE_PAGE))


def camera_of(name: str) -> str:
    """Return the camera that a figure of this name in a heartbeat is about; empty where it is about none."""
    key, _, rest = name.partition(".")
    return rest.partition(".")[0] if key in _OF_CAMERAS else ""


def points(metric: Metric, beats: Mapping[str, Heartbeat]) -> Iterator[Point]:
    """Read this metric's values out of the heartbeats."""
    for name, beat in beats.items():
        stage, _, camera = name.partition(".")
        if metric.stage and metric.stage != stage:
            continue
        own = {"stage": stage} if not metric.stage else {}
        own |= {"camera": camera} if camera else {}
        if metric is _HEARTBEAT_AGE:
            yield Point(own, max(0.0, (time.monotonic_ns() - beat.beat_ns) / 1e9), beat.started_wall_ns)
            continue
        values: Mapping[str, float | Histogram] = beat.histograms if metric.kind is Kind.HISTOGRAM else beat.counters
        for key, value in values.items():
            word, _, rest = key.partition(".")
            if word == metric.key and bool(rest) == bool(metric.by):
                attributes = own | dict(zip(metric.by, rest.split("."), strict=False)) if rest else own
                yield Point(attributes, value, beat.started_wall_ns)
