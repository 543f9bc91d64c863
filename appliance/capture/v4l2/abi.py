"""What <linux/videodev2.h> says: numbers and layouts as 64-bit Linux has them, under their names there.

The structures leave out of each union what capturing does not use; their sizes are whole.
"""

from __future__ import annotations

from ctypes import Structure, c_char, c_int, c_int32, c_long, c_uint8, c_uint32, c_uint64, sizeof
from typing import TYPE_CHECKING, Any


class _Struct(Structure):
    if TYPE_CHECKING:  # ctypes knows its fields only when it runs

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any, /) -> None: ...


class Capability(_Struct):
    _fields_ = (
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FmtDesc(_Struct):
    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FrmSizeEnum(_Struct):
    """`numbers`: discrete width, height; or stepwise min_width, max_width, step_width, the same of the height."""

    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("type", c_uint32),
        ("numbers", c_uint32 * 6),
        ("reserved", c_uint32 * 2),
    )


class PixFormat(_Struct):
    _fields_ = (
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
    )


class Format(_Struct):
    """The union is aligned as its pointers are, hence the hole behind `type`."""

    _fields_ = (("type", c_uint32), ("hole", c_uint32), ("pix", PixFormat), ("raw_data", c_uint8 * (200 - 48)))


class Fract(_Struct):
    _fields_ = (("numerator", c_uint32), ("denominator", c_uint32))


class CaptureParm(_Struct):
    _fields_ = (
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", Fract),
        ("extendedmode", c_uint32),
        ("readbuffers", c_uint32),
        ("reserved", c_uint32 * 4),
    )


class StreamParm(_Struct):
    _fields_ = (("type", c_uint32), ("capture", CaptureParm), ("raw_data", c_uint8 * (200 - 40)))


class QueryCtrl(_Struct):
    _fields_ = (
        ("id", c_uint32),
        ("type", c_uint32),
        ("name", c_char * 32),
        ("minimum", c_int32),
        ("maximum", c_int32),
        ("step", c_int32),
        ("default_value", c_int32),
        ("flags", c_uint32),
        ("reserved", c_uint32 * 2),
    )


class Control(_Struct):
    _fields_ = (("id", c_uint32), ("value", c_int32))


class RequestBuffers(_Struct):
    _fields_ = (
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    )


class TimeVal(_Struct):
    _fields_ = (("tv_sec", c_long), ("tv_usec", c_long))


class TimeCode(_Struct):
    _fields_ = (("type", c_uint32), ("flags", c_uint32), ("clock", c_uint8 * 4), ("userbits", c_uint8 * 4))


class Buffer(_Struct):
    """`offset` is the member `m` of a buffer for mmap."""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", TimeVal),
        ("timecode", TimeCode),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("offset", c_uint64),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_int32),
    )


_WRITE, _READ = 1, 2


def _ioc(direction: int, number: int, size: int) -> int:
    """Return _IOC(direction, 'V', number, size) of <asm-generic/ioctl.h>."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


VIDIOC_QUERYCAP = _ioc(_READ, 0, sizeof(Capability))
VIDIOC_ENUM_FMT = _ioc(_READ | _WRITE, 2, sizeof(FmtDesc))
VIDIOC_G_FMT = _ioc(_READ | _WRITE, 4, sizeof(Format))
VIDIOC_S_FMT = _ioc(_READ | _WRITE, 5, sizeof(Format))
VIDIOC_REQBUFS = _ioc(_READ | _WRITE, 8, sizeof(RequestBuffers))
VIDIOC_QUERYBUF = _ioc(_READ | _WRITE, 9, sizeof(Buffer))
VIDIOC_QBUF = _ioc(_READ | _WRITE, 15, sizeof(Buffer))
VIDIOC_DQBUF = _ioc(_READ | _WRITE, 17, sizeof(Buffer))
VIDIOC_STREAMON = _ioc(_WRITE, 18, sizeof(c_int))
VIDIOC_STREAMOFF = _ioc(_WRITE, 19, sizeof(c_int))
VIDIOC_G_PARM = _ioc(_READ | _WRITE, 21, sizeof(StreamParm))
VIDIOC_S_PARM = _ioc(_READ | _WRITE, 22, sizeof(StreamParm))
VIDIOC_S_CTRL = _ioc(_READ | _WRITE, 28, sizeof(Control))
VIDIOC_QUERYCTRL = _ioc(_READ | _WRITE, 36, sizeof(QueryCtrl))
VIDIOC_TRY_FMT = _ioc(_READ | _WRITE, 64, sizeof(Format))
VIDIOC_ENUM_FRAMESIZES = _ioc(_READ | _WRITE, 74, sizeof(FrmSizeEnum))

V4L2_BUF_TYPE_VIDEO_CAPTURE = 1
V4L2_MEMORY_MMAP = 1

V4L2_CAP_VIDEO_CAPTURE = 0x0000_0001
V4L2_CAP_VIDEO_CAPTURE_MPLANE = 0x0000_1000
V4L2_CAP_META_CAPTURE = 0x0080_0000
V4L2_CAP_STREAMING = 0x0400_0000
V4L2_CAP_DEVICE_CAPS = 0x8000_0000

V4L2_FIELD_NONE = 1
V4L2_FIELD_INTERLACED = 4
V4L2_FIELD_INTERLACED_TB = 8
V4L2_FIELD_INTERLACED_BT = 9

V4L2_FRMSIZE_TYPE_DISCRETE = 1

V4L2_CAP_TIMEPERFRAME = 0x1000

V4L2_BUF_FLAG_ERROR = 0x0000_0040
V4L2_BUF_FLAG_TIMESTAMP_MASK = 0x0000_E000
V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC = 0x0000_2000

V4L2_CID_EXPOSURE_AUTO = 0x009A_0901
V4L2_CID_EXPOSURE_ABSOLUTE = 0x009A_0902
"""In units of 100 microseconds."""
V4L2_CID_EXPOSURE_AUTO_PRIORITY = 0x009A_0903
"""1: a long exposure may lower the frame rate. 0: it may not."""
V4L2_EXPOSURE_APERTURE_PRIORITY = 3


def v4l2_fourcc(letters: str) -> int:
    return int.from_bytes(letters.encode("ascii"), "little")


V4L2_PIX_FMT_MJPEG = v4l2_fourcc("MJPG")
V4L2_PIX_FMT_JPEG = v4l2_fourcc("JPEG")
V4L2_PIX_FMT_YUYV = v4l2_fourcc("YUYV")
V4L2_PIX_FMT_NV12 = v4l2_fourcc("NV12")
