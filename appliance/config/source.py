"""A camera's source: from its URL to a value that capture can open."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from appliance.config.problem import BadSettingError

Rate = Literal["realtime", "lockstep"]

KNOWN_SCHEMES = ("v4l2", "rtsp", "rtsps", "http", "https", "file", "synthetic")
BUILT_SCHEMES = ("file",)

_FILE_OPTIONS = {"loop": ("true", "false"), "rate": ("realtime", "lockstep")}


@dataclass(frozen=True, slots=True)
class FileSource:
    """A recording. `lockstep` gives the next picture once the last one was taken: none is dropped."""

    path: Path
    loop: bool = False
    rate: Rate = "realtime"


def parse_source(url: str) -> FileSource:
    """Return what `url` names; a relative path counts from the current folder. Raises BadSettingError.

    No message repeats the URL: other schemes carry a user name and a password in it.
    """
    scheme, colon, rest = url.partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in KNOWN_SCHEMES:
        raise BadSettingError(
            "does not start with a known kind of source",
            "write file:///path/to/clip.mp4",
        )
    if scheme not in BUILT_SCHEMES:
        raise BadSettingError(f"{scheme}:// comes with a later version", "this one reads file://")
    location, _, query = rest.partition("?")
    path = unquote(location.removeprefix("//"))
    if not path or path.endswith("/") or "\0" in path:
        raise BadSettingError("names no file", "write file:///path/to/clip.mp4")
    options = _file_options(query)
    return FileSource(
        path=Path(path),
        loop=options.get("loop") == "true",
        rate="lockstep" if options.get("rate") == "lockstep" else "realtime",
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


def _file_options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in _FILE_OPTIONS:
            raise BadSettingError(f'has an unknown option "{name}"', "file:// knows loop and rate")
        if name in options:
            raise BadSettingError(f'has the option "{name}" twice', "keep one of them")
        if value not in _FILE_OPTIONS[name]:
            right = " or ".join(f"{name}={choice}" for choice in _FILE_OPTIONS[name])
            raise BadSettingError(f'has {name}="{value}"', f"write {right}")
        options[name] = value
    return options
