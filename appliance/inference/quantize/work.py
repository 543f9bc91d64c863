"""Makes the int8 forms of a model, holds each against the model, and keeps those that see the same in less time."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from appliance.inference import engines, int8, kept
from appliance.inference.backends import BACKENDS, REFERENCE, open_backend
from appliance.inference.detector import BackendError, ModelError
from appliance.inference.digest import sha256
from appliance.inference.picture import PictureError
from appliance.inference.quantize import nncf_int8, pictures
from appliance.inference.quantize.agreement import agreement, too_few
from appliance.inference.rfdetr import Preprocessor
from appliance.inference.selftest import answer
from appliance.inference.store.errors import RefusedError, StoreError
from appliance.inference.trial import golden_frame
from appliance.messages import Frame, FrameInfo, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from appliance.inference.detector import Detector
    from appliance.inference.quantize.agreement import Agreement
    from appliance.inference.selftest import Answer

FORMS = "forms"
"""Where engines are built that are only compared."""
ROUNDS = 24
"""Runs of the model and of its form, in turn: a busy machine slows both."""


class Maker(NamedTuple):
    """What makes a form: of the model, pictures and a folder the name of the file in it that is to be loaded."""

    called: str
    make: Callable[[Path, nncf_int8.Calibration, Path], str]


@dataclass(frozen=True, slots=True)
class Order:
    """`makers` are those of the forms that are wanted, by backend; `sha256` is what the model was when it was chosen.

    `threshold` is the score from which a find counts, `classes` are the names of what counts (sentry.classes).
    """

    model: Path
    sha256: str
    makers: Mapping[str, Maker]
    threads: int
    threshold: float
    classes: Collection[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one form: kept, or why not (`refused`). `time_ratio` is its time to the model's on `rival`."""

    backend: str
    agreement: Agreement
    rival: str
    time_ratio: float
    refused: str

    def __str__(self) -> str:
        speed = f"{self.time_ratio:.2f} x the time of {self.rival}"
        return f"{self.backend}: {self.agreement}; {speed}: {f'refused, {self.refused}' if self.refused else 'kept'}"


def quantize(order: Order, found: Sequence[bytes], state: Path, say: Callable[[str], None]) -> Iterator[Outcome]:
    """Make, compare and keep in the state folder, one form after another. RefusedError, StoreError: as they say."""
    home = int8.home(state, order.sha256)
    try:
        reference = open_backend(REFERENCE, order.model, None, order.threads)
    except ModelError as error:
        raise RefusedError(str(error)) from None
    fill = Preprocessor(reference.info.side).fill
    calibration, held = pictures.apart(found)
    somebody = {number for number, name in reference.info.classes.items() if name in order.classes}
    before = _answers(reference, held)
    if complaint := too_few(before, order.threshold, somebody):
        raise RefusedError(complaint)
    say(f"{len(calibration)} pictures to calibrate with, {len(held)} held back for the comparison")
    failed: StoreError | None = None  # one form's failure is not the others'
    for backend, maker in order.makers.items():
        say(f"{backend}: calibrating; this takes minutes on a small machine")
        with _workplace(home) as folder:
            wanted = nncf_int8.Calibration(calibration, lambda picture: fill(pictures.decoded(picture)).copy())
            load = maker.make(order.model, wanted, folder)
            rival = BACKENDS[backend].form_of
            try:
                with _opened(order, backend, folder / load, reference, state, say) as form:
                    after = _answers(form, held)
                    form.take(golden_frame())
                    golden = answer(*form.detect())
                    with _opened(order, rival, order.model, reference, state, say) as model:
                        ratio = _time_ratio(model, form)
            except (BackendError, ModelError) as error:
                failed = StoreError(f"{backend}: its form cannot be used here: {error}")
                continue
            alike = agreement(before, after, order.threshold, somebody)
            refused = alike.complaint() or ("" if ratio < 1 else "it saves no time here")
            if not refused:
                if sha256(order.model) != order.sha256:
                    raise StoreError(f"{order.model} was replaced meanwhile: quantize the new one")
                now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
                made = int8.Made(alike.share, len(held), round(ratio, 3), maker.called, now, golden)
                int8.place(folder, home / backend, load, made)
        yield Outcome(backend, alike, rival, ratio, refused)
    if failed is not None:
        raise failed


def _answers(detector: Detector, held: Sequence[bytes]) -> list[Answer]:
    """Show it each picture. StoreError: it has failed, or a picture is none for a detector."""
    answers = []
    try:
        for picture in held:
            rgb = pictures.decoded(picture)
            height, width, _ = rgb.shape
            detector.take(Frame(FrameInfo(1, 0, 0, width, height, PixelFormat.RGB24), memoryview(rgb.tobytes())))
            answers.append(answer(*detector.detect()))
    except (BackendError, PictureError) as error:
        raise StoreError(f"{detector.backend}: {error}") from None
    return answers


@contextlib.contextmanager
def _opened(
    order: Order, backend: str, source: Path, reference: Detector, state: Path, say: Callable[[str], None]
) -> Iterator[Detector]:
    """Open what runs this file: the model, or a form of it; the reference is open already. BackendError."""
    if backend == REFERENCE:
        yield reference
        return
    with contextlib.ExitStack() as stack:
        file = source
        if BACKENDS[backend].builds:  # not kept: the next start builds it again, and tries it
            say(f"{backend}: building its engine; this takes minutes")
            making = stack.enter_context(_workplace(state / engines.FOLDER / FORMS))
            file = engines.build(source, making, lambda share: say(f"{backend}: {share:.0%}"))
        detector = open_backend(backend, file, reference.info, order.threads)
        stack.callback(detector.close)
        yield detector


def _time_ratio(rival: Detector, form: Detector) -> float:
    """Return the form's time to the rival's, medians of runs in turn."""
    rival.take(golden_frame())
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for detector, times in zip((rival, form), took, strict=True):
            began = time.perf_counter()
            detector.detect()
            times.append(time.perf_counter() - began)
    return median(took[1]) / median(took[0])


@contextlib.contextmanager
def _workplace(home: Path) -> Iterator[Path]:
    """A folder where the form's will be. StoreError: the disk refuses."""
    try:
        with kept.workplace(home) as folder:
            yield folder
    except OSError as error:
        raise StoreError(f"{error.filename or home}: {error.strerror or error}") from None
