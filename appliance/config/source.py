"""A camera's source: from its URL to a value that capture can open."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from appliance.config.problem import BadSettingError

if TYPE_CHECKING:
    from collections.abc import Collection

Rate = Literal["realtime", "lockstep"]

KNOWN_SCHEMES = ("v4l2", "rtsp", "rtsps", "http", "https", "file", "synthetic")
BUILT_SCHEMES = ("file", "synthetic")

_SWITCH = ("true", "false")
_RATES = ("realtime", "lockstep")
_FILE_OPTIONS = ("loop", "rate")
_SYNTHETIC_OPTIONS = ("seed", "size", "fps", "hour", "people_per_minute", "rain", "timestamps", "rate")
_CLIP = "file:///path/to/clip.mp4"


@dataclass(frozen=True, slots=True)
class FileSource:
    """A recording. `lockstep` gives the next picture once the last one was taken: none is dropped."""

    path: Path
    loop: bool = False
    rate: Rate = "realtime"


@dataclass(frozen=True, slots=True)
class SyntheticSettings:
    """The camera that needs no camera. `lockstep` as with a recording; the scene never ends."""

    seed: int = 1
    width: int = 1280
    height: int = 720
    fps: float = 15.0
    hour: float = 15.0
    """The time of day in the scene, 0 to 24."""
    people_per_minute: float = 2.0
    rain: bool | None = None
    """None: the seed decides."""
    timestamps: bool = False
    rate: Rate = "realtime"


@dataclass(frozen=True, slots=True)
class V4l2Settings:
    """A camera on this machine: `v4l2:///dev/video0?size=1280x720&fps=30&format=mjpg&exposure=20ms`."""

    device: Path
    """/dev/videoN, or a name that stays: /dev/v4l/by-id/... or /dev/v4l/by-path/..."""
    format: Literal["auto", "mjpg", "yuyv", "nv12"] = "auto"
    """auto: MJPG where the camera has it at this size, else NV12, else YUYV."""
    size: tuple[int, int] | None = None
    """None: the size that the camera is set to."""
    fps: float | None = None
    """None: what the camera gives."""
    exposure_ms: float | None = None
    """The longest exposure, for crisp motion (aperture priority and this limit). None: the camera's own automatic."""


@dataclass(frozen=True, slots=True)
class RtspSettings:
    """An IP camera: `rtsp://user:password@host:554/path`; options of ours behind a #, as in `#transport=udp`."""

    url: str = field(repr=False)
    """As FFmpeg takes it, user and password included: never to be logged."""
    shown: str
    """The same without user, password and query: for logs and errors."""
    transport: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """An MJPEG camera: `http(s)://user:password@host/stream.mjpeg`."""

    url: str = field(repr=False)
    """Without user and password."""
    shown: str
    """Without user, password and query: for logs and errors."""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


def parse_source(url: str) -> FileSource | SyntheticSettings:
    """Return what `url` names; a relative path counts from the current folder. Raises BadSettingError.

    No message repeats the URL: other schemes carry a user name and a password in it.
    """
    scheme, colon, rest = url.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in KNOWN_SCHEMES:
        raise BadSettingError("does not start with a known kind of source", f"write {_CLIP} or synthetic://porch")
    if scheme not in BUILT_SCHEMES:
        built = " and ".join(f"{name}://" for name in BUILT_SCHEMES)
        raise BadSettingError(f"{scheme}:// comes with a later version", f"this one reads {built}")
    location, _, query = rest.partition("?")
    name = unquote(location.removeprefix("//"))
    return _file(name, query) if scheme == "file" else _synthetic(name, query)


def why_unreadable(path: Path) -> str | None:
    """Say what keeps `path` from being read as a file; None if nothing does. Never blocks, never raises."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "does not exist"
    except OSError as error:
        return f"cannot be reached ({error.strerror})"
    except ValueError:
        return "cannot be a path"
    if not stat.S_ISREG(mode):
        return "is not a file"
    return None if os.access(path, os.R_OK) else "may not be read by this user"


def _file(path: str, query: str) -> FileSource:
    if not path or path.endswith("/") or "\0" in path:
        raise BadSettingError("names no file", f"write {_CLIP}")
    options = _options(query, "file", _FILE_OPTIONS)
    return FileSource(path=Path(path), loop=options.switch("loop") or False, rate=options.rate())


def _synthetic(scene: str, query: str) -> SyntheticSettings:
    if scene.removesuffix("/") != "porch":
        raise BadSettingError("names no scene", "write synthetic://porch")
    options = _options(query, "synthetic", _SYNTHETIC_OPTIONS)
    width, height = options.size()
    return SyntheticSettings(
        seed=int(options.number("seed", 1, 0, 4_294_967_295, whole=True)),
        width=width,
        height=height,
        fps=options.number("fps", 15.0, 1, 60),
        hour=options.number("hour", 15.0, 0, 24),
        people_per_minute=options.number("people_per_minute", 2.0, 0, 20),
        rain=options.switch("rain"),
        timestamps=options.switch("timestamps") or False,
        rate=options.rate(),
    )


@dataclass(frozen=True, slots=True)
class _Options:
    """What stands behind the question mark; each is checked as it is asked for."""

    given: dict[str, str]

    def switch(self, name: str) -> bool | None:
        chosen = self._choice(name, _SWITCH)
        return None if chosen is None else chosen == "true"

    def rate(self) -> Rate:
        return "lockstep" if self._choice("rate", _RATES) == "lockstep" else "realtime"

    def number(self, name: str, default: float, low: float, high: float, *, whole: bool = False) -> float:
        value = self.given.get(name)
        if value is None:
            return default
        if (
            re.fullmatch(r"[0-9]{1,12}" if whole else r"[0-9]{1,12}(\.[0-9]{1,12})?", value)
            and low <= float(value) <= high
        ):
            return float(value)
        kind = "a whole number" if whole else "a number"
        raise BadSettingError(f'has {name}="{value}"', f"write {kind} from {low} to {high}, such as {name}={default:g}")

    def size(self) -> tuple[int, int]:
        value = self.given.get("size", "1280x720")
        if match := re.fullmatch(r"([0-9]{3,4})x([0-9]{2,4})", value):
            width, height = int(match[1]), int(match[2])
            if 160 <= width <= 1920 and 90 <= height <= 1080 and not (width % 2 or height % 2):
                return width, height
        raise BadSettingError(
            f'has size="{value}"', "write width x height, even numbers from 160x90 to 1920x1080, such as size=1280x720"
        )

    def _choice(self, name: str, right: tuple[str, ...]) -> str | None:
        value = self.given.get(name)
        if value is None or value in right:
            return value
        raise BadSettingError(f'has {name}="{value}"', "write " + " or ".join(f"{name}={one}" for one in right))


def _options(query: str, scheme: str, known: Collection[str]) -> _Options:
    given: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in known:
            *others, last = known
            raise BadSettingError(
                f'has an unknown option "{name}"', f"{scheme}:// knows {', '.join(others)} and {last}"
            )
        if name in given:
            raise BadSettingError(f'has the option "{name}" twice', "keep one of them")
        given[name] = value
    return _Options(given)
