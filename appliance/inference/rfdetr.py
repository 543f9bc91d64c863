"""RF-DETR's arithmetic, equal to `predict()` of the rfdetr package 1.11.2. Arrays in, arrays out; no model, no I/O.

Input: RGB, plain resize to the model's square (no letterbox), bilinear with half-pixel centres and no antialiasing,
/255, minus mean, over std. Output: sigmoid, top-k over queries x classes, boxes scaled by the source's sides and cut at
its edges. No softmax, no NMS: one query answers for one object.
"""

from __future__ import annotations

from functools import lru_cache
from math import log
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.messages import Rows

if TYPE_CHECKING:
    from appliance.messages import Floats

Bytes: TypeAlias = NDArray[np.uint8]

MEAN = (0.485, 0.456, 0.406)
"""ImageNet's, per channel R G B, of values 0..1 (rfdetr's own constants)."""
STD = (0.229, 0.224, 0.225)
WIDE_PIXELS = 1 << 20
"""Measured on x86-64: below, widening costs a quarter more than resizing bytes; at 1920x1080, three times as much."""
_WIDER = 256
TOP_K = 300
"""rfdetr keeps as many rows as it has queries."""
_LOGIT_SLACK = 1e-3
"""Far more than float32 can be wrong by; the exact comparison is made on scores."""
_ZERO, _ONE = np.zeros((), np.float32), np.ones((), np.float32)
"""Arrays, since numpy makes one of a Python number at each use, which takes as long as the operation."""
_CORNERS = np.zeros((4, 6), np.float32)
"""Takes cx cy w h to x1 y1 x2 y2 and two more columns. Products with 0, 1 and 1/2 are exact: it rounds once, as a sum
does."""
_CORNERS[:2, :2] = _CORNERS[:2, 2:4] = np.eye(2)
_CORNERS[2:, :2], _CORNERS[2:, 2:4] = np.eye(2) / -2, np.eye(2) / 2


class Preprocessor:
    """Fills one model's input tensor, float32 [1, 3, side, side], in buffers that are made once.

    rfdetr resizes floats. Bytes would be rounded, by up to 0.8 of a grey step, which moves a score by 0.002 on average
    and has been seen to move one by 0.1; 16 bits are off by less than 0.01. A picture of more than WIDE_PIXELS is
    resized in bytes all the same: made twice as large it does not fit the processor's cache, and takes three times as
    long.
    """

    def __init__(self, side: int, tensor: Floats | None = None) -> None:
        """`tensor` may be memory that a backend owns. ValueError: it has another shape, type or layout.

        OpenCV would write elsewhere without a word if it had.
        """
        shape = (1, 3, side, side)
        if tensor is None:
            tensor = np.empty(shape, np.float32)
        if tensor.shape != shape or tensor.dtype != np.float32 or not tensor.flags.carray:
            raise ValueError(f"{tensor.dtype} {list(tensor.shape)} is no float32 {list(shape)} to write in, row by row")
        self.tensor = tensor
        self._narrow = _Square(side, np.uint8, 1)
        self._wide = _Square(side, np.uint16, _WIDER)
        self._widened: NDArray[np.uint16] = np.empty(0, np.uint16)

    def fill(self, rgb: Bytes) -> Floats:
        """Return the tensor for a picture uint8 [height, width, 3], RGB; it is overwritten by the next call."""
        if rgb.shape[0] * rgb.shape[1] > WIDE_PIXELS:
            self._narrow.normalise(rgb, self.tensor)
        else:
            if self._widened.size < rgb.size:
                self._widened = np.empty(rgb.size, np.uint16)
            wide = self._widened[: rgb.size].reshape(rgb.shape)
            np.copyto(wide, rgb)  # in one step with the next, NumPy would go through buffers of its own
            np.multiply(wide, _WIDER, out=wide)
            self._wide.normalise(wide, self.tensor)
        return self.tensor


class _Square:
    """A picture resized to the model's square, in integers of one kind: `unit` of them are one grey step."""

    def __init__(self, side: int, kind: type[np.unsignedinteger[Any]], unit: int) -> None:
        self._size = (side, side)
        self._resized = np.empty((side, side, 3), kind)
        self._planes = list(np.empty((3, side, side), kind))
        # value * scale + offset is (value / unit / 255 - mean) / std, in one pass
        self._scales = [(1 / (255 * unit * std), -mean / std) for mean, std in zip(MEAN, STD, strict=True)]

    def normalise(self, picture: NDArray[Any], tensor: Floats) -> None:
        cv2.resize(picture, self._size, dst=self._resized, interpolation=cv2.INTER_LINEAR)
        cv2.split(self._resized, self._planes)  # of every third value OpenCV would make a copy, three times as slowly
        for plane, (scale, offset), place in zip(self._planes, self._scales, tensor[0], strict=True):
            cv2.addWeighted(plane, scale, plane, 0, offset, dst=place, dtype=cv2.CV_32F)


def postprocess(dets: Floats, labels: Floats, width: int, height: int, threshold: float) -> Rows:
    """Return the rows with a score of `threshold` or more, at most TOP_K. Class ids are the model's columns.

    `dets` [queries, 4] are cx cy w h in 0..1, `labels` [queries, columns] raw logits. Sigmoid grows with its logit:
    what lies clearly below the threshold is left out before anything is computed.
    """
    logits = labels.reshape(-1)
    lowest, least = _limits(threshold)
    near = (logits >= lowest).nonzero()[0]
    if not near.size:
        return Rows()
    falling = -logits[near]
    if near.size > 1:
        order = falling.argsort(kind="stable")[:TOP_K]
        near, falling = near[order], falling[order]
    columns = np.array(labels.shape[1])
    block = dets.take(near // columns, 0).dot(_CORNERS)
    block.clip(_ZERO, _ONE, block)
    block *= _sides(width, height)
    block[:, 4] = _ONE / (_ONE + np.exp(falling.astype(np.float64)))
    block.view(np.int32)[:, 5] = near % columns
    if block[-1, 4] < least:
        block = block[: np.count_nonzero(block[:, 4] >= least)]
    return Rows(block.tobytes())


@lru_cache(maxsize=16)
def _limits(threshold: float) -> tuple[np.float32, np.float32]:
    """Return the logit below which nothing can reach the threshold, and the threshold."""
    return np.float32(log(threshold / (1 - threshold)) - _LOGIT_SLACK), np.float32(threshold)


@lru_cache(maxsize=64)
def _sides(width: int, height: int) -> Floats:
    return np.array((width, height, width, height, 1, 1), np.float32)
