"""What the network should have said of a picture, and how far it was off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from training.contract import KINDS
from training.network import CELLS

if TYPE_CHECKING:
    from torch import Tensor

Floats: TypeAlias = NDArray[np.float32]

CLEARLY_THERE = 0.35
"""From this visible share on it must be found; between this and BARELY_THERE either answer is right."""
BARELY_THERE = 0.1
_BOX_FROM = 0.4
"""Cells whose share of the bump is this large also learn the box: a peak one cell off still has a good one."""
_SURE_EMPTY_POWER = 4
_HARD_POWER = 2
_KIND_WEIGHT = (1.0, 0.3, 0.5)
"""For person, car, cat."""
_BOX_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Targets:
    """Of one picture. `heat` [kinds, CELLS, CELLS] is 1 in a thing's centre cell and falls off around it; `care` is 0
    where either answer is right; `boxes` [kinds, 4, CELLS, CELLS] cx cy w h in 0..1, which count by `box_weight`.
    """

    heat: Floats
    care: Floats
    boxes: Floats
    box_weight: Floats


def targets_of(truths: Floats) -> Targets:
    """Return the targets for things (n, 6): kind's index, x1 y1 x2 y2 in 0..1 inside the picture, visible share."""
    shape = (len(KINDS), CELLS, CELLS)
    made = Targets(
        np.zeros(shape, np.float32),
        np.ones(shape, np.float32),
        np.zeros((len(KINDS), 4, CELLS, CELLS), np.float32),
        np.zeros(shape, np.float32),
    )
    for thing in truths[truths[:, 5] >= BARELY_THERE]:
        kind, box = int(thing[0]), thing[1:5]
        if thing[5] < CLEARLY_THERE:
            _ignore(made.care[kind], box * CELLS)
    for thing in truths[truths[:, 5] >= CLEARLY_THERE]:
        _add(made, int(thing[0]), thing[1:5])
    return made


def _ignore(care: Floats, box: Floats) -> None:
    x1, y1 = np.floor(box[:2]).astype(int)
    x2, y2 = np.ceil(box[2:]).astype(int)
    care[y1:y2, x1:x2] = 0


def _add(made: Targets, kind: int, box: Floats) -> None:
    centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    column, row = np.minimum(centre * CELLS, CELLS - 1).astype(int)
    spread = np.maximum(size * CELLS / 6, 0.5)
    at = np.arange(CELLS, dtype=np.float32)
    across, down = ((at - column) / spread[0]) ** 2, ((at - row) / spread[1]) ** 2
    bump = np.exp(-(across[None, :] + down[:, None]) / 2)
    np.maximum(made.heat[kind], bump, out=made.heat[kind])
    made.care[kind, row, column] = 1
    nearest = (bump >= _BOX_FROM) & (bump > made.box_weight[kind])
    made.box_weight[kind][nearest] = bump[nearest]
    made.boxes[kind, :, nearest] = np.concatenate((centre, size))


def loss(answer: tuple[Tensor, Tensor], heat: Tensor, care: Tensor, boxes: Tensor, box_weight: Tensor) -> Tensor:
    """Return the mean loss of a batch: CenterNet's focal loss for the scores, GIoU for the boxes."""
    logits, found = answer
    weight = torch.tensor(_KIND_WEIGHT).reshape(1, -1, 1, 1)
    centre = heat == 1
    yes, no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    hit = (1 - yes.exp()) ** _HARD_POWER * yes * centre
    alarm = (1 - heat) ** _SURE_EMPTY_POWER * yes.exp() ** _HARD_POWER * no * ~centre
    scores = -((hit + alarm) * care * weight).sum() / centre.sum().clamp(min=1)
    off = (1 - _giou(found.unbind(2), boxes.unbind(2))) * box_weight * weight
    return scores + _BOX_WEIGHT * off.sum() / box_weight.sum().clamp(min=1)


def _giou(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> Tensor:
    """Generalised intersection over union of cx cy w h: 1 for equal boxes, down to -1."""
    both, hull = [], []
    for axis in (0, 1):
        low = [box[axis] - box[axis + 2] / 2 for box in (one, other)]
        high = [box[axis] + box[axis + 2] / 2 for box in (one, other)]
        both.append((torch.minimum(*high) - torch.maximum(*low)).clamp(min=0))
        hull.append(torch.maximum(*high) - torch.minimum(*low))
    shared = both[0] * both[1]
    union = one[2] * one[3] + other[2] * other[3] - shared + 1e-9
    around = hull[0] * hull[1] + 1e-9
    return shared / union - (around - union) / around
