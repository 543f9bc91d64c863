"""v4l2://: a camera on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast
from urllib.parse import unquote

from appliance.config.problem import BadSettingError
from appliance.config.source.options import split

Format = Literal["auto", "mjpg", "yuyv", "nv12"]

_FORMATS = ("auto", "mjpg", "yuyv", "nv12")
_OPTIONS = ("size", "fps", "format", "exposure")


@dataclass(frozen=True, slots=True)
class V4l2Settings:
    """A camera on this machine: `v4l2:///dev/video0?size=1280x720&fps=30&format=mjpg&exposure=20ms`."""

    device: Path
    """/dev/videoN, or a name that stays: /dev/v4l/by-id/... or /dev/v4l/by-path/..."""
    format: Format = "auto"
    """auto: MJPG where the camera has it at this size, else NV12, else YUYV."""
    size: tuple[int, int] | None = None
    """None: the size that the camera is set to."""
    fps: float | None = None
    """None: what the camera gives."""
    exposure_ms: float | None = None
    """The longest exposure, for crisp motion (aperture priority and this limit); where the driver takes no limit, one
    frame's time. None: the camera stays as it is set.
    """


def parse_v4l2(rest: str) -> V4l2Settings:
    """Return the camera that `rest`, a URL behind its scheme's colon, names. Raises BadSettingError."""
    location, _, query = rest.partition("?")
    name = unquote(location.removeprefix("//"))
    path = Path(name)
    under_dev = path.parts[:2] == ("/", "dev") and len(path.parts) > 2 and ".." not in path.parts
    if not under_dev or not name.isprintable() or name.endswith("/"):
        raise BadSettingError(
            "names no device under /dev", "write v4l2:///dev/video0, or v4l2:///dev/v4l/by-id/ and the camera's name"
        )
    options = split(query, "v4l2", _OPTIONS)
    return V4l2Settings(
        device=path,
        format=cast("Format", options.choice("format", _FORMATS) or "auto"),
        size=options.size((16, 16), (7680, 4320)) if "size" in options else None,
        fps=options.number("fps", 30, 1, 240) if "fps" in options else None,
        exposure_ms=options.number("exposure", 20, 0.1, 1000, unit="ms") if "exposure" in options else None,
    )
