"""From a camera's URL to its open source. Each kind is imported here, so that a camera's process loads only its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.config import FileSource as FileSettings
from appliance.config import HttpSettings, RtspSettings, V4l2Settings, parse_source

if TYPE_CHECKING:
    from appliance.capture.source import Source
    from appliance.config import Camera


def open_source(camera: Camera) -> Source:
    """Open what the camera's URL names. SourceError: it cannot be opened, and why."""
    settings = parse_source(camera.source)
    if isinstance(settings, V4l2Settings):
        from appliance.capture.v4l2.source import V4l2Source

        return V4l2Source(settings)
    if isinstance(settings, RtspSettings):
        from appliance.capture.rtsp.source import RtspSource

        return RtspSource(settings)
    if isinstance(settings, HttpSettings):
        from appliance.capture.http_mjpeg.source import HttpSource

        return HttpSource(settings, camera.max_jpeg_bytes)
    if isinstance(settings, FileSettings):
        from appliance.capture.file import FileSource

        return FileSource(settings)
    from appliance.capture.synthetic.source import SyntheticSource

    return SyntheticSource(settings)
