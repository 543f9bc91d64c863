"""Real RTSP cameras for tests: GStreamer's server as a program of its own, on a free loopback port."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

_PYTHON = Path("/usr/bin/python3")
_SERVER = Path(__file__).with_name("rtsp_server.py")
_PACKAGES = (
    "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)

SOURCE = "videotestsrc is-live=true name=source"
# One slice a picture: rtph264pay would put parameter sets between two, where none may be.
X264 = "x264enc tune=zerolatency speed-preset=ultrafast sliced-threads=false threads=1 key-int-max=25"
H264 = "rtph264pay config-interval=-1 name=pay0"


def live(width: int = 320, height: int = 240, fps: int = 25, encode: str = f"{X264} ! {H264}") -> str:
    """Return the pipeline of a live scene; its elements `source` and `size` can be set while it runs."""
    size = f"video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
    return f"( {SOURCE} ! capsfilter name=size caps={size} ! {encode} )"


def served(clip: Path) -> str:
    """Return the pipeline that plays an H.264 clip as it is."""
    return f'( filesrc location="{clip.resolve()}" ! qtdemux ! h264parse ! {H264} )'


class RtspCamera:
    """A camera that can be killed, started again, and told to change."""

    def __init__(self, mounts: dict[str, str], **more: Any) -> None:
        """`mounts`: path to pipeline; `more`: `basic` or `digest`, user and password."""
        self._wanted = {"mounts": mounts, "port": 0, **more}
        self._process: subprocess.Popen[str] | None = None

    @property
    def port(self) -> int:
        return int(self._wanted["port"])

    def start(self) -> None:
        """Begin to serve; once started, at the same port again."""
        self._process = subprocess.Popen(
            [_PYTHON, "-I", _SERVER, json.dumps(self._wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the RTSP server did not start"
        self._wanted["port"] = int(line)

    def set(self, element: str, prop: str, value: str) -> None:
        """Set a property of an element in every pipeline that runs."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([element, prop, value]) + "\n")
        self._process.stdin.flush()

    def freeze(self) -> None:
        """Let its connections stand, and say no more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def need_server(*elements: str) -> None:
    """Skip the test, in one line, where GStreamer's RTSP server or one of these elements is missing."""
    if absent := _absent(elements):
        pytest.skip(f"not here: GStreamer's {', '.join(absent)} (Debian: {_PACKAGES})")


@functools.cache
def _absent(elements: tuple[str, ...]) -> list[str]:
    if not _PYTHON.exists():
        return ["RTSP server"]
    probe: list[str | Path] = [_PYTHON, "-I", _SERVER, json.dumps({"elements": elements})]
    found = subprocess.run(probe, capture_output=True, text=True, check=False)
    return list(json.loads(found.stdout)) if found.returncode == 0 else ["RTSP server"]
