"""Which device is the camera that was asked for, and which cameras are here instead where it is not."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from appliance.capture.source import SourceError
from appliance.capture.v4l2 import abi
from appliance.capture.v4l2.device import Capability, Device, fourcc_text, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from appliance.capture.v4l2.kernel import Kernel

_NAMES_SHOWN = 8
_NOTHING_THERE = (errno.ENOENT, errno.ENODEV, errno.ENXIO)
_CAPTURES = abi.V4L2_CAP_VIDEO_CAPTURE | abi.V4L2_CAP_STREAMING


def open_camera(path: Path, kernel: Kernel) -> tuple[Device, str]:
    """Return the device at `path` and its card's name. SourceError: it is no camera, and which ones are here."""
    try:
        device = Device(path, kernel)
    except OSError as error:
        raise SourceError(_why_not_opened(error, path, kernel)) from error
    try:
        found = device.capability()
    except SourceError:
        device.close()
        raise
    if found is not None and _is_camera(found):
        return device, found.card
    device.close()
    raise SourceError(f"{path} {_why_no_camera(found)}; {cameras_here(kernel)}")


def cameras_here(kernel: Kernel) -> str:
    """Return the cameras on this machine, with names and formats, as part of a sentence."""
    found = [f"{path} ({told})" for path in kernel.video_nodes() if (told := _describe(path, kernel))]
    return f"the cameras here: {', '.join(found)}" if found else "there is no camera here"


def listed(names: Sequence[str]) -> str:
    """Return names as part of a sentence, the first few of many."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "") if names else "nothing"


def _describe(path: Path, kernel: Kernel) -> str:
    """Return a camera's name and formats, or why it cannot be asked; nothing for what is no camera."""
    try:
        device = Device(path, kernel)
    except OSError as error:
        return "" if error.errno in _NOTHING_THERE else (error.strerror or "cannot be opened").lower()
    try:
        found = device.capability()
        if found is None or not _is_camera(found):
            return ""
        return f"{found.card}: {listed([fourcc_text(one) for one in device.formats()])}"
    except SourceError:
        return "does not answer"
    finally:
        device.close()


def _is_camera(found: Capability) -> bool:
    return found.caps & _CAPTURES == _CAPTURES


def _why_not_opened(error: OSError, path: Path, kernel: Kernel) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"there is no {path}; {cameras_here(kernel)}"
    if error.errno in _NOTHING_THERE:
        return f"there is nothing behind {path}; {cameras_here(kernel)}"
    return in_words(error, path, "cannot be opened")


def _why_no_camera(found: Capability | None) -> str:
    if found is None:
        return "is no video device"
    if found.driver == "v4l2 loopback":
        why = "is a loopback device that nothing is fed into"
    elif found.caps & abi.V4L2_CAP_VIDEO_CAPTURE:
        why = "cannot stream"
    elif found.caps & abi.V4L2_CAP_VIDEO_CAPTURE_MPLANE:
        why = "gives its pictures in several planes, which cannot be read here"
    elif found.caps & abi.V4L2_CAP_META_CAPTURE:
        why = "gives no pictures: it is a camera's second device, for its metadata"
    else:
        why = "gives no pictures"
    return f"({found.card}) {why}"
