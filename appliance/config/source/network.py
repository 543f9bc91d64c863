"""rtsp://, rtsps://, http:// and https://: cameras on the network. No message here repeats any part of a URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from appliance.config.problem import BadSettingError

_PARTS = re.compile(
    r"//(?:(?P<userinfo>[^/?#]*)@)?"
    r"(?P<host>[^\W_][\w.-]*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?]*)?"
    r"(?:\?(?P<query>.*))?"
)
_ESCAPES = "in a user name or a password write %2F for /, %3F for ?, %23 for #, %40 for @, %3A for :, %25 for %"


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


def parse_rtsp(scheme: str, rest: str) -> RtspSettings:
    """Return the camera that `rest`, a URL behind its scheme's colon, names. Raises BadSettingError."""
    location, _, fragment = rest.partition("#")
    address = _Address.read(scheme, location)
    if fragment in ("", "transport=tcp"):
        return RtspSettings(f"{scheme}:{location}", address.shown)
    if fragment == "transport=udp":
        return RtspSettings(f"{scheme}:{location}", address.shown, "udp")
    raise BadSettingError(
        "has something behind # that is no option", f"write #transport=udp or #transport=tcp; {_ESCAPES}"
    )


def parse_http(scheme: str, rest: str) -> HttpSettings:
    """Return the camera that `rest`, a URL behind its scheme's colon, names. Raises BadSettingError."""
    location, _, fragment = rest.partition("#")
    address = _Address.read(scheme, location)
    if fragment:
        raise BadSettingError("has something behind #, but no option can stand there", f"take it off; {_ESCAPES}")
    return HttpSettings(address.url, address.shown, address.user, address.password)


@dataclass(frozen=True, slots=True)
class _Address:
    """A URL taken apart; user and password as they are, without percent signs."""

    url: str
    shown: str
    user: str | None
    password: str | None

    @classmethod
    def read(cls, scheme: str, location: str) -> _Address:
        if not location.isprintable() or " " in location:
            raise BadSettingError("has a character that no URL has", "write %20 for a space")
        parts = _PARTS.fullmatch(location)
        if parts is None:
            raise BadSettingError(
                "has no host and port that can be read", f"write {scheme}://user:password@host/path; {_ESCAPES}"
            )
        port, path, query = parts["port"], parts["path"] or "", parts["query"]
        if port is not None and not 1 <= int(port) <= 65_535:
            raise BadSettingError("has a port that cannot be", "write a port from 1 to 65535, or none")
        if "@" in path or "@" in (query or ""):
            # More likely a password with a / in it, which would then be shown as the host and its path.
            raise BadSettingError("has an @ behind its host name", f"write %40 there; {_ESCAPES}")
        host = f"{scheme}://{parts['host']}" + (f":{port}" if port else "")
        user, password = _credentials(parts["userinfo"])
        return cls(
            url=host + path + ("" if query is None else f"?{query}"),
            shown=host + _without_values(path),
            user=user,
            password=password,
        )


def _credentials(userinfo: str | None) -> tuple[str | None, str | None]:
    if not userinfo:
        return None, None
    user, colon, password = userinfo.partition(":")
    try:
        user, password = unquote(user, errors="strict"), unquote(password, errors="strict")
    except UnicodeDecodeError:
        user = "\0"
    if not (user + password).isprintable():  # a line's end would be another line of the request
        raise BadSettingError("has a character in its user name or password that cannot be used", _ESCAPES)
    return user, password if colon else None


def _without_values(path: str) -> str:
    """Return a path as far as it can be shown: some cameras want user and password in it, as /user=...&password=...."""
    head, equals, _ = path.partition("=")
    return f"{head.rpartition('/')[0]}/..." if equals else path
