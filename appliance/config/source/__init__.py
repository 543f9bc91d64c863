"""A camera's source: from its URL to a value that capture can open."""

from __future__ import annotations

from typing import TypeAlias

from appliance.config.problem import BadSettingError
from appliance.config.source.device import V4l2Settings, parse_v4l2
from appliance.config.source.network import HttpSettings, RtspSettings, parse_http, parse_rtsp
from appliance.config.source.recorded import (
    FileSource,
    SyntheticSettings,
    parse_file,
    parse_synthetic,
    why_unreadable,
)

__all__ = [
    "FileSource",
    "HttpSettings",
    "RtspSettings",
    "SourceSettings",
    "SyntheticSettings",
    "V4l2Settings",
    "parse_source",
    "why_unreadable",
]

SourceSettings: TypeAlias = V4l2Settings | RtspSettings | HttpSettings | FileSource | SyntheticSettings


def parse_source(url: str) -> SourceSettings:
    """Return what `url` names; a file's relative path counts from the current folder. Raises BadSettingError.

    No message repeats a network camera's URL: it carries a user name and a password.
    """
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower()
    match scheme:
        case "v4l2":
            return parse_v4l2(rest)
        case "rtsp" | "rtsps":
            return parse_rtsp(scheme, rest)
        case "http" | "https":
            return parse_http(scheme, rest)
        case "file":
            return parse_file(rest)
        case "synthetic":
            return parse_synthetic(rest)
        case _:
            raise BadSettingError(
                "does not start with a known kind of source",
                "write v4l2:///dev/video0, rtsp://..., http://..., file:///path/to/clip.mp4 or synthetic://porch",
            )
