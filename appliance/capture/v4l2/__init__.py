"""v4l2:// -- a camera on this machine, straight from the kernel's Video4Linux2 interface."""

from appliance.capture.v4l2.source import V4l2Source

__all__ = ["V4l2Source"]
