"""What a slot holds before anything was published: for each channel a finished FlatBuffer at its largest size.

Made once per channel file by the official builder, which lays out from the end to the beginning: what is added first
lies last. Field ids count the fields in their .fbs file from 0.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

from appliance.ipc.generated import CameraState, Detections, Frame
from appliance.ipc.generated.TraceContext import CreateTraceContext
from appliance.ipc.layout import TableSpec
from appliance.messages import ROW_BYTES

MAX_DETECTIONS = 300
MAX_TRANSITIONS = 16
TRANSITION = np.dtype(
    {
        "names": ["frame_number", "captured_ns", "wall_ns", "confidence", "previous", "state", "trace"],
        "formats": ["<u8", "<u8", "<u8", "<f4", "u1", "u1", "V25"],
        "offsets": [0, 8, 16, 24, 28, 29, 30],
        "itemsize": 56,
    }
)
_TRACE = "25s"  # trace_id, span_id, flags: the struct TraceContext
_INFO = ("Q", "Q", "Q", "I", "I", "B", "B", _TRACE)  # a FrameInfo, field by field, but for when it was published

FRAME = TableSpec(
    b"PLF1",
    scalars=(*zip((1, 2, 3, 4, 5, 7, 8, 6), _INFO, strict=True), (10, "Q")),
    vector=9,
    element_bytes=1,
)
DETECTIONS = TableSpec(
    b"PLD1",
    scalars=(*zip((1, 2, 3, 5, 6, 8, 9, 7), _INFO, strict=True), (4, "Q"), (11, "Q")),
    vector=10,
    element_bytes=ROW_BYTES,
)
STATE = TableSpec(
    b"PLS2",
    scalars=(
        *((1, "Q"), (2, "Q"), (3, "I"), (4, "I"), (9, "f"), (10, "H")),
        *((5, "B"), (6, "B"), (7, "B"), (11, "B"), (12, "B")),
    ),
    vector=8,
    element_bytes=TRANSITION.itemsize,
)


def frame_template(max_bytes: int) -> bytes:
    """Return a finished Frame whose picture has room for `max_bytes`."""
    builder = flatbuffers.Builder(max_bytes + 512)
    builder.ForceDefaults(True)
    data = builder.CreateByteVector(bytes(max_bytes))
    Frame.FrameStart(builder)
    Frame.FrameAddPublishedNs(builder, 0)
    Frame.FrameAddTrace(builder, CreateTraceContext(builder, bytes(16), bytes(8), 0))
    Frame.FrameAddClock(builder, 0)
    Frame.FrameAddFormat(builder, 0)
    Frame.FrameAddHeight(builder, 0)
    Frame.FrameAddWidth(builder, 0)
    Frame.FrameAddWallNs(builder, 0)
    Frame.FrameAddCapturedNs(builder, 0)
    Frame.FrameAddFrameNumber(builder, 0)
    Frame.FrameAddSequence(builder, 0)
    Frame.FrameAddData(builder, data)
    return _finish(builder, Frame.FrameEnd(builder), FRAME)


def detections_template() -> bytes:
    """Return a finished Detections with room for MAX_DETECTIONS rows."""
    builder = flatbuffers.Builder(MAX_DETECTIONS * ROW_BYTES + 512)
    builder.ForceDefaults(True)
    Detections.DetectionsStartRowsVector(builder, MAX_DETECTIONS)
    builder.Pad(MAX_DETECTIONS * ROW_BYTES)
    rows = builder.EndVector()
    Detections.DetectionsStart(builder)
    Detections.DetectionsAddPublishedNs(builder, 0)
    Detections.DetectionsAddInferNs(builder, 0)
    Detections.DetectionsAddTrace(builder, CreateTraceContext(builder, bytes(16), bytes(8), 0))
    Detections.DetectionsAddClock(builder, 0)
    Detections.DetectionsAddFormat(builder, 0)
    Detections.DetectionsAddHeight(builder, 0)
    Detections.DetectionsAddWidth(builder, 0)
    Detections.DetectionsAddWallNs(builder, 0)
    Detections.DetectionsAddCapturedNs(builder, 0)
    Detections.DetectionsAddFrameNumber(builder, 0)
    Detections.DetectionsAddSequence(builder, 0)
    Detections.DetectionsAddRows(builder, rows)
    return _finish(builder, Detections.DetectionsEnd(builder), DETECTIONS)


def state_template() -> bytes:
    """Return a finished CameraState with room for MAX_TRANSITIONS."""
    builder = flatbuffers.Builder(MAX_TRANSITIONS * TRANSITION.itemsize + 512)
    builder.ForceDefaults(True)
    CameraState.CameraStateStartTransitionsVector(builder, MAX_TRANSITIONS)
    builder.Pad(MAX_TRANSITIONS * TRANSITION.itemsize)
    transitions = builder.EndVector()
    CameraState.CameraStateStart(builder)
    CameraState.CameraStateAddLiveView(builder, True)
    CameraState.CameraStateAddDetecting(builder, True)
    CameraState.CameraStateAddKnown(builder, False)
    CameraState.CameraStateAddMode(builder, 0)
    CameraState.CameraStateAddState(builder, 0)
    CameraState.CameraStateAddZones(builder, 0)
    CameraState.CameraStateAddThreshold(builder, 0.0)
    CameraState.CameraStateAddMisses(builder, 0)
    CameraState.CameraStateAddPersonCount(builder, 0)
    CameraState.CameraStateAddLastSightingNs(builder, 0)
    CameraState.CameraStateAddObservedFrame(builder, 0)
    CameraState.CameraStateAddSequence(builder, 0)
    CameraState.CameraStateAddTransitions(builder, transitions)
    return _finish(builder, CameraState.CameraStateEnd(builder), STATE)


def _finish(builder: Any, root: int, spec: TableSpec) -> bytes:
    builder.Finish(root, file_identifier=spec.identifier)
    return bytes(builder.Output())
