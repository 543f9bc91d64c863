"""Does a backend see what ONNX Runtime sees? Two answers to one picture in, the differences out. No I/O.

DETR's queries have no order of their own: a last bit can swap two of them. So answers are compared as people would: the
things that were found, by class and place, and the best scores in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.inference.rfdetr import postprocess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.messages import Floats

SIDE = 1000
"""Boxes are compared in a picture of 1000 x 1000 pixels, whatever the model's own."""
FOUND = 0.3
"""From this score on, the reference's finds must be found by everybody."""
BEST = 100
"""How many of the best scores are compared, whatever they belong to: all that a model without a find can be held to."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far an answer may be from the reference: scores (0..1) and the overlap of boxes (intersection over union)."""

    score: float
    overlap: float


EXACT = Tolerance(score=0.01, overlap=0.98)
"""Measured: OpenVINO in float32 differs by 2e-5 and 0.001 pixels. A wrong kernel differs by tenths."""
ROUNDED = Tolerance(score=0.12, overlap=0.85)
"""bfloat16 has 8 bits: measured 0.05 on the stand-in models, 0.10 on random weights; boxes within 3 pixels of 640."""


@dataclass(frozen=True, slots=True)
class Find:
    """One row: x1 y1 x2 y2 in the picture of SIDE pixels, the score, the class id."""

    box: tuple[float, float, float, float]
    score: float
    class_id: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend said to the golden picture. `best` are the highest scores, falling."""

    finds: tuple[Find, ...]
    best: tuple[float, ...]


def answer(dets: Floats, labels: Floats) -> Answer:
    """Return the answer that is in the model's outputs."""
    rows = postprocess(dets, labels, SIDE, SIDE, 0.05)
    finds = tuple(
        Find((x1, y1, x2, y2), score, class_id)
        for (x1, y1, x2, y2), score, class_id in zip(
            rows.boxes.tolist(), rows.scores.tolist(), rows.class_ids.tolist(), strict=True
        )
    )
    logits = np.sort(labels.reshape(-1))[::-1][:BEST].astype(np.float64)
    return Answer(finds, tuple((1 / (1 + np.exp(-logits))).tolist()))


def answer_from(document: dict[str, Any]) -> Answer:
    """Return the Answer that `dataclasses.asdict` and JSON made a dictionary of. ValueError and others: it is none."""
    found = ((map(float, find["box"]), float(find["score"]), int(find["class_id"])) for find in document["finds"])
    finds = tuple(Find((x1, y1, x2, y2), score, class_id) for (x1, y1, x2, y2), score, class_id in found)
    return Answer(finds, tuple(map(float, document["best"])))


def complaint(reference: Answer, given: Answer, tolerance: Tolerance) -> str:
    """Return in what way `given` is wrong, with the numbers; empty where it is right."""
    if len(given.best) != len(reference.best) or not np.all(np.isfinite(given.best)):
        return "its scores are no numbers"
    furthest = max((abs(a - b) for a, b in zip(reference.best, given.best, strict=True)), default=0.0)
    if furthest > tolerance.score:
        return f"its best scores differ by up to {furthest:.3f} (at most {tolerance.score} is right)"
    return _unmatched(reference.finds, given.finds, tolerance, "it misses") or _unmatched(
        given.finds, reference.finds, tolerance, "it alone has"
    )


def _unmatched(wanted: Sequence[Find], there: Sequence[Find], tolerance: Tolerance, what: str) -> str:
    """Say which of the finds in `wanted` has no counterpart."""
    for find in wanted:
        if find.score < FOUND + tolerance.score:
            continue
        alike = [other for other in there if other.class_id == find.class_id]
        nearest = max(alike, key=lambda other: overlap(find.box, other.box), default=None)
        if nearest is None:
            return f"{what} a find of class {find.class_id} with a score of {find.score:.2f}"
        if (fit := overlap(find.box, nearest.box)) < tolerance.overlap:
            return f"its box of class {find.class_id} overlaps by {fit:.2f} (at least {tolerance.overlap} is right)"
        if (off := abs(find.score - nearest.score)) > tolerance.score:
            return f"its score of class {find.class_id} is off by {off:.3f} (at most {tolerance.score} is right)"
    return ""


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Return intersection over union of two boxes x1 y1 x2 y2."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
