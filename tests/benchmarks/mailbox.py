"""Chapter: what a slot costs, beside native code: a picture copied in, detections written and read."""

from __future__ import annotations

import contextlib
import ctypes
import secrets
import tracemalloc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg

from appliance.capture.synthetic import Scene, SceneOptions
from appliance.ipc import slots, templates
from appliance.ipc.mailbox import publish_frames, subscribe_frames
from appliance.ipc.run_folder import RunFolder
from appliance.messages import Detections, FrameInfo, PixelFormat, Rows
from tests.benchmarks import native
from tests.benchmarks.report import Chapter, Plot, Ratio, Table
from tests.benchmarks.timing import Pair, alternate, seconds_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.ipc.publisher import Publisher
    from appliance.ipc.slots import FrameWriter

WIDTH, HEIGHT = 1920, 1080
RAW = PixelFormat.RGB24.raw_size(WIDTH, HEIGHT)
INFO = FrameInfo(1, 2, 3, WIDTH, HEIGHT, PixelFormat.RGB24)
ROWS = (0, 1, 5, 20, 100, 300)
AHEAD_FROM = 20
"""Rows from which on a slot must be cheaper to write than the ancestor's nested tables."""
COPY_LIMIT = 1.15


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter; `folder` is for what is built, `quick` takes a tenth of the rounds."""
    library: Any = native.library("mailbox", folder)
    for name in ("copy_once", "copy_twice", "write_nested", "read_nested"):
        getattr(library, name).restype = ctypes.c_double
    rounds = 5 if quick else 50
    with _channel() as publisher:
        copies, copy_table = _copies(library, publisher, rounds)
    jpeg_ratio, in_place = _decoding_in_place(3 if quick else 20)
    row_ratios, row_table, row_plots = _detections(library, rounds)
    return Chapter(
        "The mailbox: what a slot costs",
        "Python against C++ at -O2 in the same process, in alternating rounds: a ratio is the median of the rounds' "
        "own. The reference for detections is the ancestor's layout, a table for each row, built by the official C++ "
        "builder and copied into its cell.",
        (*copies, jpeg_ratio, *row_ratios),
        (copy_table, in_place, row_table),
        row_plots,
    )


@contextlib.contextmanager
def _channel() -> Iterator[Publisher[FrameWriter]]:
    folder = RunFolder(f"bench_{secrets.token_hex(4)}")
    folder.create()
    try:
        with contextlib.closing(publish_frames(folder, "porch", RAW)) as publisher:
            yield publisher
    finally:
        folder.remove()


def _copies(library: Any, publisher: Publisher[FrameWriter], rounds: int) -> tuple[list[Ratio], Table]:
    frame = np.random.default_rng(1).integers(0, 256, RAW, np.uint8)
    data = frame.data
    source = frame.ctypes.data_as(ctypes.c_void_p)
    size = ctypes.c_size_t(RAW)
    targets, keep = _addresses(publisher)
    between = np.zeros(RAW, np.uint8)
    cell = np.zeros(RAW + 8, np.uint8)
    times = 8

    def publish() -> None:
        writer = publisher.borrow()
        writer.data[:RAW] = data
        writer.write(INFO, RAW)
        publisher.send(writer)

    def once() -> float:
        return float(library.copy_once(targets, len(targets), source, size, times)) / 1e9

    def twice() -> float:
        place, other = (array.ctypes.data_as(ctypes.c_void_p) for array in (cell, between))
        return float(library.copy_twice(place, other, source, size, times)) / 1e9

    ours = alternate(seconds_each(publish, times), once, rounds)
    ancestor = alternate(twice, once, rounds)
    del keep
    return (
        [
            Ratio("a raw 1080p frame borrowed, copied in, sent : memcpy", ours.ratio, COPY_LIMIT),
            Ratio("the ancestor's two copies : memcpy", ancestor.ratio),
        ],
        Table(
            "A raw 1080p RGB frame (6.2 MB) into shared memory, µs",
            ("", "µs", "of memcpy"),
            (
                ("memcpy (C++), into the same slots in turn", ours.reference * 1e6, 1.0),
                ("Porchlight: borrow, copy, write, send", ours.ours * 1e6, ours.ratio),
                ("the ancestor's two copies (C++)", ancestor.ours * 1e6, ancestor.ratio),
            ),
        ),
    )


def _addresses(publisher: Publisher[FrameWriter]) -> tuple[Any, list[Any]]:
    """Return a C array of where the pictures of all slots begin, and what keeps them there."""
    arrays = []
    for _ in range(len(publisher.channel.subscribers) + 2):
        writer = publisher.borrow()
        arrays.append(np.frombuffer(writer.data, np.uint8))
        writer.write(INFO, RAW)
        publisher.send(writer)
    places = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    return places, arrays


def _decoding_in_place(rounds: int) -> tuple[Ratio, Table]:
    """A JPEG is decoded where it lies; what a copy beforehand would add is told beside it."""
    scene = Scene(SceneOptions(seed=3, width=WIDTH, height=HEIGHT, hour=15))
    jpeg = simplejpeg.encode_jpeg(scene.render(5.0), 90, "RGB", "420")
    folder = RunFolder(f"bench_{secrets.token_hex(4)}")
    folder.create()
    try:
        with (
            contextlib.closing(publish_frames(folder, "porch", len(jpeg))) as publisher,
            contextlib.closing(subscribe_frames(folder, "porch", "inference")) as subscriber,
        ):
            writer = publisher.borrow()
            writer.data[: len(jpeg)] = jpeg
            writer.write(INFO._replace(format=PixelFormat.JPEG), len(jpeg))
            publisher.send(writer)
            tracemalloc.start()
            loan = subscriber.receive()
            assert loan is not None
            allocated = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            with loan as frame:
                pair = alternate(_decoding(frame.data), _decoding(jpeg), rounds)
                copied = alternate(seconds_each(partial(bytes, frame.data), 20), seconds_each(int, 20), rounds)
                del frame
    finally:
        folder.remove()
    return (
        Ratio("decoding a JPEG in its slot : from memory of one's own", pair.ratio),
        Table(
            f"A 1080p JPEG of {len(jpeg) // 1000} kB, decoded where it lies",
            ("", "µs"),
            (
                ("decode in the slot", pair.ours * 1e6),
                ("decode from bytes", pair.reference * 1e6),
                ("a copy of it, which is not made", copied.ours * 1e6),
            ),
            f"Receiving it allocated {allocated:,} bytes: no copy of the picture.",
        ),
    )


def _decoding(jpeg: bytes | memoryview) -> Callable[[], float]:
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    return seconds_each(partial(simplejpeg.decode_jpeg, jpeg, "RGB", buffer=picture), 1)


def _detections(library: Any, rounds: int) -> tuple[list[Ratio], Table, tuple[Plot, ...]]:
    measured = {count: _rows(library, count, rounds) for count in ROWS}
    ratios = [
        Ratio(
            f"writing {count} rows : the ancestor's nested tables in C++",
            write.ratio,
            1.0 if count >= AHEAD_FROM else None,
        )
        for count, (write, _, _) in measured.items()
    ]
    first, last = measured[ROWS[0]][0].ours, measured[ROWS[-1]][0].ours
    ratios.append(Ratio(f"writing {ROWS[-1]} rows : writing none (flat)", last / first, 1.5))
    cells = tuple(
        tuple(value for pair in pairs for value in (pair.ours * 1e6, pair.reference * 1e6, pair.ratio))
        for pairs in measured.values()
    )
    kinds = ("write", "read", "round trip")
    table = Table(
        "Detections, µs: Porchlight (Python), C++ nested, ratio",
        ("rows", *[f"{kind}{of}" for kind in kinds for of in ("", " C++", " ratio")]),
        tuple((count, *row) for count, row in zip(ROWS, cells, strict=True)),
        "A round trip is a write and a read. Reading in C++ follows the nested tables in place and sums all fields; "
        "reading here makes the value that the stages work with. With few rows Python cannot win: one call costs more "
        "than all of C++'s work.",
    )
    plots = tuple(
        Plot(
            f"Detections: {kind}",
            "rows",
            "µs",
            {
                "Porchlight (Python)": [(n, pairs[i].ours * 1e6) for n, pairs in measured.items()],
                "nested tables (C++)": [(n, pairs[i].reference * 1e6) for n, pairs in measured.items()],
            },
        )
        for i, kind in enumerate(kinds)
    )
    return ratios, table, plots


def _rows(library: Any, count: int, rounds: int) -> tuple[Pair, Pair, Pair]:
    slot = memoryview(bytearray(templates.detections_template()))
    writer, reader = slots.DetectionsWriter(slot, "slot"), slots.DetectionsReader(slot, "slot")
    ones = np.ones(count, np.float32)
    value = Detections(INFO, Rows.of(np.ones((count, 4), np.float32), ones, ones.astype(np.int32)), 5)
    writer.sequence = 1
    writer.write(value)
    cell = np.zeros(1 << 16, np.uint8)
    place = cell.ctypes.data_as(ctypes.c_void_p)
    times = 2000

    def both() -> None:
        writer.write(value)
        reader.value(1)

    def native_write() -> float:
        return float(library.write_nested(place, count, times)) / 1e9

    def native_read() -> float:
        return float(library.read_nested(place, times)) / 1e9

    work: tuple[tuple[Callable[[], object], Callable[[], float]], ...] = (
        (partial(writer.write, value), native_write),
        (partial(reader.value, 1), native_read),
        (both, lambda: native_write() + native_read()),
    )
    write, read, trip = (alternate(seconds_each(ours, times), reference, rounds) for ours, reference in work)
    return write, read, trip
