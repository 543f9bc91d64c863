"""Makes the int8 forms of a model, holds each against the model, and keeps those that see the same in less time."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from appliance.inference import int8
from appliance.inference.backends import REFERENCE, open_backend
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
    from collections.abc import Callable, Collection, Iterator, Sequence

    from appliance.inference.detector import Detector
    from appliance.inference.quantize.agreement import Agreement
    from appliance.inference.selftest import Answer

ROUNDS = 24
"""Runs of the model and of its form, in turn: a busy machine slows both."""


@dataclass(frozen=True, slots=True)
class Order:
    """`backends` are whose forms are wanted, `sha256` what the model was when its forms' home was chosen.

    `threshold` is the score from which a find counts, `classes` are the names of what counts (sentry.classes).
    """

    model: Path
    sha256: str
    backends: Sequence[str]
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


def quantize(order: Order, found: Sequence[bytes], home: Path, say: Callable[[str], None]) -> Iterator[Outcome]:
    """Make, compare and keep, one form after another. `home` is where the model's forms lie.

    RefusedError, StoreError: as they say.
    """
    made_with = f"nncf {nncf_int8.version()}"
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
    for backend in order.backends:
        say(f"{backend}: calibrating; this takes minutes on a small machine")
        with _workplace(home) as folder:
            wanted = nncf_int8.Calibration(calibration, lambda picture: fill(pictures.decoded(picture)).copy())
            load = nncf_int8.MAKERS[backend](order.model, wanted, folder)
            try:
                form = open_backend(backend, folder / load, reference.info, order.threads)
                after = _answers(form, held)
                form.take(golden_frame())
                golden = answer(*form.detect())
                rival = _rival(backend, order, reference)
                ratio = _time_ratio(rival, form)
            except (BackendError, ModelError) as error:
                raise StoreError(f"{backend}: its form cannot be used here: {error}") from None
            alike = agreement(before, after, order.threshold, somebody)
            refused = alike.complaint() or ("" if ratio < 1 else "it saves no time here")
            if not refused:
                if sha256(order.model) != order.sha256:
                    raise StoreError(f"{order.model} was replaced meanwhile: quantize the new one")
                now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
                made = int8.Made(alike.share, len(held), round(ratio, 3), made_with, now, golden)
                int8.place(folder, home / backend, load, made)
        yield Outcome(backend, alike, rival.backend, ratio, refused)


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


def _rival(backend: str, order: Order, reference: Detector) -> Detector:
    """Return what runs the model itself by the same library."""
    name = backend.removesuffix(int8.ENDING)
    return reference if name == REFERENCE else open_backend(name, order.model, reference.info, order.threads)


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
    """A folder where the form's will be, so that it can be renamed; gone afterwards. StoreError: the disk refuses."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".making-", dir=home))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                home.rmdir()  # where nothing was kept, nothing is left
                home.parent.rmdir()
    except OSError as error:
        raise StoreError(f"{error.filename or home}: {error.strerror or error}") from None
