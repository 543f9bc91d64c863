"""`porchlight doctor camera URL`: opens one camera as the appliance would, and says what it gives and what is wrong."""

from __future__ import annotations

import select
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import simplejpeg

from appliance.capture.opening import open_source
from appliance.capture.source import SourceError
from appliance.capture.v4l2.cameras import cameras_here
from appliance.capture.v4l2.kernel import Kernel
from appliance.config import Camera, HttpSettings, RtspSettings, V4l2Settings, parse_source
from appliance.config.problem import BadSettingError
from appliance.doctor.finding import Finding, amount, ok, problem, several, warning
from appliance.gateway.picture import jpeg_of
from appliance.messages import Clock, Frame, FrameInfo, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from appliance.capture.source import Grabbed, Source

SUBJECT = "camera"
FIRST_S = 15.0
"""How long the first picture may take: a network camera answers, logs in, and waits for its next key frame."""
SLOW_FIRST_S = 5.0
DARK = 20
"""Mean brightness, 0 to 255, below which a person would hardly be seen."""
FLAT = 3
"""Spread of brightness below which there is nothing to be seen: a cap, a fault, fog."""
LARGE = 1920 * 1080
_PAGES = {V4l2Settings: "usb-cameras.md", RtspSettings: "rtsp-cameras.md", HttpSettings: "rtsp-cameras.md"}


@dataclass(slots=True)
class Watched:
    """What a camera gave in some seconds."""

    opened_s: float = 0.0
    first: Grabbed | None = None
    picture: Frame | None = None
    at_ns: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """Measured, of the pictures' own times; 0 with fewer than two."""
        span = self.at_ns[-1] - self.at_ns[0] if len(self.at_ns) > 1 else 0
        return (len(self.at_ns) - 1) * 1e9 / span if span else 0.0


def examine(url: str, seconds: float, picture: Path) -> Iterator[Finding]:
    """Open the camera, watch it for so many seconds, and write one picture of it as a JPEG file."""
    try:
        settings = parse_source(url)
        camera = Camera(id="camera", source=url)
    except BadSettingError as error:
        yield problem("address", error.what, error.hint)
        return
    except ValueError:  # pydantic's, whose text would show the whole address
        yield problem("address", "this is no address of a camera", "write it as README.md shows")
        return
    if isinstance(settings, V4l2Settings):
        yield ok("devices", cameras_here(Kernel()))
    try:
        source = open_source(camera)
    except SourceError as error:
        yield problem(SUBJECT, str(error), _further(settings))
        return
    watched = Watched()
    try:
        _watch(source, seconds, watched)
    except SourceError as error:
        yield problem(SUBJECT, str(error), _further(settings))
    finally:
        watched.counts = source.counts()
        source.close()
    if watched.first is None:
        return
    yield from _judge(watched, camera)
    if watched.picture is not None:
        yield from _judge_picture(watched.picture, picture)


def _watch(source: Source, seconds: float, watched: Watched) -> None:
    """Fill `watched`. SourceError: it broke, or gave nothing."""
    began = time.monotonic()
    until = began + FIRST_S
    while time.monotonic() < until:
        grabbed = _next(source, until)
        if grabbed is None:
            break
        if watched.first is None:
            watched.opened_s = time.monotonic() - began
            until = time.monotonic() + seconds
        watched.first = grabbed
        data = bytearray(grabbed.size)
        length = source.retrieve(memoryview(data))
        watched.at_ns.append(grabbed.captured_ns)
        watched.sizes.append(length)
        info = FrameInfo(
            len(watched.at_ns), grabbed.captured_ns, grabbed.wall_ns, grabbed.width, grabbed.height, grabbed.format
        )
        watched.picture = Frame(info, memoryview(data)[:length])
    if watched.first is None:
        raise SourceError(f"it was opened, but gave no picture within {FIRST_S:g} s")


def _next(source: Source, until: float) -> Grabbed | None:
    """Wait for the next frame; None at the end of a recording, or when the time is up."""
    fd = source.fileno()
    if fd is None:
        grabbed = source.grab()
        if grabbed is not None and source.clock is Clock.MONOTONIC:
            time.sleep(max(0.0, min(grabbed.captured_ns / 1e9 - time.monotonic(), until - time.monotonic())))
        return grabbed
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        if poller.poll(left * 1000) and (grabbed := source.grab()) is not None:
            return grabbed
    return None


def _further(settings: object) -> str:
    for kind, page in _PAGES.items():
        if isinstance(settings, kind):
            return f"firmware_notes/{page} says more"
    return "check the address: README.md has examples"


def _judge(watched: Watched, camera: Camera) -> Iterator[Finding]:
    first = watched.first
    if first is None:
        return
    size = f"{first.width}x{first.height} {first.format.name}"
    text = f"{size}, {watched.fps:.1f} frames per second, {amount(round(median(watched.sizes)))} each"
    yield ok(SUBJECT, f"{text}; the first came after {watched.opened_s:.1f} s")
    if watched.opened_s > SLOW_FIRST_S:
        yield warning(
            SUBJECT,
            "the first picture took long",
            "set a shorter key frame interval (one or two seconds) in the camera",
        )
    if first.width * first.height > LARGE:
        yield warning(
            SUBJECT,
            "pictures this large cost computing time and show the model nothing more: it looks at 384 to 704 pixels",
            "choose the camera's sub stream, or a smaller size: 1280x720 is plenty",
        )
    if watched.fps and watched.fps < camera.standby_fps:
        yield warning(
            SUBJECT,
            f"it gives {watched.fps:.1f} frames per second, fewer than standby_fps ({camera.standby_fps:g})",
            "raise the frame rate in the camera, give it more light, or lower standby_fps",
        )
    if first.format is PixelFormat.JPEG and max(watched.sizes) > camera.max_jpeg_bytes:
        yield warning(
            SUBJECT,
            f"its largest JPEG has {max(watched.sizes):,} bytes, max_jpeg_bytes is {camera.max_jpeg_bytes:,}",
            f"set max_jpeg_bytes to {2 * max(watched.sizes):,}, or a lower quality in the camera",
        )
    if broken := sum(watched.counts.values()):
        told = ", ".join(f"{count} {reason}" for reason, count in watched.counts.items() if count)
        yield warning(
            SUBJECT,
            f"{several(broken, 'frame')} could not be used ({told})",
            "look at cable, hub and network; a few at the beginning mean nothing",
        )


def _judge_picture(frame: Frame, path: Path) -> Iterator[Finding]:
    try:
        jpeg = jpeg_of(frame)
        grey = simplejpeg.decode_jpeg(jpeg, "GRAY", min_height=90, min_width=160, min_factor=1)
    except ValueError as error:
        yield problem("picture", f"it cannot be decoded: {error}", "look at cable, hub and network")
        return
    brightness, spread = float(grey.mean()), float(grey.std())
    try:
        path.write_bytes(jpeg)
    except OSError as error:
        yield warning("picture", f"cannot write {path}: {error.strerror}", "name another file with --picture")
    else:
        yield ok("picture", f"the last one is in {path}: look at it")
    if spread < FLAT:
        yield warning("picture", "there is nothing to be seen in it", "is the lens covered, the camera's cap still on?")
    elif brightness < DARK:
        yield warning("picture", "it is very dark", "give the camera light, or infrared; look at the exposure setting")
