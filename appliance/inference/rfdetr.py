"""RF-DETR's arithmetic, equal to `predict()` of the rfdetr package 1.11.2. Arrays in, arrays out; no model, no I/O.

Input: RGB, plain resize to the model's square (no letterbox), bilinear with half-pixel centres and no antialiasing,
/255, minus mean, over std. Output: sigmoid, top-k over queries x classes, boxes scaled by the source's sides. No
softmax, no NMS: one query answers for one object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING, TypeAlias

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
TOP_K = 300
"""rfdetr keeps as many rows as it has queries."""
_LOGIT_SLACK = 1e-3
"""Far more than float32 can be wrong by; the exact comparison is made on scores."""


@dataclass(slots=True)
class Preprocessor:
    """Fills one model's input tensor, float32 [1, 3, side, side], in buffers that are made once."""

    side: int
    tensor: Floats = field(init=False)
    _resized: Bytes = field(init=False)

    def __post_init__(self) -> None:
        self.tensor = np.empty((1, 3, self.side, self.side), np.float32)
        self._resized = np.empty((self.side, self.side, 3), np.uint8)

    def fill(self, rgb: Bytes) -> Floats:
        """Return the tensor for a picture uint8 [height, width, 3], RGB; it is overwritten by the next call.

        rfdetr resizes float tensors, this resizes bytes: the values differ by less than 1/255 (before the division by
        std).
        """
        cv2.resize(rgb, (self.side, self.side), dst=self._resized, interpolation=cv2.INTER_LINEAR)
        for channel in range(3):
            scale = 1 / (255 * STD[channel])
            plane = self.tensor[0, channel]
            # plane = byte * scale - mean / std, in one pass and in place
            cv2.addWeighted(
                self._resized[:, :, channel], scale, self._resized[:, :, channel], 0,
                -MEAN[channel] / STD[channel], dst=plane, dtype=cv2.CV_32F,
            )  # fmt: skip
        return self.tensor


def postprocess(dets: Floats, labels: Floats, width: int, height: int, threshold: float) -> Rows:
    """Return the rows with a score of `threshold` or more, at most TOP_K. Class ids are the model's columns.

    `dets` [queries, 4] are cx cy w h in 0..1, `labels` [queries, columns] raw logits. Sigmoid grows with its logit:
    what lies clearly below the threshold is left out before anything is computed.
    """
    columns = labels.shape[1]
    logits = labels.reshape(-1)
    near = np.flatnonzero(logits >= log(threshold / (1 - threshold)) - _LOGIT_SLACK)
    scores = (1 / (1 + np.exp(-logits[near].astype(np.float64)))).astype(np.float32)
    order = np.argsort(-logits[near], kind="stable")
    order = order[scores[order] >= np.float32(threshold)][:TOP_K]
    chosen, scores = near[order], scores[order]
    centres = dets[chosen // columns]
    half = centres[:, 2:] / 2
    boxes = np.concatenate((centres[:, :2] - half, centres[:, :2] + half), axis=1)
    boxes *= np.array([width, height, width, height], np.float32)
    return Rows.of(boxes, scores, chosen % columns)
