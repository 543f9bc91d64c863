"""The WebSocket message: detr-mmap's format, kept, so that its clients connect unchanged; Porchlight only adds fields.

Binary: u32 little-endian length of the JSON, the JSON, the JPEG.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from appliance.messages import Clock

if TYPE_CHECKING:
    from appliance.messages import CameraState, Detections, FrameInfo, Rows

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Packet:
    """One picture for viewers, with what is known of it. `sent_ns` is when it left, CLOCK_MONOTONIC.

    `is_notice`: the picture is not the camera's, it says in words that the live view is switched off.
    """

    camera: str
    frame: FrameInfo
    jpeg: bytes
    detections: Detections | None
    state: CameraState | None
    sent_ns: int = 0
    is_notice: bool = False

    def metadata(self) -> dict[str, Any]:
        """Return the JSON's content. `class_id` is the COCO category id minus one: a person is 0."""
        frame, found, state = self.frame, self.detections, self.state
        return {
            "frame_number": frame.frame_number,
            "timestamp_ns": frame.wall_ns,
            "width": frame.width,
            "height": frame.height,
            "detections": None if found is None else _rows(found.rows),
            "status": "frame_only" if found is None else "complete",
            "camera": self.camera,
            "detections_frame_number": None if found is None else found.frame.frame_number,
            "known": state is not None and state.known,
            "state": None if state is None else state.state.label,
            "mode": None if state is None else state.mode.label,
            "detecting": state is None or state.detecting,
            "live_view": not self.is_notice,
            "age_ms": round((self.sent_ns - frame.captured_ns) / 1e6, 1) if frame.clock is Clock.MONOTONIC else None,
        }

    def message(self) -> bytes:
        """Return the whole WebSocket message."""
        header = json.dumps(self.metadata(), separators=(",", ":")).encode()
        return b"".join((_LENGTH.pack(len(header)), header, self.jpeg))


def unpack(message: bytes) -> tuple[dict[str, Any], bytes]:
    """Return JSON and JPEG of a message. ValueError: it is none."""
    if len(message) < _LENGTH.size:
        raise ValueError(f"a message of {len(message)} bytes has no length")
    length = _LENGTH.unpack_from(message)[0]
    if length > len(message) - _LENGTH.size:
        raise ValueError(f"a message of {len(message)} bytes claims {length} bytes of JSON")
    end = _LENGTH.size + length
    metadata = json.loads(message[_LENGTH.size : end])
    if not isinstance(metadata, dict):
        raise ValueError("a message's JSON is an object")  # noqa: TRY004 -- what comes over the wire has no type
    return metadata, message[end:]


def _rows(found: Rows) -> list[dict[str, Any]]:
    return [
        {
            "x1": round(float(box[0]), 1),
            "y1": round(float(box[1]), 1),
            "x2": round(float(box[2]), 1),
            "y2": round(float(box[3]), 1),
            "confidence": round(float(score), 4),
            "class_id": int(class_id) - 1,
        }
        for box, score, class_id in zip(found.boxes, found.scores, found.class_ids, strict=True)
    ]
