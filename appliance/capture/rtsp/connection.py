"""A session with an RTSP camera, through FFmpeg's libraries (PyAV): its video packets as they arrive."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import av

from appliance.capture.rtsp import words
from appliance.capture.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from appliance.config import RtspSettings

OPEN_S = 5.0
"""For the answer; and once more for the first packet. FFmpeg cannot be interrupted, it ends its waiting by itself."""
SILENCE_S = 2.5
"""The longest time between two packets: less than whoever closes a source waits for its thread."""

_OPTIONS = {
    "allowed_media_types": "video",
    # The stream is taken as it proves to be: to probe it for its frame rate would cost a second (measured).
    "probesize": "32",
    "fpsprobesize": "0",
    # Not fflags=nobuffer: it throws away what probing has read, which is the key frame to begin with.
}

# A title that is no UTF-8 is no reason to refuse a camera. PyAV 19 knows that by itself.
_METADATA: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


class Connection:
    """For a thread that waits. No error has a cause or a context: PyAV's exceptions hold the URL and its password."""

    def __init__(self, settings: RtspSettings) -> None:
        self._settings = settings
        self._container: InputContainer | None = None

    def open(self) -> VideoStream:
        """Return the camera's video stream; the first where it has several. SourceError: there is none, and why."""
        self._container = container = self._session()
        if not container.streams.video:
            raise self.error(words.HAS_NO_VIDEO)
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise self.error(words.CANNOT_BE_DECODED)
        return stream

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the stream that is open, a picture each, until a SourceError says why no more come.

        Those of H.264 and H.265 come late: FFmpeg knows the end of a picture by the beginning of the next.
        """
        why, came = words.HAS_ENDED, False
        try:
            asked = time.monotonic()
            for packet in self._container.demux(video=0) if self._container is not None else ():
                is_last = time.monotonic() - asked >= SILENCE_S  # what FFmpeg still had when it gave up waiting
                if packet.size:
                    came = True
                    yield packet
                if is_last:
                    why = words.of_silence(SILENCE_S)
                    break
                asked = time.monotonic()
        except av.FFmpegError as error:
            if not words.is_silence(error):
                why = words.HAS_BROKEN_OFF
            elif came:
                why = words.of_silence(SILENCE_S)
            else:
                why = words.of_no_answer(OPEN_S, self._settings.transport)
        raise self.error(why)

    def close(self) -> None:
        """Called by the reading thread, as its last."""
        if self._container is not None:
            self._container.close()

    def error(self, what: str) -> SourceError:
        return SourceError(f"{self._settings.shown}: {what}")

    def _session(self) -> InputContainer:
        address = urlsplit(self._settings.url)
        transport = self._settings.transport
        if not _is_known(address.hostname):
            raise self.error(words.UNKNOWN_HOST)
        began = time.monotonic()
        try:
            session: InputContainer = av.open(
                self._settings.url,
                format="rtsp",
                container_options={**_OPTIONS, "rtsp_transport": transport},
                timeout=(OPEN_S, SILENCE_S),
                **_METADATA,
            )
        except av.FFmpegError as error:
            if time.monotonic() - began >= OPEN_S:
                why = words.of_no_answer(OPEN_S, transport)
            else:
                why = words.of_opening(error, has_user=bool(address.username), transport=transport)
        else:
            return session
        raise self.error(why)


def _is_known(host: str | None) -> bool:
    """Whether a name leads to an address; FFmpeg would only say "Input/output error"."""
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True
