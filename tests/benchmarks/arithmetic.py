"""Chapter: RF-DETR's arithmetic on the processor, beside native code: a picture into the tensor, logits into rows."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import simplejpeg

from appliance.capture.synthetic import Scene, SceneOptions
from appliance.inference.picture import Decoder
from appliance.inference.rfdetr import STD, Preprocessor, postprocess
from appliance.messages import Frame, FrameInfo, PixelFormat
from tests.benchmarks.native import inference
from tests.benchmarks.report import Chapter, Ratio, Table
from tests.benchmarks.timing import Pair, alternate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.benchmarks.native.inference import Inference

References = dict[str, "Inference"]

PICTURES = ((1920, 1080, 512), (1280, 720, 384), (768, 432, 384))
"""Width, height, the model's side: small at full HD; nano at HD and at what a sub-stream has."""
SIZE = WIDTH, HEIGHT = 1920, 1080
DECODING_SIDE = 512
ROWS = (0, 1, 10, 100)
THRESHOLD = 0.5
FILL_LIMIT = 0.7
ROWS_LIMIT = 2.0


def run(folder: Path, quick: bool) -> Chapter:
    """Return the chapter; `folder` is for what is built, `quick` takes a tenth of the rounds."""
    references = inference.build(folder)
    rounds = 20 if quick else 200
    with _one_thread():
        fill_ratios, fill_table = _filling(references, rounds)
        decoding = _decoding(rounds)
    row_ratios, row_table = _rows(references, rounds)
    return Chapter(
        "RF-DETR's arithmetic: a picture in, rows out",
        "Processor time of Python, numpy and OpenCV against C++ in the same process, one thread each, in alternating "
        "rounds: a ratio is the median of the rounds' own. Judged against C++ at "
        f"{inference.PLAIN}, as in the other chapters; the same source at {inference.TUNED} is told beside it. Before "
        "anything is timed, both must have the same result.",
        (*fill_ratios, *row_ratios),
        (fill_table, decoding, row_table),
    )


def _processor_s(work: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """Return what does `work` so many times and says for how long one kept processors busy."""

    def run() -> float:
        began = time.process_time()
        for _ in range(times):
            work()
        return (time.process_time() - began) / times

    return run


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let OpenCV use one thread meanwhile, as the appliance does."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _filling(references: References, rounds: int) -> tuple[list[Ratio], Table]:
    ratios, rows = [], []
    for width, height, side in PICTURES:
        what = f"{width}x{height} to {side}x{side}"
        rgb = _picture(width, height)
        preprocessor, tensor = Preprocessor(side), np.empty((1, 3, side, side), np.float32)
        ours = _processor_s(partial(preprocessor.fill, rgb))
        pairs = {}
        for flags, reference in references.items():
            reference.prepare(rgb, tensor)
            one_step = np.array([1 / (255 * std) for std in STD]).reshape(3, 1, 1)
            assert np.all(abs(preprocessor.fill(rgb) - tensor) <= one_step)
            pairs[flags] = alternate(ours, _processor_s(partial(reference.prepare, rgb, tensor)), rounds)
        ratios.append(Ratio(f"{what} into the tensor : one fused C++ loop", pairs[inference.PLAIN].ratio, FILL_LIMIT))
        rows.append((what, *_cells(pairs)))
    return ratios, Table(
        "A picture into the tensor, µs of processor time: resized, normalised, in planes",
        ("", *_COLUMNS),
        tuple(rows),
    )


_COLUMNS = (
    "Porchlight",
    *(f"{what} {flags}" for flags in (inference.PLAIN, inference.TUNED) for what in ("C++", "of C++")),
)


def _cells(pairs: dict[str, Pair]) -> list[float]:
    return [
        pairs[inference.PLAIN].ours * 1e6,
        *(cell for pair in pairs.values() for cell in (pair.reference * 1e6, pair.ratio)),
    ]


def _decoding(rounds: int) -> Table:
    rows = []
    for kind in PixelFormat:
        data = _packed(kind)
        frame = Frame(FrameInfo(1, 0, 0, WIDTH, HEIGHT, kind), memoryview(data))
        target = np.empty_like(data)
        pair = alternate(
            _processor_s(partial(Decoder(DECODING_SIDE).decode, frame)),
            _processor_s(partial(np.copyto, target, data)),
            rounds // 2,
        )
        rows.append((f"{kind.name}, {data.nbytes // 1000:,} kB", pair.ours * 1e6, pair.reference * 1e6, pair.ratio))
    return Table(
        f"A {WIDTH}x{HEIGHT} frame as the camera gave it into an RGB picture, µs of processor time",
        ("", "decoding", "a copy of the same bytes", "ratio"),
        tuple(rows),
        "RGB24 is looked at where it lies. A JPEG is decoded at the smallest scale that covers a model of "
        f"{DECODING_SIDE}.",
    )


def _rows(references: References, rounds: int) -> tuple[list[Ratio], Table]:
    ratios, rows = [], []
    for count in ROWS:
        dets, labels = _outputs(count)
        ours = partial(postprocess, dets, labels, *SIZE, THRESHOLD)
        pairs = {flags: _pair(ours, reference, dets, labels, rounds) for flags, reference in references.items()}
        vectors = _pair(ours, references[inference.TUNED], dets, labels, rounds, by_query=True)
        ratios.append(
            Ratio(f"logits into {count} rows : one C++ loop over them", pairs[inference.PLAIN].ratio, ROWS_LIMIT)
        )
        rows.append((count, *_cells(pairs), vectors.reference * 1e6, vectors.ratio))
    return ratios, Table(
        "300 queries of 91 logits into rows, µs of processor time",
        ("rows", *_COLUMNS, "C++ with vectors", "of C++"),
        tuple(rows),
        "A loop that asks first, for each query, whether there is anything in it lets the compiler use this "
        "processor's widest vectors; numpy reads all logits at about that speed, and the rest is a dozen calls of half "
        "a µs each, whatever the number of rows.",
    )


def _pair(
    ours: Callable[[], Any], reference: Inference, dets: Any, labels: Any, rounds: int, *, by_query: bool = False
) -> Pair:
    times = 100
    theirs = partial(reference.postprocess, dets, labels, SIZE, THRESHOLD, by_query=by_query, times=times)
    theirs()
    found = ours()
    assert np.allclose(found.boxes, reference.rows.boxes, atol=1e-3)
    assert np.allclose(found.scores, reference.rows.scores, rtol=1e-6)
    assert np.array_equal(found.class_ids, reference.rows.class_ids)
    native_s = _processor_s(theirs)
    return alternate(_processor_s(ours, times), lambda: native_s() / times, 2 * rounds)


def _outputs(count: int) -> tuple[Any, Any]:
    """Return what a model says: a background of small logits, and `count` people at random queries."""
    random = np.random.default_rng(count)
    labels = random.normal(-5, 1, (300, 91)).astype(np.float32).clip(-12, -1)
    labels[random.permutation(300)[:count], 1] = random.uniform(0.2, 4, count)
    return random.random((300, 4), np.float32), labels


def _picture(width: int, height: int) -> Any:
    return Scene(SceneOptions(seed=3, width=width, height=height, hour=15)).render(5.0)


def _packed(kind: PixelFormat) -> Any:
    """Return the bytes of a frame; what the raw ones show is of no consequence."""
    picture = _picture(WIDTH, HEIGHT)
    if kind is PixelFormat.JPEG:
        return np.frombuffer(simplejpeg.encode_jpeg(picture, 85, "RGB", "420"), np.uint8)
    return picture.reshape(-1)[: kind.raw_size(WIDTH, HEIGHT)].copy()
