"""Small clips of known content, made with FFmpeg's libraries."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import simplejpeg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FPS = 10
"""Of every clip here, unless it says otherwise: frames are 100 ms apart."""
MS = 1_000_000


def grey(level: int, width: int = 64, height: int = 48) -> Any:
    """Return a picture of one grey, RGB."""
    return np.full((height, width, 3), level, np.uint8)


def noise(seed: int, width: int = 64, height: int = 48) -> Any:
    """Return a picture that compresses badly, RGB."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def jpeg(picture: Any, quality: int = 90) -> bytes:
    return bytes(simplejpeg.encode_jpeg(picture, quality, "RGB", "420"))


def video(
    path: Path,
    pictures: Sequence[Any],
    codec: str = "mpeg4",
    pix_fmt: str = "yuv420p",
    *,
    fps: int = FPS,
    first_pts: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode `pictures`; the first one's presentation time is `first_pts` frames."""
    with av.open(str(path), "w", container_options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = first_pts + number
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def mjpeg(path: Path, jpegs: Sequence[bytes], *, fps: int = FPS) -> Path:
    """Wrap ready JPEGs (or what claims to be some) as a motion JPEG clip: nothing is encoded."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number, data in enumerate(jpegs):
            packet = av.Packet(data)
            packet.stream = stream
            packet.pts = packet.dts = number
            packet.time_base = Fraction(1, fps)
            packet.is_keyframe = True
            container.mux(packet)
    return path
