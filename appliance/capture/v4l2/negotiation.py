"""What a camera is asked for, and what it agrees to: format, size, frame rate."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import TYPE_CHECKING

from appliance.capture.source import SourceError
from appliance.capture.v4l2 import abi
from appliance.capture.v4l2.cameras import listed
from appliance.capture.v4l2.device import fourcc_text
from appliance.capture.v4l2.picture import JpegPicture, RawPicture
from appliance.messages import PixelFormat

if TYPE_CHECKING:
    from appliance.capture.v4l2.device import Device
    from appliance.capture.v4l2.picture import Picture
    from appliance.config import V4l2Settings

log = logging.getLogger(__name__)

_JPEGS = (abi.V4L2_PIX_FMT_MJPEG, abi.V4L2_PIX_FMT_JPEG)
_RAW = {abi.V4L2_PIX_FMT_NV12: PixelFormat.NV12, abi.V4L2_PIX_FMT_YUYV: PixelFormat.YUYV}
_CANDIDATES = {
    "auto": (*_JPEGS, *_RAW),
    "mjpg": _JPEGS,
    "nv12": (abi.V4L2_PIX_FMT_NV12,),
    "yuyv": (abi.V4L2_PIX_FMT_YUYV,),
}
_WHOLE_FRAMES = (
    abi.V4L2_FIELD_NONE,
    abi.V4L2_FIELD_INTERLACED,
    abi.V4L2_FIELD_INTERLACED_TB,
    abi.V4L2_FIELD_INTERLACED_BT,
)
_FINEST = 1001
"""Denominators of frame rates: 30000/1001 is the oddest that is met."""


def agree_on_format(device: Device, settings: V4l2Settings) -> Picture:
    """Set format and size, and return what the driver makes of them. SourceError: it has nothing that can be used.

    Another size than the one asked for is taken, with a warning; another format is not.
    """
    current = abi.Format(type=abi.V4L2_BUF_TYPE_VIDEO_CAPTURE)
    device.ioctl(abi.VIDIOC_G_FMT, current, "does not say how it is set")
    width, height = settings.size or (current.pix.width, current.pix.height)
    offered = device.formats()
    candidates = [one for one in _CANDIDATES[settings.format] if one in offered]
    if not candidates:
        asked = " or ".join(fourcc_text(one) for one in _CANDIDATES[settings.format])
        names = [fourcc_text(one) for one in offered]
        raise SourceError(f"{device.path} does not give {asked}; it offers {listed(names)}")
    exact = (one for one in candidates if _gives(device, one, width, height))
    pixelformat = next(exact, candidates[0])
    answer = _format(pixelformat, width, height)
    device.ioctl(abi.VIDIOC_S_FMT, answer, f"cannot be set to {fourcc_text(pixelformat)} {width}x{height}")
    if (answer.pix.width, answer.pix.height) != (width, height):
        told = device.sizes(pixelformat)
        log.warning(
            "%s gives %dx%d instead of %dx%d; in %s it offers %s",
            *(device.path, answer.pix.width, answer.pix.height, width, height, fourcc_text(pixelformat)),
            listed(told) if told else "what it likes",
        )
    return _picture(device, answer.pix, pixelformat)


def agree_on_fps(device: Device, fps: float) -> None:
    """Ask for a frame rate; where the camera has none to set, or gives another, a line in the log says so."""
    parm = abi.StreamParm(type=abi.V4L2_BUF_TYPE_VIDEO_CAPTURE)
    if not device.try_ioctl(abi.VIDIOC_G_PARM, parm) or not parm.capture.capability & abi.V4L2_CAP_TIMEPERFRAME:
        log.warning("%s does not let its frame rate be set", device.path)
        return
    rate = Fraction(fps).limit_denominator(_FINEST)
    parm.capture.timeperframe = abi.Fract(rate.denominator, rate.numerator)
    accepted = device.try_ioctl(abi.VIDIOC_S_PARM, parm)
    time = parm.capture.timeperframe
    given = time.denominator / time.numerator if accepted and time.numerator else 0
    if abs(given - fps) > fps / 50:
        log.warning("%s gives %s frames a second instead of %g", device.path, f"{given:g}" if given else "other", fps)


def _gives(device: Device, pixelformat: int, width: int, height: int) -> bool:
    answer = _format(pixelformat, width, height)
    return (
        device.try_ioctl(abi.VIDIOC_TRY_FMT, answer)
        and answer.pix.pixelformat == pixelformat
        and (answer.pix.width, answer.pix.height) == (width, height)
    )


def _format(pixelformat: int, width: int, height: int) -> abi.Format:
    pix = abi.PixFormat(width=width, height=height, pixelformat=pixelformat, field=abi.V4L2_FIELD_NONE)
    return abi.Format(type=abi.V4L2_BUF_TYPE_VIDEO_CAPTURE, pix=pix)


def _picture(device: Device, pix: abi.PixFormat, asked: int) -> Picture:
    """Return what the driver answered as a picture's layout. SourceError: nothing here can read that."""
    got = fourcc_text(pix.pixelformat)
    what = f"{device.path} gives {got} {pix.width}x{pix.height}"
    if pix.pixelformat != asked:
        raise SourceError(f"{what}, though {fourcc_text(asked)} was asked for")
    if pix.field not in _WHOLE_FRAMES:
        raise SourceError(f"{what} as half pictures (V4L2_FIELD {pix.field}), which cannot be used")
    if asked in _JPEGS:
        return JpegPicture(pix.width, pix.height)
    picture = RawPicture(_RAW[asked], pix.width, pix.height, pix.bytesperline)
    if not pix.width or not pix.height or pix.width % 2 or pix.height % 2:
        raise SourceError(f"{what}: its sides must be even; choose a size=")
    if not pix.bytesperline:
        return RawPicture(_RAW[asked], pix.width, pix.height, picture.row)
    if pix.bytesperline < picture.row:
        raise SourceError(f"{what} in rows of {pix.bytesperline} bytes, which are too short")
    return picture
