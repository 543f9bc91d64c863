"""file:// and synthetic://: cameras that can be played again."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from appliance.config.problem import BadSettingError
from appliance.config.source.options import Options, split

Rate = Literal["realtime", "lockstep"]

_RATES = ("realtime", "lockstep")
_FILE_OPTIONS = ("loop", "rate")
_SYNTHETIC_OPTIONS = ("seed", "size", "fps", "hour", "people_per_minute", "rain", "timestamps", "rate")


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


def parse_file(rest: str) -> FileSource:
    """Return the recording that `rest`, a URL behind its scheme's colon, names. Raises BadSettingError."""
    location, _, query = rest.partition("?")
    path = unquote(location.removeprefix("//"))
    if not path or path.endswith("/") or "\0" in path:
        raise BadSettingError("names no file", "write file:///path/to/clip.mp4")
    options = split(query, "file", _FILE_OPTIONS)
    return FileSource(path=Path(path), loop=options.switch("loop") or False, rate=_rate(options))


def parse_synthetic(rest: str) -> SyntheticSettings:
    """Return the scene that `rest`, a URL behind its scheme's colon, names. Raises BadSettingError."""
    location, _, query = rest.partition("?")
    if unquote(location.removeprefix("//")).removesuffix("/") != "porch":
        raise BadSettingError("names no scene", "write synthetic://porch")
    options = split(query, "synthetic", _SYNTHETIC_OPTIONS)
    width, height = options.size((160, 90), (1920, 1080))
    return SyntheticSettings(
        seed=int(options.number("seed", 1, 0, 4_294_967_295, whole=True)),
        width=width,
        height=height,
        fps=options.number("fps", 15.0, 1, 60),
        hour=options.number("hour", 15.0, 0, 24),
        people_per_minute=options.number("people_per_minute", 2.0, 0, 20),
        rain=options.switch("rain"),
        timestamps=options.switch("timestamps") or False,
        rate=_rate(options),
    )


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


def _rate(options: Options) -> Rate:
    return "lockstep" if options.choice("rate", _RATES) == "lockstep" else "realtime"
