"""What is wrong with a camera, for its owner. Of FFmpeg's exceptions only the kind is used: they repeat the URL.

Each text goes on where the camera's shown URL and a colon stand before it.
"""

from __future__ import annotations

import errno

import av.error

_WITH_LOGIN = "rtsp://user:password@host/..."
_PATH = "the camera's manual names the path of its stream"

UNKNOWN_HOST = "nobody in this network knows this host name; correct it, or write the camera's IP address"
HAS_NO_VIDEO = f"there is no video at this path; {_PATH}"
CANNOT_BE_DECODED = "its kind of video cannot be decoded here; set the camera to H.264, H.265 or MJPEG"
HAS_ENDED = "the camera has ended the stream"
HAS_BROKEN_OFF = "the connection to the camera broke off"

_OF_OPENING: tuple[tuple[type[av.FFmpegError], str], ...] = (
    (
        av.error.HTTPForbiddenError,
        "the camera does not allow it (403); give the user in the URL the right to view, or write another",
    ),
    (av.error.HTTPNotFoundError, f"the camera has nothing at this path (404); {_PATH}"),
    (
        av.error.HTTPClientError,
        f"the camera does not accept the request (4xx): too many viewers, or no video at this path? {_PATH}",
    ),
    (av.error.HTTPServerError, "the camera has failed (5xx); it may have too many viewers, or need a restart"),
    (
        av.error.ConnectionRefusedError,
        "nothing answers at this port; correct it (554 is usual), or turn on RTSP in the camera's settings",
    ),
    (av.FFmpegError, "what answers there hangs up, or does not speak RTSP; correct the port, or restart the camera"),
)
_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)


def of_opening(error: av.FFmpegError, *, has_user: bool, transport: str) -> str:
    """Say why there is no session with the camera."""
    if isinstance(error, av.error.HTTPUnauthorizedError):
        if has_user:
            return f"the camera refuses the user or the password in the URL (401); correct them: {_WITH_LOGIN}"
        return f"the camera asks for a user and a password (401); write them into the URL: {_WITH_LOGIN}"
    if error.errno == errno.EPROTONOSUPPORT:
        other = "udp" if transport == "tcp" else "tcp"
        return f"the camera does not send over {transport.upper()}; write #transport={other} at the end of the URL"
    if error.errno in _NO_WAY:
        return "no way leads to this address; is the camera on, and the address right?"
    return next(text for kind, text in _OF_OPENING if isinstance(error, kind))


def of_no_answer(waited_s: float, transport: str) -> str:
    """Say that opening took too long."""
    if transport == "udp":
        return (
            f"no answer, or no picture, within {waited_s:g} s; a firewall may stop it, as UDP comes in at ports of its "
            "own: without #transport=udp it comes over TCP"
        )
    return f"no answer, or no picture, within {waited_s:g} s; is the camera on, and the address right?"


def of_silence(silence_s: float) -> str:
    return f"the camera has sent nothing for {silence_s:g} s"


def is_silence(error: av.FFmpegError) -> bool:
    """Whether reading ended because nothing came."""
    return isinstance(error, av.error.ExitError | av.error.TimeoutError)
