"""The ancestor's setting for crisp motion: the camera exposes by itself, but not for long.

Aperture priority is V4L2's word for an automatic that chooses the time and leaves the iris alone. What limits the time
is up to the driver. Some take EXPOSURE_ABSOLUTE; Linux's uvcvideo refuses it (EACCES), and then one frame's time is the
limit, once EXPOSURE_AUTO_PRIORITY forbids to lower the frame rate. All three are tried.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from appliance.capture.v4l2 import abi

if TYPE_CHECKING:
    from appliance.capture.v4l2.device import Device

log = logging.getLogger(__name__)


def limit_exposure(device: Device, limit_ms: float) -> None:
    """Set what the camera has of these controls. What it has not, or refuses, is a line in the log."""
    automatic = _set(device, abi.V4L2_CID_EXPOSURE_AUTO, abi.V4L2_EXPOSURE_APERTURE_PRIORITY)
    keeps_rate = _set(device, abi.V4L2_CID_EXPOSURE_AUTO_PRIORITY, 0)
    if _set(device, abi.V4L2_CID_EXPOSURE_ABSOLUTE, round(limit_ms * 10), nearest=True):
        how = f"limited to {limit_ms:g} ms" if automatic else f"{limit_ms:g} ms: the camera cannot limit an automatic"
    elif keeps_rate:
        how = "limited to one frame's time: the camera takes no other limit"
    else:
        how = "the camera's own affair: it takes no limit"
    log.info("%s: exposure is %s", device.path, how)


def _set(device: Device, control: int, value: int, *, nearest: bool = False) -> bool:
    """Return False where the camera lacks the control, has no such value, or refuses."""
    found = abi.QueryCtrl(id=control)
    try:
        device.kernel.ioctl(device.fd, abi.VIDIOC_QUERYCTRL, found)
        if nearest:
            value = min(max(value, found.minimum), found.maximum)
        elif not found.minimum <= value <= found.maximum:
            return False
        device.kernel.ioctl(device.fd, abi.VIDIOC_S_CTRL, abi.Control(id=control, value=value))
    except OSError as error:
        log.debug("%s: control %#x: %s", device.path, control, error.strerror)
        return False
    return True
