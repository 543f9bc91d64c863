"""Runs inside the emulated machine (test_v4l2_vm.py starts it): tries V4l2Source on real drivers, writes what it saw.

vivid stands for a USB camera with raw formats; v4l2loopback is fed JPEGs, by ffmpeg and by hand.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import select
import subprocess
import sys
import time
import traceback
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.capture.source import Grabbed, SourceError
from appliance.capture.v4l2 import V4l2Source, abi
from appliance.config import V4l2Settings, parse_source
from tests.capture.clips import grey, jpeg, noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VIVID, LOOPBACK = "/dev/video0", "/dev/video10"
ROUNDS = 20
PATIENCE_S = 20.0
PICTURES = [jpeg(noise(seed, 320, 240)) for seed in range(10)]

Facts = dict[str, Any]


@contextlib.contextmanager
def opened(url: str) -> Iterator[V4l2Source]:
    settings = parse_source(url)
    assert isinstance(settings, V4l2Settings)
    source = V4l2Source(settings)
    try:
        yield source
    finally:
        source.close()


def take(source: V4l2Source, count: int, seconds: float = PATIENCE_S) -> list[tuple[Grabbed, bytes, float]]:
    """Return the next frames as capture takes them, each with its age in ms; fewer where the camera falls silent."""
    poller = select.poll()
    poller.register(source.fileno(), select.POLLIN)
    deadline = time.monotonic() + seconds
    taken: list[tuple[Grabbed, bytes, float]] = []
    while len(taken) < count and (left := deadline - time.monotonic()) > 0:
        if poller.poll(left * 1000) and (grabbed := source.grab()):
            age_ms = (time.monotonic_ns() - grabbed.captured_ns) / 1e6
            room = bytearray(grabbed.size)
            length = source.retrieve(memoryview(room))
            taken.append((grabbed, bytes(room[:length]), age_ms))
    return taken


def control(name: str) -> None:
    subprocess.run(["v4l2-ctl", "-d", VIVID, "-c", f"{name}=1"], check=True)


def refusal(url: str) -> str:
    try:
        with opened(url) as source:
            take(source, 1)
    except SourceError as error:
        return str(error)
    return ""


def facts_of(frames: list[tuple[Grabbed, bytes, float]]) -> Facts:
    grabbed = [one for one, _, _ in frames]
    return {
        "frames": len(frames),
        "kinds": sorted({f"{one.format.name} {one.width}x{one.height}" for one in grabbed}),
        "sizes_right": all(len(data) == one.size for one, data, _ in frames),
        "steps_ms": [round((b.captured_ns - a.captured_ns) / 1e6, 1) for a, b in pairwise(grabbed)],
        "wall_steps_ms": [round((b.wall_ns - a.wall_ns) / 1e6, 1) for a, b in pairwise(grabbed)],
        "wall_off_s": round(abs(grabbed[-1].wall_ns / 1e9 - time.time()), 1) if grabbed else None,
        "ages_ms": [round(age, 1) for _, _, age in frames],
    }


def leaks() -> Facts:
    """Return the descriptors, mapped device pages and memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return {
        "fds": len(list(Path("/proc/self/fd").iterdir())),
        "maps": Path("/proc/self/maps").read_text(encoding="utf-8").count("/dev/video"),
        "rss_kb": int(status.split("VmRSS:")[1].split()[0]),
    }


def yuyv() -> Facts:
    with opened(f"v4l2://{VIVID}?format=yuyv&size=640x360&fps=15") as source:
        frames = take(source, 12)
    row = frames[-1][1][640 * 2 * 300 :][: 640 * 2]  # the colour bars, white to black, below the writing
    return {**facts_of(frames), "white_y": row[2 * 40], "black_y": row[2 * 600]}


def nv12() -> Facts:
    with opened(f"v4l2://{VIVID}?format=nv12&size=1280x720&fps=10&exposure=20ms") as source:
        frames = take(source, 5)
    row = frames[-1][1][1280 * 600 :][:1280]
    return {**facts_of(frames), "white_y": row[80], "black_y": row[1200]}


def other_size() -> Facts:
    with opened(f"v4l2://{VIVID}?format=yuyv&size=650x370&fps=240") as source:
        return facts_of(take(source, 3))


def refusals() -> Facts:
    """Return what is said of what cannot be opened."""
    said = {
        "missing": refusal("v4l2:///dev/video5"),
        "no device": refusal("v4l2:///dev/null"),
        "no such format": refusal(f"v4l2://{VIVID}?format=mjpg"),
        "unfed": refusal(f"v4l2://{LOOPBACK}"),
    }
    with opened(f"v4l2://{VIVID}") as source:
        take(source, 1)
        said["busy"] = refusal(f"v4l2://{VIVID}")
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        said["not allowed"] = refusal(f"v4l2://{VIVID}")
    finally:
        os.seteuid(0)
        os.setegid(0)
    return said


def flushes() -> Facts:
    """A second without a look, then the next frame: the buffers were full all the while."""
    with opened(f"v4l2://{VIVID}?format=yuyv&size=640x360&fps=15") as source:
        take(source, 3)
        time.sleep(1)
        [(_, _, age_ms)] = take(source, 1)
        return {"age_ms": age_ms, **source.counts()}


def disconnect() -> Facts:
    with opened(f"v4l2://{VIVID}?format=yuyv") as source:
        take(source, 2)
        control("disconnect")
        at = time.monotonic()
        try:
            take(source, 100)
            said = ""
        except SourceError as error:
            said = str(error)
        noticed_s = time.monotonic() - at
        gone = refusal(f"v4l2://{VIVID}")
    with opened(f"v4l2://{VIVID}?format=yuyv") as source:
        return {"said": said, "noticed_s": noticed_s, "gone": gone, "after": len(take(source, 3))}


def rounds() -> Facts:
    seen = []
    errors = 0
    for _ in range(ROUNDS):
        with opened(f"v4l2://{VIVID}?format=yuyv&size=1280x720&fps=30") as source:
            take(source, 2)
            control("disconnect")
            try:
                take(source, 100)
            except SourceError:
                errors += 1
        seen.append(leaks())
    return {"errors": errors, "seen": seen}


def injections() -> Facts:
    told: Facts = {}
    for name in ("qbuf", "streamon", "reqbufs"):
        told[name] = _inject(f"inject_vidioc_{name}_error", is_running=name == "qbuf")
    told["fatal"] = _inject("inject_fatal_streaming_error", is_running=True)
    with opened(f"v4l2://{VIVID}?format=yuyv") as source:
        take(source, 2)
        control("inject_v4l2_buf_flag_error")
        told["flag"] = {"frames": len(take(source, 5)), "broken": source.counts()["broken"]}
    told["leaks"] = leaks()
    return told


def _inject(name: str, *, is_running: bool) -> Facts:
    """Have a call fail, and open anew."""
    said = ""
    try:
        if not is_running:
            control(name)
        with opened(f"v4l2://{VIVID}?format=yuyv") as source:
            take(source, 2)
            if is_running:
                control(name)
            take(source, 5)
    except SourceError as error:
        said = str(error)
    with opened(f"v4l2://{VIVID}?format=yuyv") as source:
        return {"said": said, "after": len(take(source, 3))}


def loopback() -> Facts:
    clip = Path("/tmp/clip.mjpeg")
    clip.write_bytes(b"".join(PICTURES))
    read = ["-re", "-stream_loop", "-1", "-framerate", "10", "-f", "mjpeg", "-i", str(clip)]
    feeder = subprocess.Popen(["ffmpeg", "-loglevel", "error", *read, "-c", "copy", "-f", "v4l2", LOOPBACK])
    try:
        source = _when_fed(f"v4l2://{LOOPBACK}?format=mjpg&size=320x240&fps=30&exposure=20")
        try:
            frames = take(source, 15)
            same = sum(data in PICTURES for _, data, _ in frames)
            feeder.kill()
            feeder.wait()
            take(source, 20, seconds=1)
            silent = len(take(source, 1, seconds=2))
        finally:
            source.close()
    finally:
        feeder.kill()
        feeder.wait()
    return {**facts_of(frames), "same": same, "after_the_feeder_died": silent}


def _when_fed(url: str) -> V4l2Source:
    settings = parse_source(url)
    assert isinstance(settings, V4l2Settings)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return V4l2Source(settings)
        except SourceError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def damage() -> Facts:
    """Good and bad JPEGs by turns, written by hand."""
    good = PICTURES[0]
    at = good.index(b"\xff\xc0") + 5
    huge = good[:at] + (20_000).to_bytes(2, "big") * 2 + good[at + 4 :]
    bad = {
        "cut": good[:-500],
        "garbage": os.urandom(3000),
        "huge": huge,
        "other": jpeg(grey(9, 64, 64)),
        "tiny": b"\xff",
    }
    writer = os.open(LOOPBACK, os.O_WRONLY)
    output = 2
    try:
        pix = abi.PixFormat(width=320, height=240, pixelformat=abi.V4L2_PIX_FMT_MJPEG, field=1, sizeimage=320 * 240 * 2)
        fcntl.ioctl(writer, abi.VIDIOC_S_FMT, abi.Format(type=output, pix=pix))
        os.write(writer, good)
        told = {}
        with opened(f"v4l2://{LOOPBACK}") as source:
            take(source, 1, seconds=2)
            for name, picture in bad.items():
                before = source.counts()["broken"]
                os.write(writer, picture)
                came = len(take(source, 1, seconds=1))
                os.write(writer, good)
                told[name] = {
                    "came": came,
                    "counted": source.counts()["broken"] - before,
                    "said": source.last_broken,
                    "then": [data == good for _, data, _ in take(source, 1, seconds=5)],
                }
    finally:
        os.close(writer)
    return told


SCENES: tuple[Callable[[], Facts], ...] = (
    yuyv,
    nv12,
    other_size,
    refusals,
    flushes,
    disconnect,
    rounds,
    injections,
    loopback,
    damage,
)


def main(out: Path) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    told: dict[str, Any] = {}
    for scene in SCENES:
        print(f"== {scene.__name__}", flush=True)
        before = leaks()
        try:
            told[scene.__name__] = scene()
        except Exception:  # noqa: BLE001 -- the others are worth trying
            told[scene.__name__] = {"raised": traceback.format_exc()}
        after = leaks()
        print(f"{before} -> {after}\n{json.dumps(told[scene.__name__], indent=1)}", flush=True)
        told[scene.__name__]["left_open"] = [after[name] - before[name] for name in ("fds", "maps")]
    out.write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
