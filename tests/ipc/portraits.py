"""Every field of a message as plain values under its name in the schema: from ours, and from the official accessors.

Text and bytes are in hex, as read_slot.cpp prints them.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, TypeAlias

from appliance.ipc.generated.TraceContext import TraceContext
from appliance.ipc.generated.Transition import Transition
from appliance.messages import CameraState, Detections, Frame, FrameInfo, Heartbeat

Portrait: TypeAlias = "dict[str, Any]"

_TRACE = ("trace_id", "span_id", "flags")
"""What lies in a struct of its own; flatc 2.0.8's Python objects (…T) cannot read its arrays, its accessors can."""

_NUMBERS = ("bounds", "counts")
"""Vectors of plain numbers."""


def official(table: Any, like: Portrait) -> Portrait:
    """Of a table or struct as flatc's accessors give it: the fields that `like` has."""
    return {name: _field(table, name, value) for name, value in like.items()}


def _field(table: Any, name: str, like: object) -> object:
    of = trace_of(table) if name in _TRACE else table
    method = "".join(part.capitalize() for part in name.split("_"))
    if name in _NUMBERS:
        return [getattr(of, method)(i) for i in range(getattr(of, f"{method}Length")())]
    if isinstance(like, list):
        shape = like[0] if like else {}
        return [official(getattr(of, method)(i), shape) for i in range(getattr(of, f"{method}Length")())]
    if isinstance(like, str):
        return (of.DataAsNumpy().tobytes() if name == "data" else bytes(getattr(of, method)())).hex()
    return getattr(of, method)()


def trace_of(table: Any) -> TraceContext:
    """A table makes the accessor of its struct itself, a struct wants to be given one."""
    return table.Trace(TraceContext()) if isinstance(table, Transition) else table.Trace()


@singledispatch
def ours(value: Any) -> Portrait:
    """Of one of our messages; all but the sequence, which is the loan's."""
    raise TypeError(type(value))


@ours.register
def _(frame: Frame) -> Portrait:
    return {**_info(frame.info), "published_ns": frame.info.published_ns, "data": frame.data.hex()}


@ours.register
def _(detections: Detections) -> Portrait:
    rows = detections.rows
    return {
        **_info(detections.frame),
        "infer_ns": detections.infer_ns,
        "published_ns": detections.published_ns,
        "rows": [
            {
                **dict(zip(("x1", "y1", "x2", "y2"), box.tolist(), strict=True)),
                "score": float(score),
                "class_id": int(id_),
            }
            for box, score, id_ in zip(rows.boxes, rows.scores, rows.class_ids, strict=True)
        ],
    }


@ours.register
def _(state: CameraState) -> Portrait:
    return {
        "observed_frame": state.observed_frame,
        "last_sighting_ns": state.last_sighting_ns,
        "person_count": state.person_count,
        "misses": state.misses,
        "state": state.state,
        "mode": state.mode,
        "known": state.known,
        "threshold": state.threshold,
        "zones": state.zones,
        "detecting": state.detecting,
        "live_view": state.live_view,
        "transitions": [
            {
                "frame_number": change.frame_number,
                "captured_ns": change.captured_ns,
                "wall_ns": change.wall_ns,
                "confidence": change.confidence,
                "previous": change.previous,
                "state": change.state,
                "trace_id": change.trace.trace_id.hex(),
                "span_id": change.trace.span_id.hex(),
                "flags": change.trace.flags,
            }
            for change in state.transitions
        ],
    }


@ours.register
def _(beat: Heartbeat) -> Portrait:
    return {
        "stage": _hex(beat.stage),
        "health": beat.health,
        "reason": _hex(beat.reason),
        "beat_ns": beat.beat_ns,
        "started_wall_ns": beat.started_wall_ns,
        "sources": [
            {"camera": _hex(source.camera), "health": source.health, "reason": _hex(source.reason)}
            for source in beat.sources
        ],
        "counters": [{"name": _hex(name), "value": value} for name, value in beat.counters.items()],
        "facts": [{"name": _hex(name), "value": _hex(value)} for name, value in beat.facts.items()],
        "histograms": [
            {"name": _hex(name), "bounds": list(of.bounds), "counts": list(of.counts), "sum": of.sum}
            for name, of in beat.histograms.items()
        ],
    }


def _info(info: FrameInfo) -> Portrait:
    return {
        "frame_number": info.frame_number,
        "captured_ns": info.captured_ns,
        "wall_ns": info.wall_ns,
        "width": info.width,
        "height": info.height,
        "format": info.format,
        "clock": info.clock,
        "trace_id": info.trace.trace_id.hex(),
        "span_id": info.trace.span_id.hex(),
        "flags": info.trace.flags,
    }


def _hex(text: str) -> str:
    return text.encode().hex()
