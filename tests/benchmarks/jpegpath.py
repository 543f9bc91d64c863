"""Chapter: a camera's JPEG from the driver to the model: passed through here, unpacked and packed again there."""

from __future__ import annotations

import contextlib
import secrets
import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from appliance.capture.synthetic import Scene, SceneOptions
from appliance.inference.picture import Decoder
from appliance.ipc.mailbox import publish_frames, subscribe_frames
from appliance.ipc.run_folder import RunFolder
from appliance.messages import FrameInfo, PixelFormat
from tests.benchmarks.report import Chapter, Ratio, Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from appliance.ipc.publisher import Publisher
    from appliance.ipc.slots import FrameWriter
    from appliance.ipc.subscriber import Subscriber
    from appliance.messages import Frame

SIZES = ((1280, 720), (1920, 1080))
MODEL_SIDE = 384
LIMIT = 0.5


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter; `quick` takes a tenth of the rounds."""
    del folder
    rounds = 10 if quick else 100
    ratios, rows = [], []
    for width, height in SIZES:
        ours, ancestor, ratio, size = _measure(width, height, rounds)
        ratios.append(Ratio(f"processor time for a JPEG of {width}x{height} : the ancestor's way", ratio, LIMIT))
        rows.append((f"{width}x{height}, {size // 1000} kB", ours * 1e3, ancestor * 1e3, ratio))
    return Chapter(
        "A camera's JPEG on its way to the model",
        "Processor time for a frame, by the same libjpeg-turbo in the same process, in alternating rounds. Here: the "
        f"JPEG is copied into its slot and decoded once, at a scale that covers a model of {MODEL_SIDE}; viewers get "
        "it as it is. The ancestor's way: decoded in full, copied twice, encoded again for viewers.",
        tuple(ratios),
        (Table("ms of processor time for a frame", ("", "Porchlight", "the ancestor's way", "ratio"), tuple(rows)),),
    )


def _measure(width: int, height: int, rounds: int) -> tuple[float, float, float, int]:
    picture = Scene(SceneOptions(seed=3, width=width, height=height, hour=15)).render(5.0)
    jpeg = simplejpeg.encode_jpeg(picture, 85, "RGB", "420")
    folder = RunFolder(f"bench_{secrets.token_hex(4)}")
    folder.create()
    try:
        with (
            contextlib.closing(publish_frames(folder, "porch", len(jpeg))) as publisher,
            contextlib.closing(subscribe_frames(folder, "porch", "inference")) as subscriber,
        ):
            ours = _passing(publisher, subscriber, jpeg, FrameInfo(1, 0, 0, width, height, PixelFormat.JPEG))
            ancestor = _unpacking(jpeg, width, height)
            pairs = [(_processor_s(ours), _processor_s(ancestor)) for _ in range(rounds)]
    finally:
        folder.remove()
    return (
        median(one for one, _ in pairs),
        median(other for _, other in pairs),
        median(one / other for one, other in pairs),
        len(jpeg),
    )


def _passing(
    publisher: Publisher[FrameWriter], subscriber: Subscriber[Frame], jpeg: bytes, info: FrameInfo
) -> Callable[[], None]:
    decoder = Decoder(MODEL_SIDE)

    def once() -> None:
        writer = publisher.borrow()
        writer.data[: len(jpeg)] = jpeg
        writer.write(info, len(jpeg))
        publisher.send(writer)
        loan = subscriber.receive()
        assert loan is not None
        decoder.decode(loan.value)
        loan.release()

    return once


def _unpacking(jpeg: bytes, width: int, height: int) -> Callable[[], None]:
    picture, builder, cell = (np.empty((height, width, 3), np.uint8) for _ in range(3))

    def once() -> None:
        simplejpeg.decode_jpeg(jpeg, "RGB", buffer=picture)
        np.copyto(builder, picture)
        np.copyto(cell, builder)
        simplejpeg.encode_jpeg(cell, 85, "RGB", "420")

    return once


def _processor_s(work: Callable[[], None]) -> float:
    began = time.process_time()
    for _ in range(5):
        work()
    return (time.process_time() - began) / 5
